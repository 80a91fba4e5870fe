"""A cut whose edges alone are encoded: what is copied is the source's own, and where the pieces meet nothing shows."""

import asyncio
import hashlib
import math
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import pytest
from footage import clips

from vidd.errors import RetryLater
from vidd.media.ffmpeg.args.common import Cut, CutSource, EncodeSettings
from vidd.media.probe.client import probe
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.media.smartcut.smart_cut import SmartCut, smart_cut
from vidd.steps import trim

pytestmark = pytest.mark.media

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", 10, "-g", 25, "-keyint_min", 25)
OPEN = ("-c:v", "libx264", "-preset", "veryfast", "-crf", 10, "-g", 25, "-x264-params")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", 10, "-g", 25, "-tag:v", "hvc1")


@dataclass(frozen=True)
class Source:
    """How a source is made; `remux` is the container that it is then copied into."""

    output: tuple = (*X264, "-bf", 2)
    remux: tuple = ()
    suffix: str = "mp4"
    rate: str = "25"
    picture: str = clips.NUMBERED
    sound: str = "sine=frequency=440:sample_rate=48000"


QUIET = "log-level=error"
VARYING = clips.NUMBERED + ",select='gt(mod(n,7),1)*gt(mod(n,11),3)'"
SOURCES = {
    "H.264 without B pictures": Source((*X264, "-bf", 0)),
    "H.264 with B pictures": Source((*X264, "-bf", 3, "-x264-params", "b-adapt=0:b-pyramid=normal")),
    "H.264 of another encoder": Source(("-c:v", "libopenh264", "-b:v", "2M", "-g", 25)),
    "H.264, main profile": Source((*X264, "-bf", 2, "-profile:v", "main")),
    "H.264 at 29.97": Source(rate="30000/1001"),
    "H.264 of varying rate": Source((*X264, "-bf", 2, "-g", 12), rate="30", picture=VARYING),
    "H.264, open GOPs": Source((*OPEN, "open-gop=1:bframes=3:b-adapt=0:b-pyramid=normal")),
    "H.264, open GOPs, no CABAC": Source(
        (*OPEN, "open-gop=1:bframes=5:b-adapt=0:b-pyramid=strict:cabac=0:ref=4:slices=2")
    ),
    "H.264, open GOPs, no pyramid": Source((*OPEN, "open-gop=1:bframes=2:b-adapt=0:b-pyramid=none:ref=1")),
    "H.264, open GOPs in a transport stream": Source(
        (*OPEN, "open-gop=1:bframes=3:b-adapt=0"), suffix="ts", remux=("-c", "copy")
    ),
    "HEVC, open GOPs": Source((*X265, "-x265-params", f"{QUIET}:bframes=4")),
    "HEVC, closed GOPs": Source((*X265, "-x265-params", f"{QUIET}:open-gop=0")),
    "HEVC, 10 bits": Source((*X265, "-pix_fmt", "yuv420p10le", "-x265-params", QUIET)),
    "H.264 in Matroska": Source(suffix="mkv", remux=("-c", "copy")),
    "H.264 in MOV": Source(suffix="mov", remux=("-c", "copy", "-video_track_timescale", "600")),
    "H.264 in a transport stream": Source(suffix="ts", remux=("-c", "copy")),
    "HEVC in a transport stream": Source((*X265, "-x265-params", QUIET), suffix="ts", remux=("-c", "copy")),
    "H.264 with an edit list": Source(remux=("-c", "copy", "-ss", "0.5")),
}


def make(directory: Path, source: Source, seconds: float = 8.0) -> Path:
    first = directory / "first.mp4"
    output = source.output if "-c:a" in source.output else (*source.output, "-c:a", "aac")
    clips.recording(first, seconds=seconds, rate=source.rate, picture=source.picture, sound=source.sound, output=output)
    if not source.remux:
        return first
    path = directory / f"source.{source.suffix}"
    words = list(source.remux)
    seek = [words.pop(words.index("-ss") + 1), words.remove("-ss")][:1] if "-ss" in words else []
    clips.ffmpeg(*(("-ss", *seek) if seek else ()), "-i", first, *words, path)
    return path


