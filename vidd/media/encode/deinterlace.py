"""Finds out by the frames themselves whether a video is interlaced, and which filters make whole frames of it.

What a container says is often wrong: cameras mark whole frames as fields, and converters forget the mark. ffmpeg's idet
compares the lines of neighbouring frames. Film on 30 frames a second (telecine) has two combed frames in five, made of the
fields of two whole ones, which can be put together again; a deinterlacer would throw half of their lines away.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vidd.media.ffmpeg.args.common import global_args, input_args
from vidd.processes import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vidd.model.media import Media
    from vidd.ports import Encoder

Deinterlace = Literal["auto", "always", "never"]
Kind = Literal["progressive", "interlaced", "telecined"]
Order = Literal["tff", "bff", "auto"]
_PLACES, _FRAMES = 6, 24
_SHORT = 12.0
_KEY = "lavfi.idet."
# Of frames that are whole, noise makes a few look combed, in both orders alike.
_LEAST_COMBED, _MORE_THAN_OTHER = 0.1, 4
# Of five frames of telecine one repeats the upper field of the one before, and one the lower.
_LEAST_REPEATED = 0.1
_LEAST_KNOWN = 0.05
_CHANGED, _LEAST_CHANGED = "lavfi.scd.mafd", 1.0
MOVED = "moved"
"""Stands for a frame of which more than noise differs from the one before: of two fields, it would be combed."""


@dataclass(frozen=True, slots=True)
class Scan:
    """How frames are made: whole, of two fields, or film of which fields are repeated; and which field is first."""

    kind: Kind
    order: Order = "auto"

    def filters(self, wanted: Deinterlace) -> list[str]:
        """The filters that make whole frames: one a frame, each at its own time."""
        if wanted == "never" or (wanted == "auto" and self.kind == "progressive"):
            return []
        mark = [f"setfield={self.order}"] if self.order != "auto" else []
        if wanted == "auto" and self.kind == "telecined":
            # What finds no partner (an edit in the middle of five) is marked, and only that is deinterlaced.
            match = f"fieldmatch=order={self.order}:combmatch=full"
            return [*mark, match, "bwdif=mode=send_frame:deint=interlaced"]
        return [*mark, "bwdif=mode=send_frame:deint=all"]


async def find_scan(encoder: Encoder, source: Path, media: Media) -> Scan:
    """How the frames of `source` are made, by frames from six places. Where nothing moves there, the file's word counts."""
    seen: Counter[str] = Counter()
    short = media.duration <= _SHORT
    places = 1 if short else _PLACES
    for place in range(places):
        seek = 0.0 if short else media.duration * (place + 0.5) / places
        # A place that cannot be read says nothing; whether the file is damaged shows when it is encoded.
        await run.run(
            [encoder.path, *_args(source, encoder.threads, seek, _FRAMES * _PLACES // places)],
            on_line=lambda line: seen.update([_what(line.strip())]),
            limits=run.Limits(quiet=encoder.stall, nice=encoder.nice, memory=encoder.memory),
        )
    return scan_of(seen, marked=media.video[0].interlaced)


def _what(line: str) -> str:
    """The line, or of one that says how much of a frame changed, whether that is more than noise."""
    name, _, value = line.partition("=")
    return MOVED if name == _CHANGED and float(value) >= _LEAST_CHANGED else line


def _args(source: Path, threads: int, seek: float, frames: int) -> list[str]:
    return [
        *(word for word in global_args() if word not in {"-progress", "pipe:1"}),
        *input_args(source, threads, seek),
        *("-map", "0:V:0", "-frames:v", str(frames)),
        *("-filter:v", "idet,scdet,metadata=mode=print:file=-"),
        *("-fps_mode:v", "passthrough", "-f", "null", "-"),
    ]


def scan_of(lines: Mapping[str, int], *, marked: bool) -> Scan:
    """What the lines of the detectors (how often each) say; where nothing moved, whether the file is `marked` counts."""
    single = {kind: lines.get(f"{_KEY}single.current_frame={kind}", 0) for kind in ("tff", "bff", "progressive")}
    repeated = [lines.get(f"{_KEY}repeated.current_frame={field}", 0) for field in ("top", "bottom")]
    total = sum(count for line, count in lines.items() if line.startswith(f"{_KEY}single.current_frame="))
    if sum(single.values()) <= _LEAST_KNOWN * total:
        return Scan("interlaced" if marked and lines.get(MOVED, 0) <= _LEAST_COMBED * total else "progressive")
    order: Order = "tff" if single["tff"] >= single["bff"] else "bff"
    combed, other = max(single["tff"], single["bff"]), min(single["tff"], single["bff"])
    if combed < _LEAST_COMBED * total or combed <= _MORE_THAN_OTHER * other:
        return Scan("progressive")
    return Scan("telecined" if min(repeated) >= _LEAST_REPEATED * total else "interlaced", order)
