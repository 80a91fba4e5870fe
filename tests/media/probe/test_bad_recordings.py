"""What recorders, cameras and broken copies leave: each is cut right in both lanes, or refused in a sentence."""

import asyncio
from pathlib import Path

import av
import pytest
from footage import clips, paff
from footage.recordings import BEEP, PICTURE, Recording, look, make, run
from footage.strategies import Times, both, cut

from vidd.errors import Refused

pytestmark = pytest.mark.media

X264 = ("libx264", "-preset", "ultrafast", "-crf", 10, "-sc_threshold", 0, "-bf", 2)
PLAIN = (*X264, "-g", 25)
TIMES = Times(1.3, 6.9, 1.0)
COPIED = "the frames between are copied"


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """Eight seconds of H.264 with B pictures and AAC in MP4, a keyframe every second."""
    return asyncio.run(make(tmp_path_factory.mktemp("plain"), Recording(PLAIN, seconds=8)))


async def again(plain: Path, path: Path, *output: object) -> Path:
    """The same packets in another file."""
    await run("-loglevel", "error", "-i", plain, "-map", "0", "-c", "copy", *output, path)
    return path


async def whole(source: Path, times: Times = TIMES, lane: str = "edges", why: str = COPIED, **options) -> dict:
    """Both lanes, after all that must hold of either was looked at."""
    lanes = await both(source, times, **options)
    assert (lanes["auto"].lane, lanes["full"].lane) == (lane, "full")
    assert why in lanes["auto"].why
    for lane_cut in lanes.values():
        assert (lane_cut.seen.said, lane_cut.lost, lane_cut.altered) == ("", 0, 0)
        assert (lane_cut.start, lane_cut.end) == pytest.approx((0, 0), abs=0.0015)
        assert lane_cut.ramp <= 0.03
        assert lane_cut.offset <= 0.02
        assert lane_cut.likeness >= 35
    return lanes


KEYFRAMES = {
    "one in the whole file": ("0", "no keyframe between the fades"),
    "none after the fade": ("0,1,2", "no keyframe between the fades"),
    "one, late": ("0,5.6", "so rare that"),
    "one right before the fade-out": ("0,5.88", "No place was found after the first keyframe"),
}


@pytest.mark.parametrize("kind", KEYFRAMES)
async def test_where_keyframes_are_too_few_all_is_encoded(tmp_path, kind):
    at, why = KEYFRAMES[kind]
    source = await make(tmp_path, Recording((*X264, "-g", 999, "-force_key_frames", at), seconds=8))
    await whole(source, lane="full", why=why)


@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 6.9), (0.3, 7.7), (1.3, 8.0), (0.0, 8.0)], ids=lambda seconds: f"{seconds:g}"
)
async def test_a_cut_may_start_in_the_first_gop_and_end_in_the_last(tmp_path, plain, start, end):
    source = tmp_path / "in.mp4"
    source.hardlink_to(plain)
    await whole(source, Times(start, end, 1.0))


@pytest.mark.parametrize(("start", "end", "why"), [(1.3, 3.1, "keyframe"), (7.1, 7.9, "no keyframe between the fades")])
async def test_a_talk_shorter_than_two_fades_fades_to_its_middle(tmp_path, plain, start, end, why):
    source = tmp_path / "in.mp4"
    source.hardlink_to(plain)
    path, check = await cut(source, Times(start, end, 3.0), "auto")
    assert check["lane"] == "full"
    assert why in check["why"]
    seen, half = await look(path), (end - start) / 2
    bright = [seen.grey(at) for at in range(len(seen.pictures))]
    assert len(bright) == len([at for at in range(200) if start <= at / 25 + 1e-6 < end])
    assert seen.times[bright.index(max(bright))] == pytest.approx(half, abs=0.041)
    assert bright[0] == pytest.approx(16, abs=10)


async def test_a_talk_without_a_picture_is_refused(tmp_path, plain):
    source = tmp_path / "in.mp4"
    source.hardlink_to(plain)
    with pytest.raises(Refused, match=r"lasts 0\.001 s, which is less than one frame: correct its times"):
        await cut(source, Times(1.301, 1.302, 0.0), "auto")


TIMELINES = {
    "the picture late by an empty edit": ("mp4", ("-itsoffset", 0.7), ("1:v", "0:a"), ()),
    "the sound late by an empty edit": ("mp4", ("-itsoffset", 0.7), ("0:v", "1:a"), ()),
    "negative offsets of composition": ("mp4", (), ("0:v", "0:a"), ("-movflags", "negative_cts_offsets")),
    "no edit list": ("mp4", (), ("0:v", "0:a"), ("-use_editlist", 0)),
    "fragments": ("mp4", (), ("0:v", "0:a"), ("-movflags", "frag_keyframe+empty_moov")),
    "decoding before the file begins": ("mkv", (), ("0:v", "0:a"), ("-avoid_negative_ts", "disabled")),
    "a clock that starts again": ("ts", (), ("0:v", "0:a"), ("-output_ts_offset", 95440)),
}


