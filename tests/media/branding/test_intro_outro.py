"""What is put around and over a talk, measured: nothing of the talk is lost or moved, in either lane."""

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path

import av
import pytest
from footage import clips
from footage.recordings import BLACK, GREY, Recording, Seen, look, make, read_packets
from PIL import Image

from vidd.errors import Refused, RetryLater
from vidd.media.encode import assembly
from vidd.model.event import EncodeEnded
from vidd.model.media import Outcome
from vidd.model.talk import Speaker, Talk
from vidd.ports.shared import Shared
from vidd.steps import trim

pytestmark = pytest.mark.media

START, END, FADE = 1.3, 6.7, 0.5
X264 = ("libx264", "-preset", "ultrafast", "-crf", 10, "-g", 25, "-keyint_min", 25, "-sc_threshold", 0, "-bf", 2)
X265 = ("libx265", "-preset", "ultrafast", "-crf", 10, "-g", 25, "-tag:v", "hvc1", "-x265-params", "log-level=none")
RECORDING = Recording(X264, seconds=8)
VARYING = "select='gt(mod(n,7),1)*gt(mod(n,11),3)'"
TALK = Talk("t1", title="Loops", speakers=(Speaker("Ada Lovelace"), Speaker("Alan Turing")), stage="Main Stage")
STING_GREY, CARD_GREY = 120, 200
LANES = ["auto", "full"]


@pytest.fixture(params=LANES)
def lane(request):
    """Whatever way it is made, a talk is the same to whoever sees it."""
    return request.param


@dataclass(frozen=True)
class Dressed:
    """What was made, and what it shows."""

    path: Path
    outcome: Outcome
    events: list[object]

    @property
    def facts(self):
        return self.outcome.facts

    @property
    def check(self):
        return self.outcome.artifacts[0].facts["check"]

    def part(self, name: str) -> tuple[float, float]:
        """When it begins and ends."""
        part = next(part for part in self.facts["parts"] if part["part"] == name)
        return part["at"], part["at"] + part["seconds"]


def sting(directory: Path, *, name="sting.mp4", seconds=1.2, output=(), chosen="null", **more) -> str:
    """An even grey with a tone; its name, as the settings have it."""
    picture = f"geq=lum={STING_GREY}:cb=128:cr=128,{chosen}"
    encoded = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", 10, "-c:a", "aac", *output)
    tone = {"sound": "sine=frequency=880:sample_rate=48000", **more}
    clips.recording(directory / name, seconds=seconds, picture=picture, output=encoded, **tone)
    return name


def grey_card(**more):
    """A card without a word that could be seen."""
    grey = f"#{CARD_GREY:02x}{CARD_GREY:02x}{CARD_GREY:02x}"
    return {"seconds": "1s", "fade": "0.2s", "background": grey, "colour": grey, "text_colour": grey, **more}


async def dress(directory: Path, source: Path, talk=TALK, span=(START, END), **options) -> Dressed:
    facts = {"start": span[0], "end": span[1]}
    watched = clips.Watched(directory, source, name="x.mp4", talk=talk, facts=facts)
    settings = trim.Options.model_validate({"fade": FADE, "crf": 10, "preset": "ultrafast", **options})
    outcome = await trim.run(settings, watched.context)
    return Dressed(directory / outcome.artifacts[0].path, outcome, watched.events)


async def seen(result: Dressed, recording: Recording = RECORDING, turned: str = "") -> Seen:
    found = await look(result.path, recording.codec, turned)
    assert found.said == ""
    return found


def together(shown: Seen, begin: float, end: float) -> list[float]:
    """By how much sound comes after the picture, at each flash between two times."""
    flashes = [time for time in shown.flashes() if begin < time < end]
    return [shown.beep(time) - time for time in flashes]


def grey_at(shown: Seen, moment: float) -> float:
    return shown.grey(max(at for at, time in enumerate(shown.times) if time <= moment + 1e-3))


def number_of(shown: Seen, begin: float, end: float) -> list[int | None]:
    return [shown.number(at) for at, time in enumerate(shown.times) if begin - 1e-4 <= time < end - 1e-4]


