"""A talk as it should be, and forty ways in which one can be wrong.

The talk is the second 10 to 40 of a recording of 50 s: 96x64, 25 pictures a second, something that moves, and sound that
comes and goes as speech does. Each way makes a file that must not go out, and may change what is wanted of it.
"""

import atexit
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import av

from footage.clips import ffmpeg
from vidd.media.verify.verify import Expected, Origin

START, LENGTH, FAR = 10.0, 30.0, 660
PICTURE = "testsrc2=size={size}:rate={rate}:duration={seconds}"
# Three of a voice's tones, as loud as syllables, words and sentences are.
VOICE = "(sin(2*PI*140*t)+0.5*sin(2*PI*283*t)+0.3*sin(2*PI*611*t))"
SPEECH = "pow(abs(sin(2*PI*1.9*t)*sin(2*PI*0.77*t+1)),1.2)*gt(sin(2*PI*0.31*t+0.5),-0.8)"
OTHER_SPEECH = "pow(abs(sin(2*PI*1.37*t+1)*sin(2*PI*0.53*t)),0.7)*gt(sin(2*PI*0.23*t+2),-0.6)"
ENCODED = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", 24, "-g", 50, "-bf", 2, "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac", "-b:a", "64k")
FAST = ("-movflags", "+faststart")


@cache
def voice(speech: str = SPEECH) -> Path:
    """A minute of sound, made once."""
    place = Path(tempfile.mkdtemp(prefix="vidd-voice-"))
    atexit.register(shutil.rmtree, place)
    ffmpeg("-f", "lavfi", "-i", f"aevalsrc='0.4*{VOICE}*{speech}':s=48000:d=60", *AAC, place / "voice.aac")
    return place / "voice.aac"


def recording(path: Path, *output, seconds=50.0, size="96x64", rate="25", picture=PICTURE, sound="copy") -> Path:
    """Something like a recording of a talk; `sound` are filters, or None for none at all."""
    seen = picture.format(size=size, rate=rate, seconds=seconds)
    heard = ("-stream_loop", -1, "-i", voice()) if sound else ()
    coded = ("-c:a", "copy") if sound == "copy" else ("-filter:a", sound, *AAC) if sound else ()
    ffmpeg("-f", "lavfi", "-i", seen, *heard, "-t", seconds, *ENCODED, *coded, *FAST, *output, path)
    return path


class Talk:
    """A good talk, its recording, and what the talk is wanted to be."""

    def __init__(self, place: Path) -> None:
        self.recording, self.path = recording(place / "recording.mp4"), place / "talk.mp4"
        ffmpeg("-ss", START, "-i", self.recording, "-t", LENGTH, *ENCODED, *AAC, *FAST, self.path)
        self.wanted = Expected(
            LENGTH,
            LENGTH,
            96,
            64,
            1,
            rate=25,
            codec="h264",
            bits=16_000_000,
            frames=750,
            audio_ends=(LENGTH,),
            joins=(10.0, 20.0),
            origin=Origin(self.recording, START),
        )


def again(*words: object) -> Callable[[Talk, Path], None]:
    """The talk through ffmpeg once more."""
    return lambda talk, path: ffmpeg("-i", talk.path, *ENCODED, *AAC, *FAST, *words, path)


def seen(filters: str) -> Callable[[Talk, Path], None]:
    return again("-filter:v", filters, "-c:a", "copy")


def heard(filters: str) -> Callable[[Talk, Path], None]:
    return again("-filter:a", filters, "-c:v", "copy")


def cut_off(share: float) -> Callable[[Talk, Path], None]:
    """As a broken upload leaves it."""

    def make(talk: Talk, path: Path) -> None:
        data = talk.path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return make


def without_index(talk: Talk, path: Path) -> None:
    """As a recorder that lost power leaves it: the index (moov) comes last, and never came."""
    ffmpeg("-i", talk.path, "-c", "copy", path)
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])


def overwritten(
    time: float, size: int | None, *, noise: bool = False, key: bool = False
) -> Callable[[Talk, Path], None]:
    """Bytes at a picture's packet are zeros, or anything; without a size all of the packet's."""

    def make(talk: Talk, path: Path) -> None:
        data = bytearray(talk.path.read_bytes())
        with av.open(str(talk.path)) as file:
            packets = file.demux(file.streams.video[0])
            packet = next(
                candidate
                for candidate in packets
                if candidate.pts * candidate.time_base >= time and (candidate.is_keyframe or not key)
            )
            # The unit's length stays, so that only its content is wrong.
            begin, end = packet.pos + 40, packet.pos + (size or packet.size)
        data[begin:end] = random.Random(1).randbytes(end - begin) if noise else bytes(end - begin)
        path.write_bytes(data)

    return make


