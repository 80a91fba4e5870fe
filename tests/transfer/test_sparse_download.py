"""What is cut out of a file of which only the needed bytes are there is what is cut out of the whole one."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from builders.aws import names_in
from footage import clips

from vidd.errors import Refused
from vidd.media.bitstream import mp4_index
from vidd.media.probe.worker import measure, reader
from vidd.model.byte_ranges import NotInParts, total_size
from vidd.model.span import Span
from vidd.steps import trim

pytestmark = pytest.mark.media

SECONDS = 25
_PICTURE = ("-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=25:duration={SECONDS}")
_SLOW = ("-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=12:duration={SECONDS}")
_SMALL = ("-f", "lavfi", "-i", f"testsrc=size=160x90:rate=25:duration={SECONDS}")
_SOUND = ("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={SECONDS}")
_OTHER = ("-f", "lavfi", "-i", f"sine=frequency=880:sample_rate=44100:duration={SECONDS}")
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-bf", "2", "-c:a", "aac")

MADE = {
    "plain.mp4": (*_PICTURE, *_SOUND, *_X264, "-movflags", "+faststart"),
    "long delay.mp4": (*_SLOW, *_SOUND, *_X264, "-g", "24", "-bf", "16", "-x264-params", "b-adapt=0:b-pyramid=normal:ref=16"),
    "open gop.mp4": (*_PICTURE, *_SOUND, *_X264, "-x264-params", "keyint=50:open-gop=1:bframes=4"),
    "varying rate.mp4": (
        *_PICTURE, *_SOUND, "-filter:v", "select='gt(mod(n,7),1)*gt(mod(n,11),3)'", "-fps_mode", "vfr", *_X264,
    ),
    "one keyframe.mp4": (*_PICTURE, *_SOUND, *_X264, "-g", "9999", "-sc_threshold", "0"),
    "hevc.mp4": (
        *_PICTURE, *_SOUND, "-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1",
        "-x265-params", "keyint=50:open-gop=1:bframes=4:log-level=none", "-c:a", "aac",
    ),
    "several tracks.mov": (
        *_PICTURE, *_SMALL, *_SOUND, *_OTHER, "-map", "0", "-map", "1", "-map", "2", "-map", "3", *_X264,
        "-g:v:1", "240", "-timecode", "01:00:00:00",
    ),
    "intra.mov": (*_PICTURE, *_SOUND, "-c:v", "mjpeg", "-c:a", "pcm_s24le"),
}  # fmt: skip
REMADE = {
    "index at the end.mp4": ("-i", "plain.mp4", "-c", "copy"),
    "sound four seconds before.mp4": ("-i", "plain.mp4", "-c", "copy", "-audio_preload", "4000000"),
    "begins in a group.mp4": ("-ss", "3.3", "-i", "plain.mp4", "-c", "copy"),
    "picture late.mp4": (
        "-itsoffset",
        "5",
        "-i",
        "plain.mp4",
        "-i",
        "plain.mp4",
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c",
        "copy",
    ),
    "both late.mp4": ("-itsoffset", "5", "-i", "plain.mp4", "-c", "copy"),
    "no edit list.mp4": ("-i", "plain.mp4", "-c", "copy", "-use_editlist", "0"),
    "negative delays.mp4": ("-i", "plain.mp4", "-c", "copy", "-movflags", "negative_cts_offsets"),
    "pcm.mov": ("-i", "plain.mp4", "-c:v", "copy", "-c:a", "pcm_s16le"),
    "ima.mov": ("-i", "plain.mp4", "-c:v", "copy", "-c:a", "adpcm_ima_qt", "-ac", "2"),
    "opus.mp4": ("-i", "plain.mp4", "-c:v", "copy", "-c:a", "libopus"),
    "turned.mp4": ("-display_rotation", "90", "-i", "plain.mp4", "-c", "copy"),
    "room for the index.mp4": ("-i", "plain.mp4", "-c", "copy", "-moov_size", "500000"),
}
# In the middle; inside the first group; inside the last.
CUTS = [(12.31, 15.6), (0.4, 1.3), (22.2, 24.7)]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A directory of recordings of all shapes, each made when it is first asked for."""
    place = tmp_path_factory.mktemp("shapes")

    def shape(name: str) -> Path:
        path = place / name
        if not path.exists():
            if name in MADE:
                clips.ffmpeg(*MADE[name], path)
            else:
                shape("plain.mp4")
                clips.ffmpeg(*(place / word if word == "plain.mp4" else word for word in REMADE[name]), path)
        return path

    return shape


