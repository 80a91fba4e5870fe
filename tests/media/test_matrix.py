"""Recordings of many kinds, each cut in both lanes: nothing is lost, nothing breaks, and every way taken is explained."""

import asyncio
import math
from dataclasses import dataclass, field
from pathlib import Path

import footage
import pytest
from recordings import BLACK, GREY, Recording, Seen, look, make

from vidd.ffmpeg.probe import close_probers
from vidd.steps import trim

START, END, FADE = 1.3, 13.9, 3.0
X264 = ("libx264", "-preset", "ultrafast", "-crf", 10, "-g", 25, "-keyint_min", 25, "-sc_threshold", 0)
OPEN = ("libx264", "-preset", "veryfast", "-crf", 10, "-g", 24, "-x264-params")
X265 = ("libx265", "-preset", "ultrafast", "-crf", 10, "-g", 25, "-tag:v", "hvc1", "-x265-params")
QUIET = "log-level=none"
VARYING = "select='gt(mod(n,7),1)*gt(mod(n,11),3)'"
HDR = (
    f"{QUIET}:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
)
COPIED = "the pictures between are copied"


@dataclass(frozen=True)
class Case:
    """A recording, the lane that a cut of it takes and why, with the setting for open GOPs; and how it is shown turned."""

    recording: Recording
    lane: str = "edges"
    why: str = COPIED
    open_gops: bool = False
    turned: str = ""


def edges(*video, **more) -> Case:
    setting = {name: more.pop(name) for name in ("open_gops", "turned") if name in more}
    return Case(Recording(video, **more), **setting)


def full(why, *video, **more) -> Case:
    return Case(Recording(video, **more), "full", why)


SVT = ("libsvtav1", "-preset", 10, "-crf", 20, "-g", 25)
AOM = ("libaom-av1", "-cpu-used", 8, "-usage", "realtime", "-crf", 20, "-g", 25)
VP9 = ("libvpx-vp9", "-b:v", "2M", "-g", 25, "-deadline", "realtime", "-cpu-used", 8)
KVAZAAR = ("libkvazaar", "-kvazaar-params", "preset=ultrafast,period=24,qp=18")
MPEG4 = ("mpeg4", "-q:v", 2, "-g", 25)
CASES = {
    "H.264, no B pictures, MP4": edges(*X264, "-bf", 0),
    "H.264, B pyramid, 29.97, MP4": edges(
        *(*X264, "-bf", 3, "-x264-params", "b-adapt=0:b-pyramid=normal"), rate="30000/1001"
    ),
    "H.264, varying rate, MP4": edges(*X264, "-bf", 2, rate="30", chosen=VARYING),
    "H.264, open GOPs, MP4": edges(*OPEN, "open-gop=1:bframes=3:b-adapt=0:b-pyramid=normal", open_gops=True),
    "H.264, open GOPs, TS": edges(*OPEN, "open-gop=1:bframes=3:b-adapt=0", suffix="ts", open_gops=True),
    "H.264, MOV, coarse clock, PCM": edges(
        *(*X264, "-bf", 2), suffix="mov", sounds=(("pcm_s16le",),), output=("-video_track_timescale", "600")
    ),
    "H.264, MKV, FLAC and AAC": edges(*X264, "-bf", 2, suffix="mkv", sounds=(("flac",), ("aac",))),
    "H.264, TS from 100 s on": edges(*X264, "-bf", 2, suffix="ts", output=("-output_ts_offset", "100")),
    "H.264, TS, MP2": edges(*X264, "-bf", 2, suffix="ts", sounds=(("mp2",),)),
    "H.264 of OpenH264, no sound": edges("libopenh264", "-b:v", "2M", "-g", 25, sounds=()),
    "H.264, 10 bits": edges(*X264, "-bf", 2, pixels="yuv420p10le"),
    "H.264, full range, main profile": edges(*X264, "-bf", 2, "-profile:v", "main", pixels="yuvj420p"),
    "H.264, turned, with an edit list": edges(
        *(*X264, "-bf", 2), again=(("-ss", 0.48, "-display_rotation", 90), ()), turned="transpose=clock"
    ),
    "H.264, sound from 4 s on, MKV": edges(*X264, "-bf", 2, suffix="mkv", late=4),
    "H.264, no sound after 9 s": edges(*X264, "-bf", 2, early=6),
    "HEVC, closed GOPs": edges(*X265, f"{QUIET}:open-gop=0", codec="hevc"),
    "HEVC, open GOPs": edges(*X265, f"{QUIET}:bframes=4", codec="hevc"),
    "HEVC, open GOPs, TS, AC-3": edges(*X265, QUIET, codec="hevc", suffix="ts", sounds=(("ac3",),)),
    "HEVC, 10 bits, HDR": edges(*X265, HDR, codec="hevc", pixels="yuv420p10le"),
    "HEVC, full range, varying rate": edges(*X265, QUIET, codec="hevc", pixels="yuvj420p", rate="30", chosen=VARYING),
    "HEVC of Kvazaar, MKV, Opus": edges(*KVAZAAR, codec="hevc", suffix="mkv", sounds=(("libopus",),)),
    "AV1 of SVT, MP4": edges(*SVT, codec="av1"),
    "AV1 of libaom, 10 bits, WebM, Opus": edges(
        *AOM, codec="av1", suffix="webm", pixels="yuv420p10le", sounds=(("libopus",),)
    ),
    "AV1, varying rate, MKV": edges(*SVT, codec="av1", suffix="mkv", rate="30", chosen=VARYING),
    "VP9, WebM": full("this is vp9", *VP9, codec="vp9", suffix="webm", sounds=(("libopus",),)),
    "MPEG-4, AVI, MP3": full(
        "container (avi) does not say", *MPEG4, codec="mpeg4", suffix="avi", sounds=(("libmp3lame",),)
    ),
    "H.264, one keyframe": full("no keyframe between", "libx264", "-preset", "ultrafast", "-crf", 10, "-g", 999),
    "H.264, interlaced": full("coded in fields", *X264, "-flags", "+ilme+ildct"),
    "H.264, open GOPs, not wanted": full("(open GOP)", *OPEN, "open-gop=1:bframes=3:b-adapt=0:b-pyramid=normal"),
}


