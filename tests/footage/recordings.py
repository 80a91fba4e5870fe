"""Recordings of many kinds, seconds long, with a picture and a sound from which all that matters can be read off again.

The upper half of the picture says its number in twelve columns; below, the left half is an even grey and the right half
flashes at every full second, when the sound beeps.
"""

from __future__ import annotations

import array
import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

import av

from footage import clips

WIDTH, HEIGHT, SECONDS = 96, 64, 15.0
GREY, BLACK = 180, 16
PICTURE = (
    "geq=lum='if(lt(Y,32),if(mod(floor(N/pow(2,floor(X/8))),2),235,16),"
    f"if(lt(X,48),{GREY},if(lt(mod(T,1),0.19),235,40)))':cb=128:cr=128"
)
BEEP = "aevalsrc='if(lt(mod(t,1),0.2),sin(6283*t),0)':sample_rate=48000"
HZ = 48000


@dataclass(frozen=True)
class Recording:
    """How one is made: `video` and `sounds` are encoders with their options, `late` and `early` seconds without sound.

    `again` are words before and after the input of a second, copying run. `codec` is how its packets are read.
    """

    video: tuple[object, ...]
    codec: str = "h264"
    suffix: str = "mp4"
    rate: str = "25"
    pixels: str = "yuv420p"
    chosen: str = ""
    sounds: tuple[tuple[object, ...], ...] = (("aac",),)
    late: float = 0.0
    early: float = 0.0
    output: tuple[object, ...] = ()
    again: tuple[tuple[object, ...], tuple[object, ...]] | None = None
    seconds: float = SECONDS


