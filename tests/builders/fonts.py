"""The code points of the cards' fonts, as `vidd/media/cards/fonts/coverage.json` has them.

`python tests/builders/fonts.py` writes that file anew, after a font was added or replaced.
"""

from __future__ import annotations

import json
from pathlib import Path

from fontTools.ttLib import TTFont

FONTS = Path(__file__).parents[2] / "vidd/media/cards/fonts"


def covered(path: Path) -> list[list[int]]:
    """Ranges, both ends inclusive, of the code points that a font has glyphs for."""
    ranges: list[list[int]] = []
    with TTFont(path, fontNumber=0, lazy=True) as font:
        for point in sorted(font.getBestCmap()):
            if ranges and ranges[-1][1] == point - 1:
                ranges[-1][1] = point
            else:
                ranges.append([point, point])
    return ranges


def coverage() -> dict[str, list[list[int]]]:
    """The ranges of every font that is there."""
    return {path.name: covered(path) for path in sorted(FONTS.glob("*.tt[fc]"))}


if __name__ == "__main__":
    (FONTS / "coverage.json").write_text(json.dumps(coverage(), separators=(",", ":")) + "\n")