async def test_all_parts_come_one_after_another_and_the_talk_keeps_picture_and_sound_together(tmp_path, lane):
    source = await make(tmp_path, RECORDING)
    result = await dress(
        tmp_path,
        source,
        lane=lane,
        sting_before=sting(tmp_path),
        title_card=grey_card(),
        closing_card=grey_card(seconds=0.8),
        sting_after=sting(tmp_path, name="after.mp4", seconds=0.6),
    )
    assert result.facts["lane"] == ("edges" if lane == "auto" else "full")
    parts = [(part["part"], round(part["at"], 6), round(part["seconds"], 6)) for part in result.facts["parts"]]
    assert parts == [
        ("sting before", 0.0, 1.2),
        ("title card", 1.2, 1.0),
        ("talk", 2.2, 5.4),
        ("closing card", 7.6, 0.8),
        ("sting after", 8.4, 0.6),
    ]
    assert result.facts["talk_at"] == pytest.approx(2.2)
    shown = await seen(result)
    assert len(shown.times) == 30 + 25 + 135 + 20 + 15
    assert shown.times == pytest.approx(
        [at / 25 for at in range(55)]
        + [2.2 + 0.02 + at / 25 for at in range(135)]
        + [7.6 + at / 25 for at in range(35)],
        abs=0.001,
    )
    assert grey_at(shown, 0.0) == pytest.approx(STING_GREY, abs=3)
    assert grey_at(shown, 1.16) == pytest.approx(STING_GREY, abs=3)
    assert grey_at(shown, 1.2) == pytest.approx(BLACK, abs=4)
    assert grey_at(shown, 1.7) == pytest.approx(16 + CARD_GREY * 219 / 255, abs=3)
    assert grey_at(shown, 2.16) < 60
    assert grey_at(shown, 2.22) == pytest.approx(BLACK, abs=8)
    assert grey_at(shown, 5.02) == pytest.approx(GREY, abs=3)
    assert grey_at(shown, 7.6) == pytest.approx(BLACK, abs=4)
    assert grey_at(shown, 8.4) == pytest.approx(STING_GREY, abs=3)
    assert [number for number in number_of(shown, 2.8, 7.0) if number is not None] == list(range(48, 153))
    late = together(shown, 2.2, 7.6)
    assert len(late) == 5
    assert max(map(abs, late)) <= 0.02
    assert result.outcome.artifacts[0].media.duration == pytest.approx(9.0, abs=0.03)
    assert len(shown.sounds[0]) / 48000 == pytest.approx(9.0, abs=0.001)
    for at, loud in ((0.6, True), (1.7, False), (8.0, False), (8.7, True)):
        assert (clips.loudness(result.path, at) > 0.05) is loud, at


async def test_a_dressed_talk_that_is_encoded_in_segments_goes_on_with_those_of_a_run_before(tmp_path, monkeypatch):
    source = await make(tmp_path, Recording(X264))  # x264 begins anew after ten seconds, and there a segment may end
    wanted = {
        "lane": "full",
        "span": (1.3, 13.9),
        "segment": "1s",
        "sting_before": sting(tmp_path),
        "title_card": grey_card(),
        "sting_after": "sting.mp4",
        "watermark": {"image": logo(tmp_path), "height": "6px", "margin": 0, "position": "bottom-left"},
        "loudness": {"target": -30},
    }
    straight = await dress(tmp_path, source, **wanted)
    shown = await seen(straight)
    good = assembly.concatenate

    async def full(*_, **__):
        raise RetryLater("The disk was full.")

    monkeypatch.setattr(assembly, "concatenate", full)
    with pytest.raises(RetryLater, match="The disk was full"):
        await dress(tmp_path, source, **wanted)
    monkeypatch.setattr(assembly, "concatenate", good)
    again = await dress(tmp_path, source, **wanted)
    number = straight.check["segments"]["number"]
    assert number > 1
    assert (straight.check["segments"]["found"], again.check["segments"]["found"]) == (0, number)
    assert again.check["segments"]["encoded"] == 0
    assert [number for number in number_of(shown, 2.8, 14.2) if number is not None] == list(range(48, 333))
    assert max(map(abs, together(shown, 2.2, 14.8))) <= 0.02
    assert (await seen(again)).pictures == shown.pictures
    logo(tmp_path, colour=(9, 9, 9, 255))
    monkeypatch.setattr(assembly, "concatenate", full)
    with pytest.raises(RetryLater):
        await dress(tmp_path, source, **wanted)
    monkeypatch.setattr(assembly, "concatenate", good)
    logo(tmp_path)
    assert (await dress(tmp_path, source, **wanted)).check["segments"]["found"] == 0
    assert sorted(path.name for path in tmp_path.glob(".talk*")) == []


async def test_the_packets_of_the_talk_are_the_recordings_own(tmp_path):
    source = await make(tmp_path, RECORDING)
    result = await dress(
        tmp_path, source, sting_before=sting(tmp_path), title_card=grey_card(), sting_after="sting.mp4"
    )
    begin = result.facts["talk_at"]
    inside = [place["at"] for place in result.check["joins"] if begin + 0.01 < place["at"] < begin + 5.39]
    theirs = {digest for _, digest in read_packets(source, "h264", 0.0)}
    ours = [
        digest
        for time, digest in read_packets(result.path, "h264", 0.0)
        if inside[0] - 1e-4 <= time < inside[-1] - 1e-4
    ]
    assert len(inside) == 2
    assert len(ours) > 80
    assert set(ours) <= theirs
    assert result.check["sound_encoded"] == [""]
    assert copied_sound(result.path, source) > 180