async def run(*words: object) -> tuple[bytes, str]:
    """What ffmpeg writes to its standard output, and what it says."""
    process = await asyncio.create_subprocess_exec(
        clips.FFMPEG,
        *("-nostdin", "-hide_banner", "-y", *map(str, words)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        out, said = await process.communicate()
    assert process.returncode == 0, said.decode()[-2000:]
    return out, said.decode(errors="replace")


async def make(directory: Path, recording: Recording) -> Path:
    """The recording, `in.<suffix>` in this directory."""
    path = directory / f"in.{recording.suffix}"
    first = directory / f"first.{recording.suffix}" if recording.again else path
    filters = [
        "format=yuv420p",
        PICTURE,
        *([recording.chosen] if recording.chosen else []),
        f"format={recording.pixels}",
    ]
    sound = f"{BEEP}:duration={recording.seconds - recording.early - recording.late}"
    await run(
        *(
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            f"color=gray:s={WIDTH}x{HEIGHT}:r={recording.rate}:d={recording.seconds}",
        ),
        *(word for _ in recording.sounds for word in ("-itsoffset", recording.late, "-f", "lavfi", "-i", sound)),
        *("-filter:v", ",".join(filters), "-fps_mode:v", "vfr", "-map", "0:v"),
        *(word for number in range(len(recording.sounds)) for word in ("-map", f"{number + 1}:a")),
        *("-threads", 1, "-c:v", *recording.video),
        *(word for number, (codec, *more) in enumerate(recording.sounds) for word in (f"-c:a:{number}", codec, *more)),
        *recording.output,
        first,
    )
    if recording.again:
        before, after = recording.again
        await run("-loglevel", "error", *before, "-i", first, "-map", "0", "-c", "copy", *after, path)
    return path


@dataclass(frozen=True)
class Seen:
    """What a file shows: of each picture when (seconds from the file's start) and its luma, row by row; the samples of
    each sound track (48 kHz, from the file's start); the picture's packets by time; what the decoders complained of."""

    times: list[float]
    pictures: list[bytes]
    sounds: list[array.array[int]]
    packets: list[tuple[float, str]]
    said: str

    def grey(self, at: int) -> float:
        """The mean of what was even grey, of a picture."""
        return _mean(self.pictures[at], 4, 44)

    def number(self, at: int) -> int | None:
        """A picture's number; None where it is too dark to be read."""
        grey, picture = self.grey(at), self.pictures[at]
        if grey - BLACK < 30:
            return None
        middle = picture[16 * WIDTH : 17 * WIDTH]
        limit = BLACK + 0.7 * (grey - BLACK)
        return sum((middle[8 * bit + 4] > limit) << bit for bit in range(clips.BITS))

    def flashes(self) -> list[float]:
        """When it begins to flash."""
        found, lit = [], True
        for at, time in enumerate(self.times):
            grey = self.grey(at) - BLACK
            if grey < 8:
                continue
            share = (_mean(self.pictures[at], 52, 92) - BLACK) / grey
            if share > 0.75 and not lit:
                found.append(time)
            lit = share > 0.75
        return found

    def beep(self, near: float, track: int = 0) -> float | None:
        """When the sound begins to beep, within a third of a second of a time."""
        begin = max(0, round((near - 0.33) * HZ))
        part = self.sounds[track][begin : round((near + 0.33) * HZ)]
        loudest = max(map(abs, part), default=0)
        if loudest < 60:
            return None
        return (begin + next(at for at, level in enumerate(part) if abs(level) > 0.3 * loudest)) / HZ


def _mean(picture: bytes, left: int, right: int) -> float:
    rows = [picture[row * WIDTH + left : row * WIDTH + right] for row in range(38, 60)]
    return sum(map(sum, rows)) / (len(rows) * (right - left))


async def look(path: Path, codec: str = "h264", turned: str = "") -> Seen:
    """Decode all of a file, strictly. `turned` is the filter that turns a picture back to how it was made."""
    with av.open(str(path)) as file:
        # What was made counts from its own beginning, which may be before the first picture and sound.
        begin = 0.0 if path.stem == "talk" else (file.start_time or 0) / av.time_base
        tracks = len(file.streams.audio)
    samples = [path.with_name(f"{path.stem}.{number}.pcm") for number in range(tracks)]
    filters = ["scale=out_range=tv", "format=yuv420p", "extractplanes=y", *([turned] if turned else [])]
    sound = (
        "-af",
        f"asetpts=PTS-{begin}/TB,aresample=48000:async=1:min_hard_comp=0.01:first_pts=0",
        "-ac",
        "1",
        "-f",
        "s16le",
    )
    out, said = await run(
        *("-v", "warning", "-err_detect", "explode", "-threads", 1, "-copyts", "-i", path),
        *(
            "-map",
            "0:v:0",
            "-fps_mode",
            "passthrough",
            "-enc_time_base:v",
            "demux",
            "-filter:v",
            ",".join(filters),
            "-f",
            "rawvideo",
            "pipe:1",
        ),
        *(word for number, to in enumerate(samples) for word in ("-map", f"0:a:{number}", *sound, to)),
    )
    size = WIDTH * HEIGHT
    packets = read_packets(path, codec, begin)
    sounds = [array.array("h", to.read_bytes()) for to in samples]
    for to in samples:
        to.unlink()
    return Seen(
        sorted(time for time, _ in packets),
        [out[at : at + size] for at in range(0, len(out), size)],
        sounds,
        packets,
        "\n".join(line for line in said.splitlines() if "deprecated pixel format" not in line),
    )


def read_packets(path: Path, codec: str, begin: float) -> list[tuple[float, str]]:
    """The picture's packets in the order they are decoded: when it is shown, seconds from `begin` on; a digest."""
    with av.open(str(path)) as file:
        plain = path.suffix in {".ts", ".m2ts"}
        return [
            (float(packet.pts * packet.time_base) - begin, digest(bytes(packet), codec, plain=plain))
            for packet in file.demux(video=0)
            if packet.size and packet.pts is not None and not packet.is_discard
        ]


def digest(data: bytes, codec: str, *, plain: bool) -> str:
    """Of a packet's pictures alone where start codes part the units (`plain`): as they are in MP4, where lengths do."""
    if plain:
        units = [unit.rstrip(b"\0") for unit in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]]
        elsewhere = {"h264": lambda unit: unit[0] & 31 in {7, 8, 9}, "hevc": lambda unit: 32 <= unit[0] >> 1 & 63 <= 35}
        data = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units if not elsewhere[codec](unit))
    return hashlib.md5(data).hexdigest()