async def cut(source: Path, start: float, end: float, fade: float = 1.0) -> tuple[Path, SmartCut]:
    media, output = await probe(clips.ENCODER, source), source.parent / "made.mp4"
    made = await smart_cut(
        clips.ENCODER,
        CutSource(source, media, Cut(start, end, fade)),
        output,
        EncodeSettings(10, "ultrafast", 160_000, threads=1),
        clips.HOOKS,
        name=source.name,
    )
    return output, made


async def cut_whole(source: Path, start: float, end: float, fade: float = 1.0) -> Path:
    (source.parent / "whole").mkdir()
    watched = clips.Watched(source.parent, source, name="x.mp4", facts={"start": start, "end": end})
    outcome = await trim.run(trim.Options(fade=fade, crf=10, preset="ultrafast", lane="full"), watched.context)
    return source.parent / outcome.artifacts[0].path


def packets(path: Path) -> list[tuple[Fraction, str]]:
    """(seconds from the file's start, digest) of the picture's packets; units alone, where start codes part them."""
    with av.open(str(path)) as file:
        begin = Fraction(file.start_time or 0, av.time_base)
        bare = path.suffix == ".ts"
        return [
            (packet.pts * packet.time_base - begin, digest(bytes(packet), bare))
            for packet in file.demux(video=0)
            if packet.size and not packet.is_discard
        ]


def digest(data: bytes, bare: bool) -> str:
    if bare:
        units = [unit.rstrip(b"\0") for unit in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]]
        kinds = [(unit[0] & 31, unit[0] >> 1 & 63) for unit in units]
        hevc = kinds[0][1] == 35
        kept = [
            unit
            for unit, (avc, hvc) in zip(units, kinds, strict=True)
            if (hvc < 32 or hvc > 35 if hevc else avc not in (7, 8, 9))
        ]
        data = b"".join(len(unit).to_bytes(4, "big") + unit for unit in kept)
    return hashlib.md5(data).hexdigest()


def complaints(path: Path) -> str:
    """What ffmpeg and PyAV have to say about a file when they decode all of it."""
    words = [clips.FFMPEG, "-v", "warning", "-i", path, "-f", "null", "-"]
    said = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stderr
    with av.logging.Capture(local=False) as logs, av.open(str(path)) as file:
        for _ in file.decode(video=0):
            pass
    return said + "".join(text for level, _, text in logs if level <= av.logging.ERROR)


def likeness(video_frame: av.VideoFrame, other: av.VideoFrame) -> float:
    """PSNR of Y in dB."""
    rows = []
    for frame in (video_frame, other):
        plane = frame.reformat(format="gray").planes[0]
        data, line = bytes(plane), plane.line_size
        rows.append(b"".join(data[row * line : row * line + frame.width] for row in range(frame.height)))
    error = sum((a - b) ** 2 for a, b in zip(*rows, strict=True)) / len(rows[0])
    return 10 * math.log10(255**2 / error) if error else math.inf


@pytest.mark.parametrize("kind", SOURCES)
async def test_between_the_edges_every_packet_is_the_sources_own(tmp_path, kind):
    source = make(tmp_path, SOURCES[kind])
    start, end = 1.3, 6.5
    path, made = await cut(source, start, end)
    theirs, ours = packets(source), packets(path)
    wanted = sorted(time - Fraction("1.3") for time, _ in theirs if Fraction("1.3") <= time < Fraction("6.5"))
    assert made.plan.strategy == "edges"
    assert made.frames == len(wanted)
    # Each picture at its time, to the half tick that the start is rounded by, and in the same distances.
    shown = sorted(time for time, _ in ours)
    assert [float(time) for time in shown] == pytest.approx([float(time) for time in wanted], abs=0.0006)
    assert {time - other for time, other in zip(shown, wanted, strict=True)} == {shown[0] - wanted[0]}
    low, high = made.joins
    assert [one for time, one in ours if low - 1e-4 <= time < high - 1e-4] == [
        one for time, one in theirs if low - 0.001 <= float(time) - start < high - 0.001
    ]
    assert high - low > 2
    assert complaints(path) == ""
    with av.open(str(path)) as file:
        assert sorted(frame.time for frame in file.decode(video=0)) == pytest.approx(list(map(float, shown)), abs=1e-4)