def copied_sound(path: Path, source: Path) -> int:
    """How many packets of sound are the source's."""
    theirs = set(packets_of_sound(source))
    return sum(packet in theirs for packet in packets_of_sound(path))


def packets_of_sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


STINGS = {
    "another rate, size, sampling and one channel": {
        "rate": "30000/1001",
        "size": "320x240",
        "sound": "sine=frequency=880:sample_rate=44100",
        "output": ("-ac", 1),
    },
    "a portrait": {"size": "54x96"},
    "without sound": {"tracks": 0},
    "HEVC in Matroska with six channels": {
        "name": "sting.mkv",
        "output": ("-c:v", "libx265", "-x265-params", "log-level=none", "-ac", 6),
    },
    "varying rate": {"rate": "30", "chosen": VARYING},
    "sound that is longer and late": {"output": ("-af", "adelay=400,apad=pad_dur=1")},
}


WHOLE_STINGS = ["another rate, size, sampling and one channel", "without sound"]


@pytest.mark.parametrize(
    ("kind", "lane"), [*((kind, "auto") for kind in STINGS), *((kind, "full") for kind in WHOLE_STINGS)]
)
async def test_a_sting_of_any_kind_takes_the_talks_form(tmp_path, lane, kind):
    source = await make(tmp_path, RECORDING)
    result = await dress(tmp_path, source, lane=lane, sting_before=sting(tmp_path, **STINGS[kind]))
    assert result.facts["lane"] == ("edges" if lane == "auto" else "full")
    begin, end = result.part("talk")
    assert begin == pytest.approx(1.2, abs=0.1)
    shown = await seen(result)
    assert len(shown.times) == round(begin * 25) + 135
    assert shown.times[:28] == pytest.approx([at / 25 for at in range(28)], abs=0.001)
    assert max(map(abs, together(shown, begin, end))) <= 0.02
    media = result.outcome.artifacts[0].media
    assert (media.audio[0].rate, media.audio[0].channels) == (48000, 1)
    expected = "tracks" not in STINGS[kind]
    assert (clips.loudness(result.path, 0.7) > 0.03) is expected
    wide = kind != "a portrait"
    left = bytes(shown.pictures[15])[32 * 96 + 2]
    assert left == pytest.approx(STING_GREY if wide and "size" not in STINGS[kind] else BLACK, abs=4)


TALKS = {
    "HEVC": Recording(X265, codec="hevc", seconds=8),
    "AV1": Recording(("libsvtav1", "-preset", 10, "-crf", 20, "-g", 25), codec="av1", seconds=8),
    "varying rate": Recording(X264, rate="30", chosen=VARYING, seconds=8),
    "a transport stream from 100 s on": Recording(X264, suffix="ts", output=("-output_ts_offset", "100"), seconds=8),
    "10 bits in Matroska": Recording(X264, pixels="yuv420p10le", suffix="mkv", seconds=8),
    "MP3 sound": Recording(X264, sounds=(("libmp3lame",),), suffix="mov", seconds=8),
    "two tracks of other sampling": Recording(
        X264, sounds=(("aac",), ("aac", "-ar:a:1", 44100, "-ac:a:1", 2)), seconds=8
    ),
    "sound that begins late": Recording(X264, late=3, suffix="mkv", seconds=8),
    "sound that ends early": Recording(X264, early=3, seconds=8),
    "full range": Recording(X264, pixels="yuvj420p", seconds=8),
}


WHOLE_TALKS = ["varying rate", "two tracks of other sampling", "sound that begins late", "sound that ends early"]


@pytest.mark.parametrize(
    ("kind", "lane"), [*((kind, "auto") for kind in TALKS), *((kind, "full") for kind in WHOLE_TALKS)]
)
async def test_a_talk_of_any_kind_keeps_its_pictures_and_its_sound_between_two_stings(tmp_path, lane, kind):
    recording = TALKS[kind]
    source = await make(tmp_path, recording)
    name = sting(tmp_path)
    result = await dress(tmp_path, source, lane=lane, sting_before=name, closing_card=grey_card(), sting_after=name)
    assert result.facts["lane"] == ("edges" if lane == "auto" else "full"), result.facts["why"]
    begin, end = result.part("talk")
    shown = await seen(result, Recording(X264) if lane == "full" else recording)
    wanted = [number for number in range(240) if START <= time_of(number, recording) < END and kept(number, recording)]
    numbers = [number for number in number_of(shown, begin + FADE, end - FADE) if number is not None]
    bright = [number for number in wanted if START + FADE <= time_of(number, recording) < END - FADE]
    assert numbers[: len(bright)] == bright or set(bright) <= set(numbers)
    first = next(at for at, time in enumerate(shown.times) if time >= begin - 1e-4)
    last = max(at for at, time in enumerate(shown.times) if time < end - 1e-4)
    assert last - first + 1 == len(wanted)
    theirs = await look(source, recording.codec)
    for track in range(len(recording.sounds)):
        moved = [
            found - flash - (theirs.beep(before, track) - before)
            for flash in shown.flashes()
            for before in theirs.flashes()
            if abs(flash - begin + START - before) < 0.05 and (found := shown.beep(flash, track)) is not None
        ]
        assert len(moved) >= 2
        assert max(map(abs, moved)) <= 0.02
    assert all(abs(len(sound) / 48000 - (end + 1 + 1.2)) < 0.03 for sound in shown.sounds)
    assert clips.loudness(result.path, 0.6) > 0.05
    assert clips.loudness(result.path, end + 1 + 0.6) > 0.05


