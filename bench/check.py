"""What the check of a cut costs, beside the cut it follows: by its edges, and by encoding all of it.

    python bench/check.py [--quick] [--seconds 480] [--sizes 1280x720,1920x1080] [--codecs h264]

All in one run on one machine, seconds of CPU with children's, each a process of its own from its start to its end.
`check` is the whole of it: counting, joins, black, frozen, silent, loudness, and the comparison with the source.
Targets: at most a tenth of the full encode's CPU, and at most what the edges took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from common import measured, table
from cut import _FADE, _START, CODECS, full, look, make, ours

from vidd.ffmpeg.probe import close_probers
from vidd.ffmpeg.verify import Origin, Wanted, verify


async def check(source: Path, made: Path, seconds: float, size: str, joins: str) -> None:
    width, height = (int(side) for side in size.split("x"))
    places = tuple(json.loads(joins))
    wanted = Wanted(seconds, seconds, width, height, 1, joins=places, origin=Origin(source, _START, fade=_FADE))
    try:
        _, record = await verify(made, wanted, made.name, nice=0)
    finally:
        await close_probers()
    print(json.dumps(record.to_json()), file=sys.stderr)


def compare(directory: Path, codec: str, size: str, seconds: float) -> list[str]:
    source = make(directory, codec, size, seconds)
    media = asyncio.run(look(source))
    made, whole = directory / "edges.mp4", directory / "full.mp4"
    me = [sys.executable, __file__]
    edges = measured([*me, "--ours", source, made, str(seconds)])
    encoded = measured(full(source, whole, media, seconds))
    joins = f"[{_FADE + 1}, {seconds - _FADE - 1}]"
    checks = [
        measured([*me, "--check", source, one, str(seconds), size, places])
        for one, places in ((made, joins), (whole, "[]"))
    ]
    source.unlink()
    return [
        f"{codec} {size}",
        f"{edges.cpu:.1f}",
        f"{checks[0].cpu:.1f}",
        f"{checks[0].cpu / edges.cpu:.2f}",
        f"{encoded.cpu:.1f}",
        f"{checks[1].cpu:.1f}",
        f"{checks[1].cpu / encoded.cpu:.3f}",
        f"{checks[0].seconds:.1f}",
    ]


def main() -> None:
    if sys.argv[1:2] == ["--ours"]:
        asyncio.run(ours(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), _FADE))
        return
    if sys.argv[1:2] == ["--check"]:
        asyncio.run(check(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), *sys.argv[5:]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60 s of 640x360")
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--sizes", default="1280x720,1920x1080")
    parser.add_argument("--codecs", default="h264", help=", ".join(CODECS))
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.sizes = 60.0, "640x360"
    with tempfile.TemporaryDirectory(prefix="vidd-check-", dir=os.environ.get("TMPDIR")) as name:
        rows = [
            compare(Path(name), codec, size, options.seconds)
            for size in options.sizes.split(",")
            for codec in options.codecs.split(",")
        ]
    head = ("codec, size", "edges cpu s", "check", "check/edges", "full cpu s", "check", "check/full", "check wall s")
    table(f"{options.seconds:g} s with fades of {_FADE:g} s", head, rows)


if __name__ == "__main__":
    main()