@pytest.mark.parametrize("kind", ["H.264 in a transport stream", "HEVC, open GOPs", "H.264 with an edit list"])
async def test_a_cut_from_the_beginning_loses_none_of_the_first_pictures(tmp_path, kind):
    source = make(tmp_path, SOURCES[kind])
    path, made = await cut(source, 0, 6.5, fade=0.5)
    wanted = [float(time) for time, _ in packets(source) if time < Fraction("6.5")]
    assert made.frames == len(wanted)
    assert sorted(float(time) for time, _ in packets(path)) == pytest.approx(sorted(wanted), abs=0.0006)


async def test_a_keyframe_that_is_counted_lower_than_the_head_before_it_comes_after_it(tmp_path):
    # HEVC counts pictures modulo 256: here the keyframe is number 275 - 256, and the head's last is number 27.
    source = make(tmp_path, SOURCES["HEVC, open GOPs"], seconds=14)
    path, made = await cut(source, 9.9, 13.6, fade=0.5)
    assert made.joins[0] == pytest.approx(1.1)
    assert [time for time, _ in clips.pictures(path)] == pytest.approx([at / 25 + 0.02 for at in range(92)])
    assert complaints(path) == ""


LOOKED_AT = [
    "H.264 with B pictures",
    "H.264, open GOPs",
    "HEVC, open GOPs",
    "H.264 of varying rate",
    "H.264 in a transport stream",
]


@pytest.mark.parametrize("kind", LOOKED_AT)
async def test_near_the_joins_the_pictures_are_those_of_a_whole_encode(tmp_path, kind):
    source = make(tmp_path, SOURCES[kind])
    path, made = await cut(source, 1.3, 6.5)
    ours, whole = clips.pictures(path), clips.pictures(await cut_whole(source, 1.3, 6.5))
    assert len(ours) == len(whole)
    for join in made.joins:
        near = [at for at, (time, _) in enumerate(ours) if abs(time - join) < 0.3]
        assert min(likeness(ours[at][1], whole[at][1]) for at in near) >= 35


async def test_the_edges_fade_to_full_and_from_full(tmp_path):
    source = make(tmp_path, Source(picture=clips.GREY), seconds=10)
    path, _ = await cut(source, 1, 9, fade=2)
    luma = {round(time, 2): clips.brightness(frame) for time, frame in clips.pictures(path)}
    for time, share in {0.0: 0, 1.0: 0.5, 2.0: 1, 4.0: 1, 5.96: 1, 7.0: 0.5, 7.96: 0.02}.items():
        assert luma[time] == pytest.approx(16 + 164 * share, abs=0.03 * 164), time


FLASH = "geq=lum='if(lt(mod(T,1),0.19),235,16)':cb=128:cr=128"
BEEP = "aevalsrc='if(lt(mod(t,1),0.2),sin(6283*t),0)':sample_rate=48000"


@pytest.mark.parametrize("output", [(*X264, "-bf", 2), (*X264, "-bf", 2, "-c:a", "libmp3lame")])
async def test_sound_and_picture_stay_together_over_both_joins(tmp_path, output):
    source = make(tmp_path, Source(output, picture=FLASH, sound=BEEP))
    path, made = await cut(source, 1.3, 7.3, fade=0.5)
    assert [bool(reason) for reason in made.audio_reasons] == ["libmp3lame" in output]
    frames, samples = clips.pictures(path), clips.sound(path)
    for second in range(1, 6):
        begin = second - 0.3 - 0.1
        seen = next(time for time, frame in frames if time >= begin and clips.brightness(frame) > 60)
        heard = next(at for at in range(round(begin * 48000), len(samples)) if abs(samples[at]) > 1500) / 48000
        assert abs(seen - heard) < 0.02
        assert seen == pytest.approx(second - 0.3, abs=0.001)