def time_of(number: int, recording: Recording) -> float:
    return number / int(recording.rate) + 1e-9


def kept(number: int, recording: Recording) -> bool:
    return not recording.chosen or (number % 7 > 1 and number % 11 > 3)


@pytest.mark.parametrize("turned", [90, 270])
async def test_around_a_talk_that_was_filmed_upright_all_stands_upright(tmp_path, lane, turned):
    recording = Recording(X264, seconds=8, again=(("-display_rotation", -turned), ()))
    source = await make(tmp_path, recording)
    # Bright above, dark below.
    halves = "geq=lum='if(lt(Y,H/2),210,60)':cb=128:cr=128"
    clips.recording(tmp_path / "sting.mp4", seconds=1, size="64x96", picture=halves)
    result = await dress(tmp_path, source, lane=lane, sting_before="sting.mp4")
    assert result.facts["lane"] == ("edges" if lane == "auto" else "full"), result.facts["why"]
    assert result.outcome.artifacts[0].media.video[0].display_size == (64, 96)
    upright = tmp_path / "upright.mp4"
    clips.ffmpeg("-i", result.path, "-t", 2, "-c:v", "libx264", "-crf", 5, upright)
    _, frame = clips.pictures(upright)[12]
    plane, line = memoryview(frame.planes[0]), frame.planes[0].line_size
    assert (frame.width, frame.height) == (64, 96)
    assert plane[20 * line + 32] == pytest.approx(210, abs=5)
    assert plane[80 * line + 32] == pytest.approx(60, abs=5)


async def test_in_a_talk_of_high_dynamic_range_a_sting_is_as_bright_as_paper_and_no_brighter(tmp_path):
    tags = "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    recording = Recording((*X265[:-1], tags), codec="hevc", pixels="yuv420p10le", seconds=4)
    source = await make(tmp_path, recording)
    clips.recording(tmp_path / "sting.mp4", seconds=0.4, picture="geq=lum=235:cb=128:cr=128")
    result = await dress(
        tmp_path, source, span=(0.5, 3.5), fade=0.2, sting_before="sting.mp4", title_card={"background": "#ffffff"}
    )
    assert result.facts["lane"] == "edges"
    frames = [frame for _, frame in clips.pictures(result.path)]
    assert {(frame.color_trc, frame.colorspace) for frame in frames} == {(16, 9)}
    # 203 cd/m2 of PQ (ITU-R BT.2408, table 1): 58 % of 64 to 940.
    for at in (5, 10 + 30):
        first = int.from_bytes(bytes(frames[at].planes[0])[:2], "little")
        assert first == pytest.approx(64 + 0.58 * 876, abs=4)


async def test_a_talk_without_sound_has_none_from_a_sting(tmp_path, lane):
    recording = Recording(X264, sounds=(), seconds=8)
    source = await make(tmp_path, recording)
    result = await dress(tmp_path, source, lane=lane, sting_before=sting(tmp_path), title_card=grey_card())
    assert result.outcome.artifacts[0].media.audio == ()
    assert len((await seen(result, recording)).times) == 30 + 25 + 135


async def test_without_fades_a_sting_goes_over_into_the_talk_without_a_seam(tmp_path, lane):
    source = await make(tmp_path, RECORDING)
    result = await dress(
        tmp_path, source, lane=lane, fade=0, span=(2, 6), sting_before=sting(tmp_path), sting_after="sting.mp4"
    )
    shown = await seen(result)
    assert result.facts["lane"] == ("copy" if lane == "auto" else "full")
    assert [number for number in number_of(shown, 1.2, 5.2) if number is not None] == list(range(50, 150))
    assert max(map(abs, together(shown, 1.3, 5.2))) <= 0.02
    if lane == "auto":
        assert result.check["sound_encoded"] == [""]
    # The sting's tone is heard to its last moment, and the beep of the talk's first moment from there on.
    tone, beep = clips.sound(result.path)[57000:57550], clips.sound(result.path)[57650:58000]
    assert max(tone) == pytest.approx(4096, rel=0.1)
    assert max(beep) > 20_000


