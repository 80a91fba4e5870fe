"""Recordings of many kinds, each cut in both lanes: nothing is lost, nothing breaks, and every way taken is explained."""

import asyncio
from dataclasses import dataclass

import pytest
from footage import clips
from footage.recordings import Recording, make
from footage.strategies import Lane, Times, both

pytestmark = pytest.mark.media

TIMES = Times(1.3, 13.9, 3.0)
X264 = ("libx264", "-preset", "ultrafast", "-crf", 10, "-g", 25, "-keyint_min", 25, "-sc_threshold", 0)
OPEN = ("libx264", "-preset", "veryfast", "-crf", 10, "-g", 24, "-x264-params")
X265 = ("libx265", "-preset", "ultrafast", "-crf", 10, "-g", 25, "-tag:v", "hvc1", "-x265-params")
QUIET = "log-level=none"
VARYING = "select='gt(mod(n,7),1)*gt(mod(n,11),3)'"
HDR = (
    f"{QUIET}:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
)
COPIED = "the frames between are copied"


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
    "H.264, intra refresh": edges(
        *(*X264, "-x264-params", "intra-refresh=1", "-forced-idr", 1, "-force_key_frames", "expr:gte(t,n_forced*4.8)")
    ),
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


@pytest.fixture(scope="module")
def results(request, tmp_path_factory):
    """Both lanes of every case that a test asks for, made once; an exception where one could not be."""
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    asked = list(dict.fromkeys(call["case"] for call in calls if call.get("case") in CASES)) or list(CASES)
    places = asyncio.Semaphore(2)

    async def one(name):
        case = CASES[name]
        async with places:
            source = await make(tmp_path_factory.mktemp("case"), case.recording)
            return await both(source, TIMES, codec=case.recording.codec, turned=case.turned, open_gops=case.open_gops)

    async def everything():
        try:
            return await asyncio.gather(*map(one, asked), return_exceptions=True)
        finally:
            await clips.ENCODER.shared.close()

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
    quick = [value["auto"] for value in every.values()]
    lanes = [lane for value in every.values() for lane in value.values()]
    unexplained = sum(CASES[case].why not in value["auto"].why for case, value in every.items())
    told = [
        f"matrix sources={len(every)}",
        *(f"{name}={sum(auto.lane == name for auto in quick)}" for name in ("edges", "full")),
        f"unexplained={unexplained} lost={sum(lane.lost for lane in lanes)}",
        f"broken={sum(bool(lane.seen.said) for lane in lanes)}",
        f"altered={sum(auto.altered for auto in quick)}/{sum(auto.copied for auto in quick)}",
        f"ramp={100 * max(lane.ramp for lane in lanes):.1f}% offset={1000 * max(lane.offset for lane in lanes):.1f}ms",
        f"joins={min(auto.likeness for auto in quick):.1f}dB",
    ]
    with capsys.disabled():
        reporter = request.config.pluginmanager.getplugin("terminalreporter")
        reporter.ensure_newline()
        reporter.write_line(" ".join(told))
    assert unexplained == 0
    assert len(CASES) >= 24