@dataclass
class Lane:
    """What came out of one lane; `offset` is the most that sound and picture moved against each other (seconds)."""

    lane: str
    why: str
    seen: Seen
    start: float
    end: float
    lost: int
    ramp: float
    offset: float
    points: int
    joins: list[float] = field(default_factory=list)
    copied: int = 0
    altered: int = 0
    likeness: float = math.inf


async def cut(source: Path, case: Case, lane: str) -> tuple[Path, dict]:
    directory = source.parent / lane
    directory.mkdir()
    here = directory / source.name
    here.hardlink_to(source)
    watched = footage.Watched(directory, here, name="x.mp4", facts={"start": START, "end": END})
    options = trim.Options(fade=FADE, crf=10, preset="ultrafast", lane=lane, open_gops=case.open_gops)
    outcome = await trim.run(options, watched.bench)
    return directory / outcome.artifacts[0].path, outcome.artifacts[0].facts["check"]


def measure(case: Case, source: Seen, seen: Seen, check: dict) -> Lane:
    inside = [at for at, time in enumerate(source.times) if START <= time + 1e-6 < END]
    wanted = [source.times[at] - START for at in inside]
    numbers = [(seen.number(at), source.number(there)) for at, there in enumerate(inside[: len(seen.pictures)])]
    lost = abs(len(inside) - len(seen.pictures)) + sum(one not in (None, other) for one, other in numbers)
    ramp = max(abs(seen.grey(at) - (BLACK + share * (GREY - BLACK))) / (GREY - BLACK) for at, share in ramp_at(seen))
    offset, points = 0.0, 0
    flashes = seen.flashes()
    for flash in source.flashes():
        here = min(flashes, key=lambda one: abs(one - flash + START))
        if abs(here - flash + START) > 0.1:
            continue
        for track in range(len(source.sounds)):
            before, after = source.beep(flash, track), seen.beep(here, track)
            if before is None:
                assert after is None
                continue
            assert after is not None, (flash, track)
            offset, points = max(offset, abs((after - here) - (before - flash))), points + 1
    return Lane(
        check["lane"],
        check["why"],
        seen,
        seen.times[0] - wanted[0],
        seen.times[-1] - wanted[-1],
        lost,
        ramp,
        offset,
        points,
        [one["at"] for one in check.get("joins", [])],
    )


def ramp_at(seen: Seen) -> list[tuple[int, float]]:
    """Pictures near the begin, the middle and the end of both fades, and how bright they are to be."""
    length = END - START
    found = []
    for wanted in (0, FADE / 2, FADE, length - FADE, length - FADE / 2, length):
        at = min(range(len(seen.pictures)), key=lambda one: abs(seen.times[one] - wanted))
        time = seen.times[at]
        found.append((at, max(0.0, min(1.0, time / FADE, (length - time) / FADE))))
    return found