async def test_without_fades_a_sting_goes_over_into_an_open_group_of_hevc(tmp_path):
    recording = Recording((*X265[:-1], "log-level=none:bframes=4:open-gop=1"), codec="hevc", seconds=8)
    source = await make(tmp_path, recording)
    result = await dress(tmp_path, source, fade=0, span=(2, 6), sting_before=sting(tmp_path), sting_after="sting.mp4")
    shown = await seen(result, recording)
    assert result.facts["lane"] in {"copy", "edges"}, result.facts["why"]
    assert [number for number in number_of(shown, 1.2, 5.2) if number is not None] == list(range(50, 150))
    assert len(shown.times) == 30 + 100 + 30


def picture_of(path: Path, at: int) -> tuple[memoryview, int]:
    _, frame = clips.pictures(path)[at]
    return memoryview(frame.planes[0]), frame.planes[0].line_size


def logo(directory: Path, size=(20, 10), colour=(255, 255, 255, 255)) -> str:
    Image.new("RGBA", size, colour).save(directory / "logo.png")
    return "logo.png"


@pytest.mark.parametrize(
    ("options", "inside", "outside"),
    [
        ({"height": "10px", "margin": "4px"}, (80, 8), (60, 8)),
        ({"height": "25%", "margin": "4px", "position": "bottom-left"}, (20, 52), (60, 52)),
        ({"height": "10px", "position": "centre"}, (48, 32), (48, 8)),
    ],
)
async def test_a_watermark_lies_over_every_picture_of_the_talk_and_nowhere_else(tmp_path, options, inside, outside):
    source = clips.recording(tmp_path / "in.mp4", seconds=4, picture="geq=lum=60:cb=128:cr=128")
    result = await dress(
        tmp_path, source, span=(1, 3), watermark={"image": logo(tmp_path), **options}, title_card=grey_card()
    )
    assert (result.facts["lane"], result.facts["why"]) == ("full", "A watermark is put over every frame.")
    assert len(result.facts["watermark"]["digest"]) == 64
    for at, share in ((25, 0), (25 + 6, 0.48), (25 + 13, 1), (25 + 37, 1), (25 + 49, 0.08)):
        plane, line = picture_of(result.path, at)
        for (column, row), value in ((inside, 235), (outside, 60)):
            wanted = BLACK + (value - BLACK) * share
            assert plane[row * line + column] == pytest.approx(wanted, abs=4), (at, column, row)
    plane, line = picture_of(result.path, 12)
    grey = 16 + CARD_GREY * 219 / 255
    assert plane[inside[1] * line + inside[0]] == pytest.approx(grey, abs=3)


async def test_a_watermark_shines_through_and_lies_right_as_the_picture_is_seen(tmp_path):
    first = clips.recording(tmp_path / "first.mp4", seconds=4, picture="geq=lum=60:cb=128:cr=128")
    clips.ffmpeg("-display_rotation", -90, "-i", first, "-c", "copy", tmp_path / "in.mp4")
    mark = {"image": logo(tmp_path), "height": "10px", "margin": 0, "opacity": 0.5}
    result = await dress(tmp_path, tmp_path / "in.mp4", span=(1, 3), watermark=mark)
    _, frame = clips.pictures(result.path)[25]
    assert (frame.width, frame.height, frame.rotation) == (64, 96, 0)
    plane, line = picture_of(result.path, 25)
    assert plane[5 * line + 54] == pytest.approx((60 + 235) / 2, abs=6)
    assert plane[5 * line + 30] == pytest.approx(60, abs=4)


def coloured(path: Path, matrix: str = "", **more) -> Path:
    """An even orange: Y 100, Cb 90, Cr 200, by this matrix or by one that the file does not name."""
    named = f",setparams=colorspace={matrix}:color_primaries={matrix}:color_trc={matrix}" if matrix else ""
    encoded = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", 4, "-g", 25, "-c:a", "aac")
    picture = f"lutyuv=y=100:u=90:v=200{named}"
    return clips.recording(path, size="1280x720", picture=picture, output=encoded, **more)


