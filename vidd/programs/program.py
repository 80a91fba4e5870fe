"""One run of a foreign program: guarded, limited, logged, its end sorted into the three fates."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from vidd.aio.shield import shield_to_end
from vidd.errors import Fault, RetryLater
from vidd.files.disk_space import check_free_space
from vidd.processes import run as process
from vidd.programs.exit_codes import fault_of
from vidd.programs.output_log import Log, Spoken
from vidd.programs.progress import Advance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from vidd.ports import StepContext
    from vidd.programs.exit_codes import Exit
    from vidd.programs.progress import Progress

_log = structlog.get_logger()
_STOPPING = 60.0


@dataclass(frozen=True)
class Call:
    """What is run, where, and how long. `hidden` is the part of the environment that nobody may see.

    `name` is the program's in sentences; `deadline`, `quiet` and `grace` are seconds, `memory` and `log_size` bytes;
    `stop` is what is run after it was ended early. `grows` is asked about once a second: a changed number is a sign of life.
    """

    name: str
    words: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]
    hidden: Mapping[str, str]
    log: Path
    log_size: int
    deadline: float
    quiet: float | None
    grace: float
    memory: int | None
    exits: Mapping[str, Exit]
    progress: Progress
    stop: Sequence[str]
    grows: Callable[[], int] | None = None


async def call(call: Call, context: StepContext) -> dict[str, Any]:
    """Run it once; what it said and how it ended, for the record.

    RetryLater where the disk has less than the reserve (not counted), it took too long, or its exit says so; Refused
    where its exit says that. Both have its last lines.
    """
    with closing(Log(call.log, call.log_size)) as log:
        spoken = Spoken(log, list(call.hidden.values()), Advance(call.progress, context.progress).hear)
        at = f"{context.tools.clock.now():%Y-%m-%d %H:%M:%S} UTC"
        log.write(f"--- {at}, {context.step}, in {call.cwd}: {call.words}\n".encode(errors="backslashreplace"))
        _log.info("command started", job=context.job.id, step=context.step, program=call.name)
        try:
            ended = await _run(call, context, spoken)
        except process.Hung as hung:
            sentence = f"{hung.sentence} If that was too early, raise limit or stall of the step."
            raise RetryLater(sentence, said="\n".join(spoken.tail)) from None
        log.write(f"--- exit {ended.code} after {ended.seconds:.1f} s\n".encode())
    fault = fault_of(call.name, ended.code, spoken.tail, call.exits)
    if fault is not None:
        raise fault
    where = {"directory": str(call.cwd), "words": list(call.words)}
    said = {"lines": spoken.lines, "head": spoken.head, "tail": spoken.tail, "log": str(call.log)}
    return {"exit": ended.code, "seconds": round(ended.seconds, 3), **where, **said}


async def _run(call: Call, context: StepContext, spoken: Spoken) -> process.Ended:
    encoder = context.tools.encoder

    def alive(_pid: int) -> tuple[int, int]:
        check_free_space(context.directory, encoder.disk_reserve)
        return spoken.heard, call.grows() if call.grows else 0

    whole = False
    try:
        check_free_space(context.directory, encoder.disk_reserve)
        ended = await process.run(
            call.words,
            cwd=call.cwd,
            env={**call.environment, **call.hidden},
            on_output=(spoken.out.feed, spoken.err.feed),
            alive=alive,
            limits=process.Limits(call.deadline, call.quiet, encoder.nice, call.memory, call.grace),
            guarded=True,
        )
        whole = True
    finally:
        spoken.end()
        if not whole:
            spoken.log.write(b"--- ended early\n")
            await shield_to_end(_stop(call, spoken))
    return ended


async def _stop(call: Call, spoken: Spoken) -> None:
    """What a client such as docker's leaves running is ended by a command of its own."""
    if not call.stop:
        return
    try:
        environment = {**call.environment, **call.hidden}
        limits = process.Limits(deadline=_STOPPING)
        ended = await process.run(call.stop, cwd=call.cwd, env=environment, limits=limits, guarded=True)
    except Fault as fault:
        spoken.log.write(f"--- {list(call.stop)}: {fault.sentence}\n".encode(errors="backslashreplace"))
    else:
        spoken.log.write(f"--- {list(call.stop)}: exit {ended.code}\n".encode(errors="backslashreplace"))
