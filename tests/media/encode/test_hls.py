"""The HLS ladder: what a player reads is what the renditions are."""

import json
import re

import av
import pytest
from footage import clips

from vidd.errors import Refused
from vidd.media.encode import hls
from vidd.media.encode.hls import Segment, Track
from vidd.steps import transcode

SIZES = (
    {"height": 90, "video_bitrate": "200k", "audio_bitrate": "64k"},
    {"height": 48, "video_bitrate": "60k", "audio_bitrate": "32k"},
)


def track(*segments):
    return Track("v/index.m3u8", tuple(Segment(seconds, size) for seconds, size in segments), "avc1.64001f")


def test_the_peak_is_that_of_segments_of_about_the_target_duration_and_not_of_a_short_end():
    assert track((6.0, 600), (6.0, 1200), (6.0, 900)).peak == 8 * 1200 // 6
    assert track((6.0, 600), (6.0, 900), (0.1, 900)).peak == round(8 * 1800 / 6.1)
    assert track((2.0, 300)).peak == track((2.0, 300)).average == 1200
    assert track((6.0, 600), (6.0, 1200)).average == 1200


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Eight seconds at 29.97 frames a second with two audio tracks."""
    return clips.recording(
        tmp_path_factory.mktemp("hls") / "in.mp4", seconds=8, rate="30000/1001", size="160x90", tracks=2,
        output=("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=pol"),
    )  # fmt: skip


async def made(directory, source, *, sizes=SIZES, **more):
    (directory / "in.mp4").write_bytes(source.read_bytes())
    settings = transcode.Options.model_validate({"renditions": sizes, "hls": True, "preset": "ultrafast", **more})
    return await transcode.run(settings, clips.Watched(directory, directory / "in.mp4", name="talk.mp4").context)


def packets(path, kind):
    with av.open(str(path)) as file:
        found = [(float(p.pts * p.time_base), p.size, p.is_keyframe) for p in file.demux(**{kind: 0}) if p.size]
    return sorted(found)


@pytest.mark.media
async def test_a_player_gets_every_packet_of_the_renditions_at_its_time(tmp_path, source):
    outcome = await made(tmp_path, source)
    ladder = outcome.artifacts[-1]
    assert (ladder.role, ladder.path, ladder.tree.files) == ("hls", "hls", 1 + 4 * (1 + 1 + 2))
    assert ladder.facts == {"master": "hls/master.m3u8", "segments": 2}
    for name in ("90p", "48p"):
        found = packets(tmp_path / f"hls/{name}/index.m3u8", "video")
        assert len(found) == 240
        wanted = packets(tmp_path / f"rendition-{name}.mp4", "video")
        assert [size for _, size, _ in found] == [size for _, size, _ in wanted]
        assert [time for time, *_ in found] == pytest.approx([time for time, *_ in wanted], abs=1e-4)
    found, wanted = (
        packets(tmp_path / "hls/audio-2/index.m3u8", "audio"),
        packets(tmp_path / "rendition-90p.mp4", "audio"),
    )
    assert [time for time, *_ in found] == pytest.approx([time for time, *_ in wanted], abs=1e-4)
    with av.open(str(tmp_path / "hls/master.m3u8")) as file:
        assert file.duration / av.time_base == pytest.approx(8, abs=0.05)
        assert sorted((stream.type, stream.codec_context.name) for stream in file.streams) == [
            *[("audio", "aac")] * 2, *[("video", "h264")] * 2
        ]  # fmt: skip


@pytest.mark.media
async def test_segments_of_all_renditions_begin_with_a_keyframe_at_the_same_times(tmp_path, source):
    await made(tmp_path, source, sizes=(*SIZES, {**SIZES[1], "fps": 15, "name": "slow"}))
    begins = {}
    for name in ("90p", "48p", "slow"):
        text = (tmp_path / f"hls/{name}/index.m3u8").read_text()
        assert text.startswith("#EXTM3U\n")
        assert text.endswith("#EXT-X-ENDLIST\n")
        seconds = [float(found) for found in re.findall(r"#EXTINF:([\d.]+)", text)]
        assert max(map(round, seconds)) <= int(re.search(r"TARGETDURATION:(\d+)", text)[1])
        begins[name] = [sum(seconds[:number]) for number in range(2)]
        keyframes = [time for time, _, key in packets(tmp_path / f"hls/{name}/index.m3u8", "video") if key]
        assert all(min(abs(begin - time) for time in keyframes) < 0.001 for begin in begins[name])
    assert begins["90p"] == begins["48p"] == pytest.approx([0, 6.006], abs=0.001)
    assert begins["slow"] == pytest.approx(begins["90p"], abs=1 / 15)


@pytest.mark.media
async def test_the_master_says_what_was_measured(tmp_path, source):
    await made(tmp_path, source)
    sizes = {
        path.name: sum(file.stat().st_size for file in path.glob("*.m4s")) for path in (tmp_path / "hls").iterdir()
    }
    lines = (tmp_path / "hls/master.m3u8").read_text().splitlines()
    assert lines[:3] == ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    group = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Audio'
    assert lines[3:5] == [
        f'{group} 1",LANGUAGE="eng",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="1",URI="audio-1/index.m3u8"',
        f'{group} 2",LANGUAGE="pol",AUTOSELECT=YES,CHANNELS="1",URI="audio-2/index.m3u8"',
    ]
    assert [lines[at] for at in (6, 8)] == ["90p/index.m3u8", "48p/index.m3u8"]
    for line, name, size in zip(lines[5:8:2], ("90p", "48p"), ("160x90", "86x48"), strict=True):
        assert re.search(r'CODECS="avc1\.[0-9a-f]{6},mp4a\.40\.2"', line)
        assert f"RESOLUTION={size},FRAME-RATE=29.970," in line
        average, peak = (int(re.search(rf"[:,]{name}=(\d+)", line)[1]) for name in ("AVERAGE-BANDWIDTH", "BANDWIDTH"))
        # One audio track is heard at a time.
        assert average == pytest.approx((sizes[name] + max(sizes["audio-1"], sizes["audio-2"])) * 8 / 8, rel=0.01)
        assert average <= peak


@pytest.mark.media
async def test_a_video_without_audio_and_shorter_than_a_segment_is_a_ladder_too(tmp_path):
    source = clips.recording(tmp_path / "short.mp4", seconds=1, size="160x90", tracks=0)
    outcome = await made(tmp_path, source)
    text = (tmp_path / "hls/master.m3u8").read_text()
    assert "AUDIO" not in text
    assert "mp4a" not in text
    assert outcome.artifacts[-1].facts["segments"] == 1
    assert len(packets(tmp_path / "hls/master.m3u8", "video")) == 25


@pytest.mark.media
async def test_a_run_that_was_killed_makes_the_same_ladder_again(tmp_path, source, monkeypatch):
    first, again = tmp_path / "first", tmp_path / "again"
    for directory in (first, again):
        directory.mkdir()
    await made(first, source, segment="6s", sizes=SIZES[1:])

    async def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(transcode, "pack", die)
    with pytest.raises(KeyboardInterrupt):
        await made(again, source, segment="6s", sizes=SIZES[1:])
    monkeypatch.undo()
    # As a kill leaves it: one segment is missing, and half a ladder is there.
    record = again / ".rendition-48p.segments/record.json"
    known = json.loads(record.read_text())
    (record.parent / known["segments"].pop()["path"]).unlink()
    record.write_text(json.dumps(known))
    (again / ".hls/48p").mkdir(parents=True)
    outcome = await made(again, source, segment="6s", sizes=SIZES[1:])
    assert outcome.artifacts[0].facts["check"]["segments"]["encoded"] == 1
    assert outcome.artifacts[-1].tree.files == 13
    for name in ("48p", "audio-1"):
        playlists = [(directory / f"hls/{name}/index.m3u8").read_text() for directory in (first, again)]
        assert playlists[0] == playlists[1]
    assert {path.name for path in again.iterdir()} == {"in.mp4", "hls", "rendition-48p.mp4"}


@pytest.mark.media
async def test_a_ladder_of_an_earlier_run_does_not_stay_where_it_is_no_longer_wanted(tmp_path):
    source = clips.recording(tmp_path / "short.mp4", seconds=1, size="160x90", tracks=0)
    await made(tmp_path, source)
    outcome = await made(tmp_path, source, hls=False)
    assert [artifact.role for artifact in outcome.artifacts] == [
        "rendition-90p", "rendition-48p"
    ]  # fmt: skip
    assert not (tmp_path / "hls").exists()


@pytest.mark.media
async def test_a_packer_that_loses_frames_is_caught(tmp_path, source, monkeypatch):
    usual = hls._args

    def losing(*words):
        argv = usual(*words)
        at = argv.index("-i")
        return [*argv[:at], "-t", "7", *argv[at:]]

    monkeypatch.setattr(hls, "_args", losing)
    with pytest.raises(Refused, match=r"cannot be read as it was written \(\d+ of 240 frames\)"):
        await made(tmp_path, source)
    assert not list(tmp_path.glob("*hls"))


def test_a_rendition_cannot_be_called_as_the_audio_is():
    with pytest.raises(ValueError, match="as HLS calls its audio"):
        transcode.Options.model_validate({"renditions": [{**SIZES[0], "name": "audio-1"}], "hls": True})