@pytest.mark.parametrize("kind", TIMELINES)
async def test_whatever_the_timeline_sound_and_picture_stay_where_they_were(tmp_path, plain, kind):
    suffix, late, maps, output = TIMELINES[kind]
    source = tmp_path / f"in.{suffix}"
    words = [word for map_ in maps for word in ("-map", map_)]
    await run("-loglevel", "error", "-i", plain, *late, "-i", plain, *words, "-c", "copy", *output, source)
    await whole(source)


async def test_pictures_without_times_of_their_own_all_come_in_their_order(tmp_path, plain):
    source = await again(plain, tmp_path / "in.avi")
    for lane in ("auto", "full"):
        path, check = await cut(source, TIMES, lane)
        assert check["lane"] == "full"
        seen = await look(path)
        numbers = [seen.number(at) for at in range(len(seen.pictures))]
        read = [number for number in numbers if number is not None]
        assert len(numbers) == 140
        assert read == list(range(read[0], read[0] + len(read)))
        assert len(read) > 120
        assert seen.said == ""
    assert "(avi) does not say for sure when" in (await cut_anew(source, TIMES))["why"]


async def cut_anew(source: Path, times: Times) -> dict:
    there = source.parent / "anew"
    there.mkdir()
    (there / source.name).hardlink_to(source)
    return (await cut(there / source.name, times, "auto"))[1]


async def test_a_cut_between_two_ticks_of_a_clock_of_pictures_keeps_the_sound_beside_them(tmp_path):
    source = await make(tmp_path, Recording(("mjpeg", "-q:v", 3), suffix="avi", rate="10", sounds=(("pcm_s16le",),)))
    lanes = await whole(source, Times(1.35, 7.35, 1.0), "full", "(avi)", codec="mjpeg")
    assert max(lane.offset for lane in lanes.values()) < 0.002


async def test_a_stream_without_a_length_is_refused(tmp_path, plain):
    source = await again(plain, tmp_path / "in.h264", "-map", "-0:a")
    with pytest.raises(Refused, match="has no duration: put it into MP4"):
        await cut(source, TIMES, "auto")


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("suffix", ["mp4", "ts"])
async def test_pictures_coded_field_by_field_are_all_there(tmp_path, suffix, paired):
    source = paff.recording(tmp_path / f"in.{suffix}", 8, paired=paired)
    for lane in ("auto", "full"):
        path, check = await cut(source, TIMES, lane)
        seen = await look(path)
        assert (check["lane"], check["missing"], seen.said) == ("full", 0, "")
        numbers = [seen.number(at) for at in range(len(seen.pictures))]
        assert len(numbers) == 140
        assert all(number in (None, 33 + at) for at, number in enumerate(numbers))
    assert "coded in fields" in (await cut_anew(source, TIMES))["why"]


MOVING = "geq=lum='if(lt(mod(X+4*(2*N+mod(Y,2)),32),16),220,40)':cb=128:cr=128"


@pytest.mark.parametrize("marked", [True, False])
async def test_interlaced_pictures_come_out_without_combs(tmp_path, marked):
    """An edge that moves from field to field is a comb in a frame; where nothing says so, it is left as it is."""
    fields_of, flags = (",setfield=tff", ("-flags", "+ilme+ildct")) if marked else ("", ())
    source = tmp_path / "in.mp4"
    await run(
        *("-loglevel", "error", "-f", "lavfi", "-i", "color=gray:s=96x64:r=25:d=4"),
        *("-filter:v", f"format=yuv420p,{MOVING}{fields_of}", "-c:v", *PLAIN, *flags, source),
    )
    path, _ = await cut(source, Times(1, 3, 0.0), "full")
    with av.open(str(path)) as file:
        plane = next(file.decode(video=0)).planes[0]
        data, line = bytes(plane), plane.line_size
    rows = [data[row * line : row * line + 96] for row in range(20, 40)]
    threes = [list(zip(*rows[at : at + 3], strict=True)) for at in range(len(rows) - 2)]
    combs = sum(abs(2 * here - up - down) > 250 for three in threes for up, here, down in three)
    assert (combs < 20) is marked