def rewritten(change: Callable[[list], list]) -> Callable[[Talk, Path], None]:
    """The talk's packets of the picture as `change` gives them back: (packet, time shown, time decoded)."""

    def make(talk: Talk, path: Path) -> None:
        with av.open(str(talk.path)) as source, av.open(str(path), "w", format="mp4") as out:
            streams = source.streams.video[0], source.streams.audio[0]
            packets = [[], []]
            for packet in source.demux(*streams):
                if packet.size:
                    packets[packet.stream is streams[1]].append((packet, packet.pts, packet.dts))
            packets[0] = change(packets[0])
            made = [out.add_stream_from_template(stream, opaque=True) for stream in streams]
            ready = []
            for stream, target, group in zip(streams, made, packets, strict=True):
                for packet, shown, decoded in group:
                    copy = av.Packet(bytes(packet))
                    copy.pts, copy.dts, copy.time_base = shown, decoded, stream.time_base
                    copy.is_keyframe, copy.stream = packet.is_keyframe, target
                    ready.append((float(decoded * stream.time_base), copy))
            for _, packet in sorted(ready, key=lambda entry: entry[0]):
                out.mux(packet)

    return make


def _later(packets: list, by: int) -> list:
    step = 512
    return [(packet, shown + by * step, decoded + by * step) for packet, shown, decoded in packets]


def lost_at_a_join(packets: list) -> list:
    """A sequence's last ten pictures are gone, and what follows has moved up."""
    return packets[:240] + _later(packets[250:], -10)


def gone_at_a_join(packets: list) -> list:
    """The same, but their time is left."""
    return packets[:240] + packets[250:]


def twice_at_a_join(packets: list) -> list:
    """Two seconds come twice."""
    return packets[:250] + _later(packets[200:], 50)


def at_one_time(packets: list) -> list:
    """Two pictures are shown at the same time."""
    return [
        (packet, packets[100][1] if at == 101 else shown, decoded)
        for at, (packet, shown, decoded) in enumerate(packets)
    ]


def without_what_it_refers_to(packets: list) -> list:
    """Behind a join come pictures whose keyframe is missing; there are as many as there should be."""
    strange = [(*packet[:1], *own[1:]) for packet, own in zip(packets[360:400], packets[250:290], strict=True)]
    return packets[:250] + strange + packets[290:]


def out_of_order(talk: Talk, path: Path) -> None:
    """A transport stream whose second half has the first half's times."""
    first, second = path.with_name("first.ts"), path.with_name("second.ts")
    for part, begin in ((first, 0), (second, 15)):
        ffmpeg("-ss", begin, "-i", talk.path, "-t", 15, *ENCODED, *AAC, "-f", "mpegts", part)
    path.write_bytes(first.read_bytes() + second.read_bytes())


