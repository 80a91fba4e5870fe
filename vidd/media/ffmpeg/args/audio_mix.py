"""The part of an argument list that makes sound tracks whole: the talk's, with what is heard before and after it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.media.ffmpeg.args import common as args_common

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Heard:
    """A sound track that is encoded whole: its number in the source, `samples` of it, at `rate` and with this layout.

    `filters` come after its fades; `before` and `after` are files (WAV, alike) with what is heard around the talk.
    """

    number: int
    samples: int
    rate: int
    layout: str
    filters: tuple[str, ...] = ()
    before: Path | None = None
    after: Path | None = None


def graph(tracks: Sequence[Heard], chain: list[str], threads: int) -> tuple[list[str], list[str]]:
    """The inputs that follow the recording, which is the first; and the graph with the maps of its outputs.

    `chain` are the filters that cut and fade the talk's sound.
    """
    inputs: list[str] = []
    chains: list[str] = []
    count = 1
    for place, one in enumerate(tracks):
        words = [f"[0:a:{one.number}]{','.join([*chain, *one.filters])}"]
        row = [f"[talk{place}]"]
        for path, at in ((one.before, 0), (one.after, 2)):
            if path:
                inputs += args_common.input_of(path, threads, 0.0)
                row.insert(at, f"[{count}:a:0]")
                count += 1
        if len(row) == 1:
            chains.append(f"{words[0]}[out{place}]")
            continue
        alike = f"aformat=sample_rates={one.rate}:channel_layouts={one.layout}"
        # Sound that ends early is followed by silence, else what comes after the talk would come too early.
        size = f"apad=whole_len={one.samples},atrim=end_sample={one.samples}"
        chains.append(f"{words[0]},{alike},{size}[talk{place}]")
        chains.append(f"{''.join(row)}concat=n={len(row)}:v=0:a=1[out{place}]")
    maps = [word for place in range(len(tracks)) for word in ("-map", f"[out{place}]")]
    return inputs, ["-filter_complex", ";".join(chains), *maps]