def compare(source: Seen, quick: Lane, whole: Lane) -> None:
    """Add to the quick lane what is known only beside the source and the whole encode."""
    low, high = quick.joins
    inside = [time for time in source.times if START <= time + 1e-6 < END]
    theirs, place = dict(source.packets), dict(zip(quick.seen.times, inside, strict=True))
    between = [(time, one) for time, one in quick.seen.packets if low - 1e-3 <= time < high - 1e-3]
    # The leading pictures of an open GOP in H.264 are replaced, since they refer to what was encoded anew.
    copied = [(time, one) for time, one in between if time >= between[0][0]]
    quick.copied = len(copied)
    quick.altered = sum(theirs[place[time]] != one for time, one in copied)
    near = [at for at, time in enumerate(quick.seen.times) if min(abs(time - low), abs(time - high)) < 0.3]
    quick.likeness = min(psnr(quick.seen.pictures[at], whole.seen.pictures[at]) for at in near)


def psnr(one: bytes, other: bytes) -> float:
    error = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one)
    return 10 * math.log10(255**2 / error) if error else math.inf


async def both(directory: Path, case: Case) -> dict[str, Lane]:
    source = await make(directory, case.recording)
    (quick, told), (whole, told_whole) = [await cut(source, case, lane) for lane in ("auto", "full")]
    there = await look(source, case.recording, case.turned)
    lanes = {}
    for name, path, check in (("auto", quick, told), ("full", whole, told_whole)):
        lanes[name] = measure(case, there, await look(path, case.recording, case.turned), check)
    if lanes["auto"].lane != "full":
        compare(there, lanes["auto"], lanes["full"])
    return lanes


@pytest.fixture(scope="module")
def results(request, tmp_path_factory):
    """Both lanes of every case that a test asks for, made once; an exception where one could not be."""
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    asked = list(dict.fromkeys(one["case"] for one in calls if one.get("case") in CASES)) or list(CASES)
    places = asyncio.Semaphore(2)

    async def one(name):
        async with places:
            return await both(tmp_path_factory.mktemp("case"), CASES[name])

    async def everything():
        try:
            return await asyncio.gather(*map(one, asked), return_exceptions=True)
        finally:
            await close_probers()

    return dict(zip(asked, asyncio.run(everything()), strict=True))


def lanes_of(results, case) -> dict[str, Lane]:
    if isinstance(results[case], Exception):
        raise results[case]
    return results[case]


@pytest.mark.parametrize("case", CASES)
def test_of_every_recording_both_lanes_make_the_same_talk(results, case):
    for lane in lanes_of(results, case).values():
        assert (lane.seen.said, lane.lost) == ("", 0)
        assert (lane.start, lane.end) == pytest.approx((0, 0), abs=0.0015)
        assert lane.ramp <= 0.03
        assert lane.offset <= 0.02
        assert lane.points >= (4 if CASES[case].recording.sounds else 0)


@pytest.mark.parametrize("case", CASES)
def test_between_the_edges_nothing_is_altered_and_beside_them_nothing_shows(results, case):
    quick = lanes_of(results, case)["auto"]
    assert (quick.lane, quick.why[-1]) == (CASES[case].lane, ".")
    assert CASES[case].why in quick.why
    if quick.lane == "edges":
        assert quick.altered == 0
        assert quick.copied > 60
        assert quick.likeness >= 35


def test_the_totals_are_told(request, results, capsys):
    every = {case: lanes_of(results, case) for case in results}
    quick = [one["auto"] for one in every.values()]
    lanes = [lane for one in every.values() for lane in one.values()]
    unexplained = sum(CASES[case].why not in one["auto"].why for case, one in every.items())
    told = [
        f"matrix sources={len(every)}",
        *(f"{name}={sum(one.lane == name for one in quick)}" for name in ("edges", "full")),
        f"unexplained={unexplained} lost={sum(one.lost for one in lanes)}",
        f"broken={sum(bool(one.seen.said) for one in lanes)}",
        f"altered={sum(one.altered for one in quick)}/{sum(one.copied for one in quick)}",
        f"ramp={100 * max(one.ramp for one in lanes):.1f}% offset={1000 * max(one.offset for one in lanes):.1f}ms",
        f"joins={min(one.likeness for one in quick):.1f}dB",
    ]
    with capsys.disabled():
        reporter = request.config.pluginmanager.getplugin("terminalreporter")
        reporter.ensure_newline()
        reporter.write_line(" ".join(told))
    assert unexplained == 0
    assert len(CASES) >= 24