def colour_at(frame: av.VideoFrame, column: int, row: int) -> tuple[int, ...]:
    """Y, Cb and Cr of a pixel."""
    places = [(column, row), (column // 2, row // 2), (column // 2, row // 2)]
    planes = zip(frame.planes, places, strict=True)
    return tuple(memoryview(plane)[down * plane.line_size + across] for plane, (across, down) in planes)


@pytest.mark.parametrize(
    ("talk", "sting", "clip"),
    [("", "", (100, 90, 200)), ("bt709", "smpte170m", (87, 97, 199)), ("", "bt709", (100, 90, 200))],
)
async def test_what_is_put_around_and_over_a_talk_has_its_colours_and_leaves_it_its_own(tmp_path, talk, sting, clip):
    source = coloured(tmp_path / "in.mp4", talk, seconds=2.4)
    coloured(tmp_path / "sting.mp4", sting, seconds=0.2)
    red = {"background": "#ff0000", "heading": ".", "text": "", "seconds": 0.2, "fade": 0}
    parts = {"sting_before": "sting.mp4", "title_card": red, "fade": 0, "span": (0.2, 2.2)}
    mark = {"watermark": {"image": logo(tmp_path, (100, 50), (255, 0, 0, 255))}}
    for more in ({}, {"lane": "full"}, mark):
        result = await dress(tmp_path, source, **parts, **more)
        frames = [frame for _, frame in clips.pictures(result.path)]
        assert len({(frame.colorspace, frame.color_primaries, frame.color_range) for frame in frames}) == 1
        assert colour_at(frames[2], 300, 300) == pytest.approx(clip, abs=1)
        # Red by ITU-R BT.709.
        assert colour_at(frames[7], 300, 300) == pytest.approx((63, 102, 240), abs=1)
        assert colour_at(frames[30], 300, 300) == pytest.approx((100, 90, 200), abs=1)
        seen = (63, 102, 240) if more is mark else (100, 90, 200)
        assert colour_at(frames[30], 1280 - 58, 33) == pytest.approx(seen, abs=2)


async def test_a_watermark_may_lie_in_a_directory_of_any_name(tmp_path):
    odd = tmp_path / "it's [a], b;c:d %03d 'ü"
    odd.mkdir()
    source = clips.recording(odd / "in.mp4", seconds=3, picture="geq=lum=60:cb=128:cr=128")
    result = await dress(odd, source, span=(0.5, 2.5), watermark={"image": logo(odd)}, title_card=grey_card())
    plane, line = picture_of(result.path, 25 + 25)
    assert plane[12 * line + 80] == pytest.approx(235, abs=6)


QUIET = "aevalsrc='0.04*sin(6264*t)':sample_rate=48000"
CLICKS = "aevalsrc='0.03*sin(1384*t)*(0.6+0.4*sin(3*t))+0.6*sin(6264*t)*lt(mod(t,1),0.004)':sample_rate=48000"


@pytest.mark.parametrize(("target", "sound"), [(-23, QUIET), (-16, QUIET), (-16, CLICKS)])
async def test_a_talk_gets_the_loudness_that_is_asked_for(tmp_path, lane, target, sound):
    source = clips.recording(
        tmp_path / "in.mp4", seconds=8, sound=sound, output=("-c:v", *X264, "-c:a", "aac", "-b:a", "128k")
    )
    result = await dress(
        tmp_path, source, lane=lane, sting_before=sting(tmp_path), loudness={"target": f"{target} LUFS"}
    )
    assert result.facts["lane"] == ("edges" if lane == "auto" else "full")
    (track,) = result.facts["loudness"]
    assert abs(track["before"]["lufs"] - target) > 1
    assert track["after"]["lufs"] == pytest.approx(target, abs=1)
    assert track["after"]["dbtp"] <= -0.9
    assert (track["limit"] is not None) is (sound == CLICKS)
    # Measured by itself: only the talk, after the sting.
    talk = tmp_path / "talk.wav"
    clips.ffmpeg("-ss", result.facts["talk_at"], "-i", result.path, "-vn", talk)
    assert await measured(talk) == pytest.approx(target, abs=1)
    if lane == "auto":
        assert result.check["sound_encoded"] == [f"Its loudness is changed by {track['gain']:+.1f} dB."]
        theirs = {digest for _, digest in read_packets(source, "h264", 0.0)}
        assert sum(digest in theirs for _, digest in read_packets(result.path, "h264", 0.0)) > 80
    # The sting is as loud as it was.
    assert clips.loudness(result.path, 0.6) == pytest.approx(0.088, abs=0.01)


async def measured(path: Path) -> float:
    process = await asyncio.create_subprocess_exec(
        *map(
            str,
            (clips.FFMPEG, "-nostdin", "-nostats", "-i", path, "-af", "ebur128=framelog=quiet", "-f", "null", "-"),
        ),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    return float(said.decode().rpartition("    I:")[2].split()[0])


async def test_sound_within_the_tolerance_is_copied(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=8, sound=QUIET, output=("-c:v", *X264, "-c:a", "aac"))
    first = await dress(tmp_path, source, loudness={"target": -10, "most_gain": 60})
    loud = first.facts["loudness"][0]["before"]["lufs"]
    result = await dress(tmp_path, source, loudness={"target": loud + 0.9})
    (track,) = result.facts["loudness"]
    assert track["why"].startswith("It is within 1 LU of")
    assert track["before"] == track["after"]
    assert result.check["sound_encoded"] == [""]
    assert copied_sound(result.path, source) > 180


async def test_silence_stays_silence(tmp_path):
    source = clips.recording(
        tmp_path / "in.mp4", seconds=8, sound="anullsrc=sample_rate=48000", output=("-c:v", *X264, "-c:a", "aac")
    )
    result = await dress(tmp_path, source, loudness={})
    assert result.facts["loudness"][0]["why"] == "It is silent."
    json.dumps(result.facts)


def sharing(directory: Path, state: Path, shared: Shared) -> clips.Watched:
    """A job of its own in this directory, of a daemon whose state directory is another."""
    watched = clips.Watched(directory, directory / "in.mp4", name="x.mp4", facts={"start": START, "end": END})
    tools = watched.context.tools
    tools = replace(tools, state=state, encoder=replace(tools.encoder, shared=shared))
    watched.context = replace(watched.context, tools=tools)
    return watched


async def test_a_sting_is_encoded_once_for_all_talks_and_anew_where_it_is_another_or_spoilt(tmp_path):
    source = await make(tmp_path, RECORDING)
    jobs = [tmp_path / f"job{number}" for number in range(2)]
    for job in jobs:
        job.mkdir()
        (job / "in.mp4").hardlink_to(source)
    settings = trim.Options(fade=FADE, preset="ultrafast", sting_before=sting(tmp_path), sting_after="sting.mp4")

    shared = Shared()

    async def encodes(*jobs: Path) -> int:
        made = [sharing(job, tmp_path, shared) for job in jobs]
        await asyncio.gather(*(trim.run(settings, watched.context) for watched in made))
        ended = [
            event
            for watched in made
            for event in watched.events
            if isinstance(event, EncodeEnded) and event.kind == "sting"
        ]
        return len(ended) - 2 * len(jobs)  # its sound is brought to each talk's own form, before and after

    kept = tmp_path / "cache" / "stings"
    assert await encodes(*jobs) == 1
    (first,) = kept.iterdir()
    assert await encodes(jobs[0]) == 0
    first.write_bytes(first.read_bytes()[:400])
    assert await encodes(jobs[0]) == 1
    assert [path.name for path in kept.iterdir()] == [first.name]
    sting(tmp_path, seconds=0.8)
    assert await encodes(jobs[0]) == 1
    assert len(list(kept.iterdir())) == 2


def broken(directory: Path) -> dict[str, dict]:
    (directory / "text.mp4").write_text("no video")
    clips.ffmpeg("-f", "lavfi", "-i", "sine=duration=1", directory / "sound.m4a")
    whole = directory / sting(directory, name="whole.mp4")
    (directory / "half.mp4").write_bytes(whole.read_bytes()[:2000])
    (directory / "logo.svg").write_text("<svg/>")
    return {
        r"The sting before .*none\.mp4 cannot be used: The file 'none\.mp4' cannot be opened": {
            "sting_before": "none.mp4"
        },
        r"The sting after .*text\.mp4 cannot be used: .* is a text and no video": {"sting_after": "text.mp4"},
        r"The sting before .*sound\.m4a cannot be used: .* has no video stream": {"sting_before": "sound.m4a"},
        r"The sting before .*half\.mp4 cannot be used: .* was cut off": {"sting_before": "half.mp4"},
        r"The watermark .*logo\.svg is a drawing \(SVG\): export it as PNG": {"watermark": {"image": "logo.svg"}},
        r"The watermark .*none\.png cannot be opened": {"watermark": {"image": "none.png"}},
        r"The font .*none\.ttf cannot be used": {"title_card": {"fonts": ["none.ttf"]}},
        r"The image of the closing card .*none\.png cannot be opened": {"closing_card": {"image": "none.png"}},
    }


async def test_what_cannot_be_used_is_said_in_a_sentence_by_the_check_and_at_the_job(tmp_path):
    source = await make(tmp_path, RECORDING)
    for sentence, options in broken(tmp_path).items():
        watched = clips.Watched(tmp_path, source, name="x.mp4", talk=TALK, facts={"start": START, "end": END})
        settings = trim.Options.model_validate(options)
        with pytest.raises(Refused, match=sentence):
            await trim.check(settings, watched.context.tools)
        with pytest.raises(Refused, match=sentence):
            await trim.run(settings, watched.context)
        assert watched.events == []
    assert not list(tmp_path.glob(".talk*"))


async def test_the_check_says_how_long_a_sting_is(tmp_path):
    source = await make(tmp_path, RECORDING)
    tools = clips.Watched(tmp_path, source, name="x").context.tools
    settings = trim.Options.model_validate({"sting_before": sting(tmp_path), "watermark": {"image": logo(tmp_path)}})
    assert (await trim.check(settings, tools)).endswith("what cutting and encoding need. The sting before lasts 1.2 s.")


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        (
            {"heading": "{{ talk.nickname }}"},
            r"names an unknown field \.nickname, which the value before the dot does not have",
        ),
        ({"text": "On 中文"}, r"DejaVuSans\.ttf cannot show 中 .* of the title card"),
        ({"heading": "", "text": " "}, "The templates of the title card give no text"),
    ],
)
async def test_a_card_that_cannot_be_written_is_refused_before_anything_is_encoded(tmp_path, card, sentence):
    source = await make(tmp_path, RECORDING)
    watched = clips.Watched(tmp_path, source, name="x.mp4", talk=TALK, facts={"start": START, "end": END})
    with pytest.raises(Refused, match=sentence):
        await trim.run(trim.Options.model_validate({"title_card": card}), watched.context)
    assert watched.events == []


async def test_whatever_a_title_is_made_of_it_gets_onto_the_card(tmp_path):
    source = await make(tmp_path, RECORDING)
    title = "%{pts} %d {{ no }} \\ : ' \" ; , [out] é — " + "long " * 52
    result = await dress(tmp_path, source, replace(TALK, title=title), title_card={"seconds": "0.6s", "fade": 0})
    (words,) = result.facts["cards"].values()
    assert words["heading"] == " ".join(title.split())
    assert words["text"] == "Ada Lovelace and Alan Turing\nMain Stage"
    plane, line = picture_of(result.path, 5)
    bright = [plane[row * line + column] > 120 for row in range(64) for column in range(96)]
    assert sum(bright) > 150


async def test_a_title_that_was_corrected_has_its_card_made_anew_and_a_new_sting_does_not(tmp_path):
    source = await make(tmp_path, RECORDING)
    settings = trim.Options.model_validate(
        {"fade": FADE, "preset": "ultrafast", "title_card": {"seconds": 0.4}, "sting_before": sting(tmp_path)}
    )
    facts = {"start": START, "end": END}
    first = clips.Watched(tmp_path, source, name="x.mp4", talk=TALK, facts=facts).context
    outcome = await trim.run(settings, first)
    assert trim.is_still_valid(settings, first, outcome)
    sting(tmp_path, seconds=0.8)
    assert trim.is_still_valid(settings, first, outcome)
    assert not trim.is_still_valid(settings, replace(first, talk=replace(TALK, title="Loops & more")), outcome)


async def test_without_a_programme_a_card_says_what_the_file_is_called(tmp_path):
    source = await make(tmp_path, RECORDING)
    result = await dress(tmp_path, source, None, title_card={"seconds": 0.4})
    assert result.facts["cards"]["title card"] == {"heading": "x", "text": "", "dropped": ""}


async def test_what_a_killed_run_left_of_its_dressing_is_in_nobodys_way(tmp_path):
    source = await make(tmp_path, RECORDING)
    (tmp_path / ".talk.dress").mkdir()
    (tmp_path / ".talk.dress" / "before-12800-48000-mono.wav").write_bytes(b"half")
    result = await dress(tmp_path, source, sting_before=sting(tmp_path))
    assert result.facts["talk_at"] == 1.2
    assert not list(tmp_path.glob(".talk*"))


async def test_a_bare_talk_says_where_it_lies_too(tmp_path, lane):
    result = await dress(tmp_path, await make(tmp_path, RECORDING), lane=lane)
    assert result.facts["talk_at"] == 0
    assert [part["part"] for part in result.facts["parts"]] == ["talk"]
    assert result.facts["parts"][0]["seconds"] == pytest.approx(5.4)
    assert "loudness" not in result.facts


async def test_a_black_picture_under_a_large_watermark_is_found_black(tmp_path):
    clips.recording(tmp_path / "in.mp4", seconds=12, size="192x128", picture="geq=lum='if(between(T,3,9),16,180)'")
    mark = {"image": logo(tmp_path, (100, 50), (255, 0, 0, 255)), "height": "30%"}
    result = await dress(tmp_path, tmp_path / "in.mp4", span=(0, 12), watermark=mark)
    ((first, last),) = [stretch for stretch in result.check["black"] if stretch[1] - stretch[0] > 2]
    assert (first, last) == pytest.approx((3, 9), abs=0.05)


async def test_the_silence_of_a_card_is_not_the_talks(tmp_path, lane):
    source = await make(tmp_path, RECORDING)
    card = grey_card(seconds="3s", background="#000000", colour="#000000", text_colour="#000000")
    result = await dress(tmp_path, source, lane=lane, title_card=card, closing_card=card)
    begin, end = result.part("talk")
    for first, last in [*result.check["black"], *result.check["frozen"], *result.check["silent"][0]]:
        assert begin <= first <= last <= end + 0.05