def noise_share(path: Path, source: Path, start: float, cut: Cut) -> list[float]:
    """Signal to noise (dB) against the source's own sound, faded, for every tenth of a second."""
    theirs = clips.sound(source)[round(start * 48000) :]
    ours = clips.sound(path)
    shares = []
    for at in range(0, len(ours) - 4800, 4800):
        signal = noise = 1.0
        for place in range(at, at + 4800, 3):
            time = place / 48000
            gain = max(0.0, min(1.0, time / cut.fade, (cut.length - time) / cut.fade))
            signal += (theirs[place] * gain) ** 2
            noise += (theirs[place] * gain - ours[place]) ** 2
        shares.append(10 * math.log10(signal / noise))
    return shares


async def test_copied_aac_meets_its_edges_without_a_seam(tmp_path):
    source = make(tmp_path, Source(sound="aevalsrc='0.3*sin(2764*t)+0.2*sin(9000*t)':sample_rate=48000"))
    path, made = await cut(source, 1.3, 6.5)
    shares = noise_share(path, source, 1.3, Cut(1.3, 6.5, 1.0))
    assert made.audio_reasons == ("",)
    assert len(clips.sound(path)) == round(5.2 * 48000)
    assert min(shares[1:-1]) > 25
    assert min(shares[13:-13]) > 60