def frozen(talk: Talk, path: Path) -> None:
    """Eleven minutes of which all but the first five seconds are one picture: a camera that hung."""
    still = f"fps=5,loop=loop=-1:size=1:start=24,trim=duration={FAR},setpts=N/5/TB"
    again_and_again = ("-stream_loop", FAR // 30 - 1, "-i", talk.path)
    ffmpeg(
        "-i",
        talk.path,
        *again_and_again,
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-filter:v",
        still,
        *ENCODED,
        "-c:a",
        "copy",
        "-t",
        FAR,
        path,
    )


def hidden_black(talk: Talk, path: Path) -> None:
    """Eight seconds of black between two keyframes thirty seconds apart."""
    black = "drawbox=t=fill:c=black:enable='between(t,10,18)'"
    apart = ("-g", 2000, "-keyint_min", 2000, "-sc_threshold", 0)
    ffmpeg("-i", talk.path, "-filter:v", black, *ENCODED, *apart, "-c:a", "copy", path)


def anothers_sound(talk: Talk, path: Path) -> None:
    other = ("-i", voice(OTHER_SPEECH), "-map", "0:v", "-map", "1:a")
    ffmpeg("-i", talk.path, *other, "-t", LENGTH, "-c:v", "copy", *AAC, path)


def text(_talk: Talk, path: Path) -> None:
    path.write_text("This is no film.\n" * 100)


def recipe(talk: Talk, path: Path) -> None:
    """What the timeline's program asked for: a copied picture keeps its size and rate, and ffmpeg ends with 0."""
    ffmpeg("-i", talk.path, "-c:v", "copy", "-s", "hd720", "-r", 30, "-c:a", "copy", path)


def wanting(make: Callable[[Talk, Path], None], **changes: object) -> Callable[[Talk, Path], Expected]:
    """The same, with something else wanted."""

    def made(talk: Talk, path: Path) -> Expected:
        make(talk, path)
        return replace(talk.wanted, **changes)

    return made


_FAR = {
    "duration": FAR,
    "total": FAR,
    "rate": 5,
    "frames": None,
    "audio_ends": (),
    "joins": (),
    "origin": None,
    "bits": None,
}
# What is made, and what is said of it.
BAD: dict[str, tuple[Callable[[Talk, Path], Expected | None], str]] = {
    "cut off after a third": (cut_off(0.33), "was cut off"),
    "cut off after two thirds": (cut_off(0.66), "was cut off"),
    "cut off near its end": (cut_off(0.98), "was cut off"),
    "cut off within its index": (cut_off(0.01), "cannot be read as a video"),
    "without its index": (without_index, "its index (moov), written last, is missing"),
    "empty": (cut_off(0), "is empty (0 bytes)"),
    "a text": (text, "is a text and no video"),
    "a hole of zeros in the middle": (overwritten(15, 20_000), "is damaged at 14.9"),
    "a small hole in one picture": (overwritten(15.5, None), "its packets have holes"),
    "a keyframe overwritten": (overwritten(16, None, noise=True, key=True), "a keyframe does not decode"),
    "no picture": (again("-vn"), "has no video stream"),
    "no sound": (again("-an"), "number of audio tracks: wanted 1, got 0"),
    "a sound track too many": (
        again("-map", "0:v", "-map", "0:a", "-map", "0:a"),
        "number of audio tracks: wanted 1, got 2",
    ),
    "another size": (seen("scale=64:48"), "size: wanted 96x64, got 64x48"),
    "half the rate": (seen("fps=12.5"), "frame rate: wanted 25, got 12.5"),
    "a higher rate": (seen("fps=30"), "frame rate: wanted 25, got 30"),
    "another codec": (again("-c:v", "mpeg4"), "video codec: wanted h264, got mpeg4"),
    "as the timeline's recipe leaves it": (
        wanting(recipe, width=1280, height=720, rate=30, frames=None),
        "size: wanted 1280x720, got 96x64",
    ),
    "ten times as large as allowed": (
        wanting(again("-crf", 0), bits=1_600_000),
        "size in bytes at most: wanted 200000",
    ),
    "half the length": (again("-t", LENGTH / 2), "only 15.00 s could be made of the 30.00 s"),
    "a second too long": (
        again("-vf", "tpad=stop_duration=1", "-af", "apad=pad_dur=1"),
        "31.00 s were made instead of 30.00 s",
    ),
    "a picture that ends early": (again("-frames:v", 725), "only 29.00 s could be made of the 30.00 s"),
    "sound 100 ms late": (heard("adelay=100:all=1,atrim=end=30"), "100 ms later to its video"),
    "sound 100 ms early": (
        heard("atrim=start=0.1,asetpts=PTS-STARTPTS,apad=whole_dur=30"),
        "100 ms earlier to its video",
    ),
    "sound that drifts": (heard("asetrate=48480,aresample=48000,apad=whole_dur=30"), "ms earlier to its video"),
    "sound that stops half way": (heard("atrim=end=15"), "(track 1) only 15.00 s could be made of the 30.00 s"),
    "silent from half way": (heard("volume=0:enable='gt(t,15)'"), "Nothing is heard from 0:1"),
    "silent altogether": (heard("volume=0"), "Nothing is heard from 0:00 to 0:30"),
    "another talk's sound": (anothers_sound, "The audio"),
    "far too loud": (heard("volume=20dB"), "it may be clipped"),
    "far too quiet": (heard("volume=-35dB"), "LUFS; -40 to -10 are wanted"),
    "black for a while": (
        seen("drawbox=t=fill:c=black:enable='between(t,10,18)'"),
        "The video is black from 0:10 to 0:18",
    ),
    "black between keyframes": (wanting(hidden_black, joins=()), "The video is black from 0:10 to 0:18"),
    "a picture that stands still": (wanting(frozen, **_FAR), "The video stands still from 0:"),
    "pictures lost at a join": (rewritten(lost_at_a_join), "only 29.60 s could be made of the 30.00 s"),
    "a hole in time at a join": (rewritten(gone_at_a_join), "frame rate: wanted 25, got 24.6667"),
    "pictures twice at a join": (
        wanting(rewritten(twice_at_a_join), duration=32.0, total=32.0),
        "800 frames instead of 750",
    ),
    "two pictures at one time": (rewritten(at_one_time), "out of order at 4.00 s"),
    "a join with broken references": (rewritten(without_what_it_refers_to), "of 100 frames decode"),
    "times out of order": (wanting(out_of_order, frames=None, joins=()), "does not decode"),
}
