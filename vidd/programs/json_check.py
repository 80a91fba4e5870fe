"""Checks in a child process that files are JSON of a promised shape: they may be large, and come from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.processes.worker import serve
from vidd.processes.worker_client import ask_worker, retry_if_died

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.processes.worker import Progress

_DEADLINE = 600.0
_MEMORY = 8 << 30


async def check_json(root: Path, paths: Sequence[str], shape: str = "") -> None:
    """Check files below `root`; Refused with the path of the first one that is wrong, and where in it."""
    if not paths:
        return
    question = {"ask": "check", "root": str(root), "paths": list(paths), "shape": shape}
    with retry_if_died(f"reading the files below {root}"):
        answer = await ask_worker("vidd.programs.json_check", question, timeout=_DEADLINE, memory=_MEMORY)
    fault = answer["fault"]
    if fault is not None:
        raise Refused(f"{quoted(fault['path'])} is broken: {fault['reason']}. See the program's log, then retry.")


def fault_in(text: bytes, shape: str) -> str | None:
    """What is wrong in a file, and where; None if it is right."""
    # Only the child needs them, and the import is slow.
    from pydantic_core import from_json  # noqa: PLC0415

    from vidd.programs.json_shapes import ShapeError, read  # noqa: PLC0415

    try:
        read(text, shape) if shape else from_json(text, allow_inf_nan=False)
    except ShapeError as fault:
        return str(fault)
    except ValueError as error:
        return f"it is no JSON ({error})"
    return None


def _first_fault(root: Path, paths: Sequence[str], shape: str) -> dict[str, Any] | None:
    for path in paths:
        reason = fault_in((root / path).read_bytes(), shape)
        if reason is not None:
            return {"path": path, "reason": reason}
    return None


def _check(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    return {"fault": _first_fault(Path(question["root"]), question["paths"], question["shape"])}


if __name__ == "__main__":
    serve({"check": _check})
