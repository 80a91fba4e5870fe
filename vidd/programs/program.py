"""Runs a program once: guarded, limited, logged, its exit mapped to a fault."""

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
from vidd.programs.output_log import LogFile, OutputLog
from vidd.programs.progress import ProgressParser

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from vidd.ports import StepContext
    from vidd.programs.exit_codes import Exit
    from vidd.programs.progress import Progress

_log = structlog.get_logger()
_STOP_DEADLINE = 60.0


@dataclass(frozen=True)
class Call:
    """What to run, where, and how long. `hidden` is the part of the environment that nobody may see.

    `name` is the program's name in sentences; `deadline`, `quiet` and `grace` are seconds, `memory` and `log_size` bytes;
    `stop` is a command to run after the program was ended early. `count_outputs` is called about once a second: a
    changed number is a sign of life.
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
    count_outputs: Callable[[], int] | None = None


async def call(call: Call, context: StepContext) -> dict[str, Any]:
    """Run the program once; returns how it ended and what it printed, for the record.

    RetryLater if the disk has less than the reserve (not counted), the program took too long, or its exit means that;
    Refused if its exit means that. Both have the last lines in `said`.
    """
    with closing(LogFile(call.log, call.log_size)) as log:
        output = OutputLog(log, list(call.hidden.values()), ProgressParser(call.progress, context.progress).parse)
        at = f"{context.tools.clock.now():%Y-%m-%d %H:%M:%S} UTC"
        log.write(f"--- {at}, {context.step}, in {call.cwd}: {call.words}\n".encode(errors="backslashreplace"))
        _log.info("command started", job=context.job.id, step=context.step, program=call.name)
        try:
            ended = await _run(call, context, output)
        except process.Hung as hung:
            sentence = f"{hung.sentence} If that was too early, raise limit or stall of the step."
            raise RetryLater(sentence, code=hung.code, said="\n".join(output.tail)) from None
        log.write(f"--- exit {ended.code} after {ended.seconds:.1f} s\n".encode())
    fault = fault_of(call.name, ended.code, output.tail, call.exits)
    if fault is not None:
        raise fault
    where = {"directory": str(call.cwd), "words": list(call.words)}
    printed = {"lines": output.lines, "head": output.head, "tail": output.tail, "log": str(call.log)}
    return {"exit": ended.code, "seconds": round(ended.seconds, 3), **where, **printed}


async def _run(call: Call, context: StepContext, output: OutputLog) -> process.Ended:
    encoder = context.tools.encoder

    def signs_of_life(_pid: int) -> tuple[int, int]:
        check_free_space(context.directory, encoder.disk_reserve)
        return output.bytes_received, call.count_outputs() if call.count_outputs else 0

    finished = False
    try:
        check_free_space(context.directory, encoder.disk_reserve)
        ended = await process.run(
            call.words,
            cwd=call.cwd,
            env={**call.environment, **call.hidden},
            on_output=(output.out.feed, output.err.feed),
            progress_mark=signs_of_life,
            limits=process.Limits(call.deadline, call.quiet, encoder.nice, call.memory, call.grace),
            guarded=True,
        )
        finished = True
    finally:
        output.end()
        if not finished:
            output.log.write(b"--- ended early\n")
            await shield_to_end(_stop(call, output))
    return ended


async def _stop(call: Call, output: OutputLog) -> None:
    """Run the stop command: a client such as docker's leaves a container running."""
    if not call.stop:
        return
    try:
        environment = {**call.environment, **call.hidden}
        limits = process.Limits(deadline=_STOP_DEADLINE)
        ended = await process.run(call.stop, cwd=call.cwd, env=environment, limits=limits, guarded=True)
    except Fault as fault:
        output.log.write(f"--- {list(call.stop)}: {fault.sentence}\n".encode(errors="backslashreplace"))
    else:
        output.log.write(f"--- {list(call.stop)}: exit {ended.code}\n".encode(errors="backslashreplace"))
