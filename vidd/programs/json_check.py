"""Whether files are JSON, and of the shape that is promised; read in a child, for they may be large and from anywhere."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused, RetryLater
from vidd.processes import run as process

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE = 600.0
_MEMORY = 8 << 30


async def check_json(root: Path, places: Sequence[str], shape: str = "") -> None:
    """Refused with the file's place below `root`, and where in it, where one is not right."""
    if not places:
        return
    with tempfile.NamedTemporaryFile("w", dir=root, prefix=".places-", suffix=".json") as listed:
        json.dump(list(places), listed)
        listed.flush()
        said: list[str] = []
        argv: list[str | Path] = [sys.executable, "-m", "vidd.programs.json_check", shape, root, listed.name]
        ended = await process.run(argv, on_line=said.append, deadline=_PATIENCE, memory=_MEMORY)
    if ended.code != 0:
        raise RetryLater(f"The files below {root} could not be read (exit {ended.code}): {ended.stderr[-300:]}")
    broken = json.loads(said[-1])
    if broken is not None:
        raise Refused(f"{quoted(broken['place'])} is broken: {broken['why']}. See the program's log, then retry.")


def why_not(text: bytes, shape: str) -> str | None:
    """What is wrong with a file, and where in it; None where nothing is."""
    # Only the child needs them, and the import is dear.
    from pydantic_core import from_json  # noqa: PLC0415

    from vidd.programs.json_shapes import Broken, read  # noqa: PLC0415

    try:
        read(text, shape) if shape else from_json(text, allow_inf_nan=False)
    except Broken as broken:
        return str(broken)
    except ValueError as error:
        return f"it is no JSON ({error})"
    return None


def _first_broken(root: Path, places: Sequence[str], shape: str) -> dict[str, Any] | None:
    for place in places:
        why = why_not((root / place).read_bytes(), shape)
        if why is not None:
            return {"place": place, "why": why}
    return None


def main(shape: str, root: str, listed: str) -> int:
    """Say as JSON which file is the first broken one and why, or null."""
    print(json.dumps(_first_broken(Path(root), json.loads(Path(listed).read_text()), shape)))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