async def windowed(path: Path, out: Path, start: float, end: float | None, *, noise: bool = False) -> float:
    """A copy of which only what the cut needs is there, and noise or nothing elsewhere; its share of the whole."""
    data = path.read_bytes()

    async def read(first: int, last: int) -> bytes:
        return data[first:last]

    layout = await mp4_index.find_index(read, len(data))
    needed = mp4_index.needed(layout, len(data), Span(start, end), 1.0)
    made = bytearray(random.Random(1).randbytes(len(data)) if noise else len(data))
    for first, last in needed:
        made[first:last] = data[first:last]
    out.write_bytes(made)
    return total_size(needed) / len(data)


@pytest.mark.parametrize("name", [*MADE, *REMADE])
async def test_the_cut_from_the_needed_bytes_is_frame_for_frame_that_from_the_whole(shapes, tmp_path, name):
    path = shapes(name)
    part = tmp_path / f"part{path.suffix}"
    described = reader.describe(path, name)
    # From the only keyframe to the last cut's end is nearly everything.
    for number, (start, end) in enumerate(CUTS[: 2 if name == "one keyframe.mp4" else 3]):
        assert await windowed(path, part, start, end, noise=number == 0) < 0.9, (start, end)
        there = clips.heard_and_seen(part, start, end)
        assert there.count("\n") > 2 * (end - start)
        assert there == clips.heard_and_seen(path, start, end), (start, end)
        assert reader.describe(part, name) == described, (start, end)
        assert measure.count_frames(part, name, start, end) == measure.count_frames(path, name, start, end)


@pytest.mark.parametrize(
    "options", [{"fade": 0}, {"fade": 1}, {"fade": 1, "loudness": {"target": -30}, "title_card": {"seconds": 0.4}}]
)
async def test_trim_makes_the_same_file_of_both(shapes, tmp_path, options):
    path, made = shapes("index at the end.mp4"), []
    for part in (False, True):
        directory = tmp_path / str(part)
        directory.mkdir()
        source = directory / "source.mp4"
        if part:
            await windowed(path, source, 12.3, 15.9)
        else:
            source.write_bytes(path.read_bytes())
        watched = clips.Watched(directory, source, name="x.mp4", facts={"start": 12.3, "end": 15.9})
        outcome = await trim.run(trim.Options.model_validate(options), watched.context)
        assert outcome.artifacts[0].facts["check"]["complaints"] == ()
        made.append((directory / "talk.mp4").read_bytes())
    assert made[0] == made[1]


async def test_a_step_that_reads_more_than_a_part_is_kept_from_one(shapes, tmp_path):
    await windowed(shapes("plain.mp4"), tmp_path / "source.mp4", 12.0, 15.0)
    watched = clips.Watched(tmp_path, tmp_path / "source.mp4", name="x.mp4")
    source = watched.context.artifacts["source"]
    context = watched.with_artifacts(replace(source, facts={"window": {"start": 12.0, "end": 15.0}}))
    with pytest.raises(Refused, match="only what the cut needs was fetched"):
        context.file("source")
    assert names_in(tmp_path) == ["source.mp4"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-movflags", "frag_keyframe+empty_moov", "-f", "mp4"), "fragmented"),
        (("-f", "matroska"), "no MP4 or MOV"),
        (("-f", "mpegts"), "no MP4 or MOV"),
        (("-vn", "-f", "mp4"), "no video"),
    ],
)
async def test_what_has_no_index_that_is_known_is_fetched_whole(shapes, tmp_path, words, why):
    clips.ffmpeg("-i", shapes("plain.mp4"), "-c", "copy", *words, tmp_path / "in")
    with pytest.raises(NotInParts, match=why):
        await windowed(tmp_path / "in", tmp_path / "out", 10, 12)
