"""Which way a cut is made, what is looked at afterwards, and what becomes of one that is not good."""

from dataclasses import replace

import av
import pytest
from footage import clips, damaged

from vidd.errors import Refused
from vidd.media.verify.verify import Expected, verify
from vidd.steps import trim

pytestmark = pytest.mark.media


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.mp4"
    clips.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=16"),
        *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=16"),
        *("-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", path),
    )
    return path


async def outcome(source, **options):
    watched = clips.Watched(source.parent, source, name="x.mp4", facts={"start": 1.4, "end": 13.2})
    made = await trim.run(trim.Options(**{"fade": 1, "preset": "ultrafast", **options}), watched.context)
    return made, made.artifacts[0].facts["check"]


async def test_the_record_says_which_way_was_taken_why_and_how_the_joins_decode(source):
    made, check = await outcome(source)
    assert made.facts["lane"] == check["lane"] == "edges"
    assert check["why"].endswith(".")
    assert check["forecast"] > 0
    assert check["frames"] == check["pictures"] == 295
    assert [round(join["at"], 1) for join in check["joins"]] == sorted(round(join["at"], 1) for join in check["joins"])
    assert all(join["pictures"] == join["packets"] > 0 and not join["failed"] for join in check["joins"])
    assert len(check["joins"]) == 2


async def test_all_of_it_is_encoded_where_the_settings_ask_for_it(source):
    made, check = await outcome(source, lane="full")
    assert (made.facts["lane"], check["why"]) == ("full", "The settings ask for it.")


async def test_a_recording_with_one_keyframe_is_encoded_whole_and_says_why(tmp_path):
    path = tmp_path / "one.mp4"
    clips.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=16", "-c:v", "libx264", "-preset", "ultrafast"),
        *("-g", "1000", "-pix_fmt", "yuv420p", path),
    )
    made, check = await outcome(path)
    assert made.facts["lane"] == "full"
    assert "keyframe" in check["why"]


async def test_a_quick_cut_that_does_not_stand_its_check_is_made_anew(source, monkeypatch):
    good = trim.smart_cut

    async def broken(encoder, source, output, *how, **more):
        made = await good(encoder, source, output, *how, **more)
        spoil(output, made.joins[0] + 0.3)
        return made

    monkeypatch.setattr(trim, "smart_cut", broken)
    made, check = await outcome(source)
    assert made.facts["lane"] == "full"
    assert check["why"].startswith("The smart cut failed its check: At ") or "decode" in check["why"]
    assert check["frames"] == 295


async def test_a_quick_cut_whose_sound_moved_is_made_anew(tmp_path, monkeypatch):
    good = trim.smart_cut

    async def moved(encoder, source, output, *how, **more):
        made = await good(encoder, source, output, *how, **more)
        late = output.with_name("late.mp4")
        clips.ffmpeg("-i", output, "-c:v", "copy", *damaged.AAC, "-filter:a", "adelay=50,atrim=end=11.8", late)
        late.replace(output)
        return made

    monkeypatch.setattr(trim, "smart_cut", moved)
    made, check = await outcome(damaged.recording(tmp_path / "in.mp4", seconds=16.0))
    assert made.facts["lane"] == "full"
    assert "audio and video are 50 ms further apart than in the source" in check["why"]
    assert all(abs(point["sound"]) < 0.005 for point in check["offset"])


def spoil(path, at):
    """Overwrite the picture that is shown at this time."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packet = next(
            packet
            for packet in container.demux(stream)
            if float(packet.pts * packet.time_base) >= at and packet.size > 200
        )
        place, size = packet.pos, packet.size
    with path.open("r+b") as file:
        file.seek(place + 8)
        file.write(b"\xff" * (size - 8))


WANTED = Expected(duration=16.0, total=16.0, width=320, height=180, tracks=1)


async def test_a_cut_that_lost_a_picture_is_refused(source):
    with pytest.raises(Refused, match="400 frames instead of 401"):
        await verify(clips.ENCODER, source, replace(WANTED, frames=401), "x.mp4")


async def test_what_a_decoder_says_of_pictures_from_before_where_looking_began_is_no_fault_of_a_join(tmp_path):
    path = tmp_path / "open.mp4"
    clips.ffmpeg(
        *("-f", "lavfi", "-i", "mandelbrot=size=96x64:rate=25,trim=duration=8", "-pix_fmt", "yuv420p"),
        *("-c:v", "libx264", "-preset", "medium", "-g", "30"),
        *("-x264-params", "open-gop=1:b-pyramid=normal:bframes=2:b-adapt=2:ref=3:threads=1", path),
    )
    places = [at / 2 for at in range(3, 15)]
    wanted = Expected(8.0, 8.0, 96, 64, tracks=0, frames=200, joins=tuple(places))
    _, record = await verify(clips.ENCODER, path, wanted, "x.mp4")
    assert [join["at"] for join in record.joins] == places
    assert all(join["packets"] > 10 for join in record.joins)


async def test_a_join_with_a_picture_that_does_not_decode_is_refused(source):
    spoil(source, 5.3)
    with pytest.raises(Refused, match=r"frames decode|decode with errors"):
        await verify(clips.ENCODER, source, replace(WANTED, frames=400, joins=(5.2,)), "x.mp4")
    await verify(clips.ENCODER, source, replace(WANTED, frames=400, joins=(9.2,)), "x.mp4")
