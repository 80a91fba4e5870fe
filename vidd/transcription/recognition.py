"""Runs the recognisers that are Python packages, in a child: the daemon never loads them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.processes.run import Hung
from vidd.processes.worker_client import WorkerDied, run_worker
from vidd.settings.types import Duration, Options, Size
from vidd.transcription.formats import words_of
from vidd.transcription.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.transcription.engine import Request

_WORKER = "vidd.transcription.worker"
_NICE = 19


class WorkerOptions(Options):
    """What every recogniser in a child has."""

    stall: Duration = Field(
        900.0, gt=0, description="How long it may take to load, or between two parts of what is said."
    )
    memory: Size | None = Field(
        None,
        ge=1 << 30,
        description="The most bytes of address space; unset: no limit, since CUDA reserves a great deal.",
    )


async def recognise(options: WorkerOptions, request: Request, orders: Mapping[str, Any], name: str) -> Transcript:
    """The transcript of a child that is given these orders. `name` is what people call the recogniser."""
    orders = {**orders, "audio": str(request.audio), "threads": request.context.tools.encoder.threads}
    try:
        answer = await run_worker(
            _WORKER,
            orders,
            request.context,
            quiet=options.stall,
            memory=options.memory and int(options.memory),
            unit="s",
            nice=_NICE,
        )
    except Hung:
        raise RetryLater(
            f"{name} made no progress for {options.stall:g} s, so vidd ended it: if that was too early, raise stall of"
            " the engine.",
            code=FaultCode.STALLED,
        ) from None
    except WorkerDied as died:
        raise _death_fault(died, name, quoted(request.context.job.name)) from None
    words = [(str(text), float(start), float(end)) for text, start, end in answer["words"]]
    return Transcript(tuple(words_of(words, request.language)))


def _death_fault(died: WorkerDied, name: str, file: str) -> RetryLater | Refused:
    last = died.stderr.rpartition("\n")[2][:300]
    reason = f"exit {died.code}: {last}" if last else f"exit {died.code}"
    if died.killed:
        return RetryLater(
            f"{name} was killed while it listened to {file} ({reason}), most likely because the machine was out of"
            " memory; vidd will retry.",
            code=FaultCode.INTERRUPTED,
            said=died.stderr,
        )
    return Refused(
        f"{name} crashed on {file} ({reason}): correct the engine's settings, or use another engine.", said=died.stderr
    )


def require(package: str, extra: str) -> None:
    """Raise Refused unless a package is installed."""
    if find_spec(package) is None:
        raise Refused(f"The package {package} is not installed: install vidd[{extra}].", code=FaultCode.NOT_INSTALLED)