async def test_several_tracks_are_cut_each_in_its_way_and_keep_their_languages(tmp_path):
    two = tmp_path / "two.mkv"
    first = make(tmp_path, Source())
    clips.ffmpeg(
        *("-i", first, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", "-c:a:1", "flac"),
        *("-metadata:s:a:1", "language=deu", two),
    )
    path, made = await cut(two, 1.3, 6.5)
    assert made.audio_reasons[0] == ""
    assert "not AAC" in made.audio_reasons[1]
    media = await probe(clips.ENCODER, path)
    assert [track.language for track in media.audio] == [None, "deu"]
    assert [track.duration for track in media.audio] == pytest.approx([5.2, 5.2], abs=0.03)


async def test_without_sound_there_is_none(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=8, tracks=0, output=(*X264, "-bf", 2))
    path, made = await cut(source, 1.3, 6.5)
    assert made.audio_reasons == ()
    assert (await probe(clips.ENCODER, path)).audio == ()


async def test_sound_that_starts_late_and_ends_early_stays_where_it_was(tmp_path):
    silent = clips.recording(tmp_path / "silent.mp4", seconds=8, tracks=0, output=(*X264, "-bf", 2))
    source = tmp_path / "in.mkv"
    clips.ffmpeg(
        *("-i", silent, "-itsoffset", "2.5", "-f", "lavfi", "-i", "sine=duration=3:sample_rate=48000"),
        *("-c:v", "copy", "-c:a", "aac", source),
    )
    path, made = await cut(source, 1.0, 7.0)
    # There is silence before it, since players that pass over edit lists would begin with the first sample.
    assert made.audio_reasons == ("The audio begins later than the video, so silence is put before it.",)
    assert clips.loudness(path, 1.3) < 0.001
    assert clips.loudness(path, 1.7) > 0.05
    with av.open(str(path)) as file:
        times = [frame.time for frame in file.decode(audio=0)]
    assert times[0] == pytest.approx(0.0, abs=0.03)
    assert times[-1] == pytest.approx(4.5, abs=0.05)


async def test_a_cut_without_fades_from_a_keyframe_copies_everything(tmp_path):
    source = make(tmp_path, SOURCES["H.264 without B pictures"])
    path, made = await cut(source, 2, 6.2, fade=0)
    assert (made.plan.strategy, made.joins, made.frames) == ("copy", (), 105)
    assert {one for _, one in packets(path)} < {one for _, one in packets(source)}
    assert clips.numbers(path) == list(range(50, 155))
    assert complaints(path) == ""


async def test_a_cut_without_fades_between_keyframes_encodes_only_its_beginning(tmp_path):
    source = make(tmp_path, SOURCES["H.264 with B pictures"])
    path, made = await cut(source, 1.5, 6.2, fade=0)
    assert made.plan.strategy == "edges"
    assert clips.numbers(path) == [number for number in range(200) if 1.5 <= number / 25 < 6.2]
    assert complaints(path) == ""


async def test_rotation_shape_and_colours_stay_as_they_were(tmp_path):
    colours = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv")
    upright = clips.recording(
        tmp_path / "upright.mp4", seconds=8, output=(*X264, "-bf", 2, "-aspect", "3:1", *colours, "-c:a", "aac")
    )
    source = tmp_path / "in.mp4"
    clips.ffmpeg("-display_rotation", 90, "-i", upright, "-c", "copy", source)
    path, _ = await cut(source, 1.3, 6.5)
    shapes = set()
    for recording in (source, path):
        with av.open(str(recording)) as file:
            stream = file.streams.video[0]
            for frame in file.decode(video=0):
                shapes.add(
                    (
                        frame.width,
                        frame.height,
                        frame.rotation,
                        frame.color_primaries,
                        frame.color_trc,
                        frame.colorspace,
                        frame.color_range,
                        stream.sample_aspect_ratio,
                    )
                )
    assert len(shapes) == 1


async def test_the_brightness_that_a_high_dynamic_range_was_mastered_for_stays(tmp_path):
    master = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    hdr = f"{QUIET}:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:master-display={master}:max-cll=1000,400"
    source = make(tmp_path, Source((*X265, "-pix_fmt", "yuv420p10le", "-x265-params", hdr)))
    path, _ = await cut(source, 1.3, 6.5)
    data = path.read_bytes()
    source_data = source.read_bytes()
    for box in (b"mdcv", b"clli", b"colr"):
        if box in source_data:
            assert box in data
    with av.open(str(path)) as file:
        assert {(frame.format.name, frame.color_trc) for frame in file.decode(video=0)} == {("yuv420p10le", 16)}


UNLIKE = {
    "another codec": (("-c:v", "mpeg4", "-g", 25), "Only H.264, HEVC and AV1"),
    "one keyframe": (("-c:v", "libx264", "-g", 999, "-sc_threshold", 0), "no keyframe between the fades"),
    "keyframes that are rare": (("-c:v", "libx264", "-g", 110, "-sc_threshold", 0), "Keyframes are so rare"),
    "interlaced": (("-c:v", "libx264", "-g", 25, "-flags", "+ilme+ildct"), "fields"),
    "10 bits of full range": (
        ("-c:v", "libx264", "-g", 25, "-pix_fmt", "yuv420p10le", "-color_range", "pc"),
        "full range of values",
    ),
}


@pytest.mark.parametrize("kind", UNLIKE)
async def test_what_cannot_be_cut_in_parts_is_said_in_a_sentence(tmp_path, kind):
    output, sentence = UNLIKE[kind]
    source = make(tmp_path, Source((*output, "-preset", "ultrafast") if "libx264" in output else output))
    with pytest.raises(SmartCutUnavailable, match=sentence):
        await cut(source, 1.3, 6.5)
    assert not (tmp_path / "made.mp4").exists()


async def test_parameters_that_change_on_the_way_are_noticed(tmp_path):
    for number, params in enumerate(("ref=1", "ref=4:cabac=0")):
        clips.recording(tmp_path / f"{number}.ts", tracks=0, output=(*X264, "-bf", 2, "-x264-params", params))
    both = tmp_path / "both.txt"
    both.write_text("file 0.ts\nfile 1.ts\n")
    clips.ffmpeg("-f", "concat", "-i", both, "-c", "copy", tmp_path / "in.ts")
    with pytest.raises(SmartCutUnavailable, match="parameters change on the way"):
        await cut(tmp_path / "in.ts", 1.3, 6.5)


async def test_a_full_disk_is_no_reason_to_encode_all_of_it(tmp_path):
    source = make(tmp_path, Source())
    (tmp_path / "made.mp4").symlink_to("/dev/full")
    with pytest.raises(RetryLater, match="disk was full while the parts were joined"):
        await cut(source, 1.3, 6.5)


async def test_a_cut_that_is_cancelled_leaves_nothing(tmp_path):
    source = make(tmp_path, Source())
    before = set(tmp_path.iterdir())
    task = asyncio.ensure_future(cut(source, 1.3, 6.5))
    async with asyncio.timeout(60):
        while set(tmp_path.iterdir()) == before:  # noqa: ASYNC110 - a child writes there
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set(tmp_path.iterdir()) == before