async def test_a_size_that_changes_on_the_way_is_scaled_to_the_first(tmp_path):
    for number, size in enumerate(("96x64", "128x96")):
        clips.recording(tmp_path / f"{number}.ts", size=size, output=("-g", 25, "-bf", 2, "-c:a", "aac"))
    names = tmp_path / "both.txt"
    names.write_text("file 0.ts\nfile 1.ts\n")
    source = tmp_path / "in.ts"
    await run("-loglevel", "error", "-f", "concat", "-i", names, "-c", "copy", source)
    path, check = await cut(source, Times(1.3, 6.9, 1.0), "auto")
    assert (check["lane"], check["missing"]) == ("full", 0)
    assert "parameters change on the way" in check["why"]
    assert {(frame.width, frame.height) for _, frame in clips.pictures(path)} == {(96, 64)}


def damaged(source: Path, path: Path, low: float, high: float, fill) -> Path:
    """A copy in which the picture's packets between two times hold something else; `fill` is given their bytes."""
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as file:
        for packet in file.demux(video=0):
            if packet.size and low <= float(packet.pts * packet.time_base) < high:
                data[packet.pos : packet.pos + packet.size] = fill(bytes(packet))
    path.write_bytes(data)
    return path


async def test_packets_of_nonsense_in_the_middle_are_not_copied(tmp_path, plain):
    source = damaged(plain, tmp_path / "in.mp4", 4.0, 4.04, lambda data: b"\xff" * len(data))
    path, check = await cut(source, TIMES, "auto")
    assert (check["lane"], check["why"]) == ("full", "A packet in the middle is damaged.")
    assert (await look(path)).said == ""


async def test_a_hole_in_the_middle_is_refused(tmp_path, plain):
    source = damaged(plain, tmp_path / "in.mp4", 4.0, 4.2, lambda data: bytes(len(data)))
    with pytest.raises(
        Refused, match=r"of 140 frames from 1\.3 s to 6\.9 s could not be decoded: the source is damaged"
    ):
        await cut(source, TIMES, "auto")


async def test_packets_that_a_transport_stream_lost_are_not_passed_over(tmp_path, plain):
    source = await again(plain, tmp_path / "in.ts")
    data = bytearray(source.read_bytes())
    middle = len(data) // 188 // 2 * 188
    del data[middle : middle + 3 * 188]
    source.write_bytes(data)
    path, check = await cut(source, TIMES, "auto")
    assert check["lane"] == "full"
    assert "damaged" in check["why"]
    assert (await look(path)).said == ""


async def test_a_small_hole_in_the_sound_does_not_move_what_comes_after_it(tmp_path):
    source = tmp_path / "in.mkv"
    await run(
        *("-loglevel", "error", "-f", "lavfi", "-i", "color=gray:s=96x64:r=25:d=8", "-f", "lavfi", "-i", f"{BEEP}:d=8"),
        *("-filter:v", f"format=yuv420p,{PICTURE}", "-c:v", *PLAIN),
        *(
            "-af",
            "asetnsamples=480,aselect='not(between(t,2.4,2.459)+between(t,3.4,3.459))'",
            "-c:a",
            "pcm_s16le",
            source,
        ),
    )
    await whole(source)


SUBTITLES = "1\n00:00:00,500 --> 00:00:03,000\nhello\n\n2\n00:00:03,500 --> 00:00:07,000\nworld\n"
CHAPTERS = (
    ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=4\ntitle=a\n[CHAPTER]\nTIMEBASE=1/1\nSTART=4\nEND=8\ntitle=b\n"
)
BESIDE = {
    "time code": ("mov", (), ("-timecode", "10:00:00:00")),
    "subtitles in Matroska": ("mkv", ("-f", "srt", "-i", SUBTITLES), ("-map", "1")),
    "subtitles in MP4": ("mp4", ("-f", "srt", "-i", SUBTITLES), ("-map", "1", "-c:s", "mov_text")),
    "chapters": ("mp4", ("-f", "ffmetadata", "-i", CHAPTERS), ("-map_chapters", "1")),
    "a second picture": ("mp4", ("-f", "lavfi", "-i", "testsrc2=s=64x64:d=8"), ("-map", "1", "-c:v:1", "mjpeg")),
    "data": ("ts", ("-f", "data", "-i", SUBTITLES), ("-map", "1", "-c:d", "copy")),
}


@pytest.mark.parametrize("kind", BESIDE)
async def test_what_stands_beside_picture_and_sound_is_left_out(tmp_path, plain, kind):
    suffix, beside, output = BESIDE[kind]
    text = tmp_path / "text"
    text.write_text(next((part for part in beside if "\n" in part), ""))
    words = [text if "\n" in part else part for part in beside]
    source = tmp_path / f"in.{suffix}"
    await run("-loglevel", "error", "-i", plain, *words, "-map", "0", "-c", "copy", *output, source)
    await whole(source)
    for lane in ("auto", "full"):
        with av.open(str(tmp_path / lane / "talk.mp4")) as file:
            assert [stream.type for stream in file.streams] == ["video", "audio"]
            assert file.chapters() == []
