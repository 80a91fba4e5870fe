"""Whether files are JSON, and of the shape that is promised; read in a child, for they may be large and from anywhere.

`SHAPES` names the shapes; each is a pydantic model in its module.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd import process
from vidd.errors import AgainLater, Refused
from vidd.printable import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

SHAPES: dict[str, str] = {}

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
        argv: list[str | Path] = [sys.executable, "-m", "vidd.clients.json_files", shape, root, listed.name]
        ended = await process.run(argv, on_line=said.append, deadline=_PATIENCE, memory=_MEMORY)
    if ended.code != 0:
        raise AgainLater(f"The files below {root} could not be read (exit {ended.code}): {ended.stderr[-300:]}")
    broken = json.loads(said[-1])
    if broken is not None:
        raise Refused(f"{quoted(broken['place'])} is broken: {broken['why']}. See the program's log, then retry.")


def why_not(text: bytes, shape: str) -> str | None:
    """What is wrong with a file, and where in it; None where nothing is."""
    from pydantic import ValidationError  # noqa: PLC0415 - only the child needs it, and the import is dear
    from pydantic_core import from_json  # noqa: PLC0415

    try:
        if not shape:
            from_json(text, allow_inf_nan=False)
            return None
        module, _, name = SHAPES[shape].partition(":")
        getattr(import_module(module), name).model_validate_json(text)
    except ValidationError as error:
        one = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in one["loc"]).lstrip(".")
        said = one["msg"].removeprefix("Value error, ").removeprefix("Invalid JSON: ")
        return f"{where}: {said}" if where else f"it is no JSON ({said})" if one["type"] == "json_invalid" else said
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
