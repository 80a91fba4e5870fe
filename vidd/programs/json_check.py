"""Whether files are JSON, and of the shape that is promised; read in a child, for they may be large and from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.processes.worker import serve
from vidd.processes.worker_client import WorkerDied, ask_worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.processes.worker import Progress

_PATIENCE = 600.0
_MEMORY = 8 << 30


async def check_json(root: Path, places: Sequence[str], shape: str = "") -> None:
    """Refused with the file's place below `root`, and where in it, where one is not right."""
    if not places:
        return
    question = {"ask": "check", "root": str(root), "places": list(places), "shape": shape}
    try:
        answer = await ask_worker("vidd.programs.json_check", question, timeout=_PATIENCE, memory=_MEMORY)
    except WorkerDied as died:
        raise RetryLater(f"The files below {root} could not be read ({died}).", code=FaultCode.INTERRUPTED) from None
    broken = answer["broken"]
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


def _check(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    return {"broken": _first_broken(Path(question["root"]), question["places"], question["shape"])}


if __name__ == "__main__":
    serve({"check": _check})
