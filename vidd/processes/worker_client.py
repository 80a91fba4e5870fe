"""The daemon's side of the worker protocol: `JsonLinesProcess` asks a long-lived child, `run_worker` one for one order."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vidd.aio.shield import shield_to_end
from vidd.errors import FaultCode, RetryLater
from vidd.files.disk_space import check_free_space, retry_if_full
from vidd.processes.child import Child
from vidd.processes.protocol import fault_from_json
from vidd.processes.run import Hung, Limits, Pulse, Tail

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.ports import StepContext

# Seconds that an idle child gets to end by itself.
_PATIENCE = 2.0
_SIGNALS_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)


class WorkerDied(Exception):
    """The child died instead of answering. `code` is its exit code, negative for a signal, `stderr` its last 4 KiB."""

    def __init__(self, code: int, stderr: str) -> None:
        last = stderr[-300:]
        super().__init__(f"exit code {code}: {last}" if last else f"exit code {code}")
        self.code, self.stderr = code, stderr

    @property
    def killed(self) -> bool:
        """Whether a signal from outside ended it (full memory, an operator), which says nothing about its input."""
        return self.code in _SIGNALS_FROM_OUTSIDE


@contextmanager
def retry_if_died(doing: str) -> Iterator[None]:
    """Turn the death of a child into RetryLater; `doing` as in "extracting the frames of 'a.mp4'"."""
    try:
        yield
    except WorkerDied as died:
        raise RetryLater(
            f"The child process died while {doing} (exit code {died.code}); vidd will retry.",
            code=FaultCode.INTERRUPTED,
            said=died.stderr,
        ) from None


@contextmanager
def retry_if_interrupted(doing: str, timeout: float) -> Iterator[None]:
    """Turn a timeout (of `timeout` seconds) and a child killed from outside into RetryLater; `doing` as above.

    WorkerDied stays where the child died by itself, which its input may have caused.
    """
    try:
        yield
    except TimeoutError:
        raise RetryLater(
            f"{doing[:1].upper()}{doing[1:]} took longer than {round(timeout, 1):g} s, so vidd ended it; vidd will retry.",
            code=FaultCode.STALLED,
        ) from None
    except WorkerDied as died:
        if not died.killed:
            raise
        raise RetryLater(
            f"The child process was killed while {doing} ({died}); vidd will retry.", code=FaultCode.INTERRUPTED
        ) from None


def worker_argv(module: str) -> list[str]:
    """The command line of a worker module."""
    # -P: a module of this name in the current directory is not vidd's.
    return [sys.executable, "-P", "-m", module]


class JsonLinesProcess:
    """One child, started at the first question. After a crash or a question that took too long, the next starts anew.

    `memory` is bytes of address space: a damaged file may claim any size, and must not use up the machine's memory.
    """

    def __init__(self, argv: Sequence[str], *, memory: int | None = None, nice: int = 0) -> None:
        self._argv, self._memory, self._nice = argv, memory, nice
        self._turn = asyncio.Lock()
        self._child: Child | None = None
        self._tail = Tail()
        self._reading_stderr: asyncio.Future[None] | None = None

    @property
    def child(self) -> Child | None:
        """The child that runs now."""
        return self._child

    async def ask(
        self,
        question: Mapping[str, Any],
        *,
        timeout: float | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> dict[str, Any]:
        """The answer; Refused or RetryLater with the child's own sentence.

        WorkerDied if the child died, TimeoutError if it had not answered after `timeout` seconds and was ended.
        """
        async with self._turn:
            try:
                child = self._child
                if child is None or child.gone.done():
                    await self._end()
                    child = await self._start()
                async with asyncio.timeout(timeout):
                    line = await self._converse(child, question, on_progress)
            except BaseException:
                # A late answer would be taken for that to the next question.
                await shield_to_end(self._end())
                raise
        if "fault" in line:
            raise fault_from_json(line)
        answer: dict[str, Any] = line["answer"]
        return answer

    async def close(self) -> None:
        """End the child, in the middle of a question too; an idle one is given time to end by itself."""
        await shield_to_end(self._end(patience=0.0 if self._turn.locked() else _PATIENCE))

    async def _start(self) -> Child:
        self._child = child = await Child.start(self._argv, stdin=True, memory=self._memory, nice=self._nice)
        self._tail = Tail()
        self._reading_stderr = asyncio.ensure_future(self._tail.follow(child))
        return child

    async def _converse(
        self, child: Child, question: Mapping[str, Any], on_progress: Callable[[int, int | None], None] | None
    ) -> dict[str, Any]:
        try:
            await child.write(json.dumps(question).encode() + b"\n")
            while (text := await _read_line(child.stdout)).endswith(b"\n"):
                line: dict[str, Any] = json.loads(text)
                if "progress" not in line:
                    return line
                if on_progress is not None:
                    on_progress(*line["progress"])
        except (BrokenPipeError, ConnectionResetError):
            pass
        code = await child.gone
        if self._reading_stderr is not None:
            await asyncio.wait([self._reading_stderr], timeout=1.0)
        raise WorkerDied(code, self._tail.text)

    async def _end(self, patience: float = 0.0) -> None:
        child, self._child = self._child, None
        if child is not None:
            if patience:
                await child.close_stdin(patience)
            await child.end()
        if self._reading_stderr is not None:
            await asyncio.wait([self._reading_stderr], timeout=1.0)
            self._reading_stderr.cancel()


async def _read_line(stream: asyncio.StreamReader) -> bytes:
    """A line of any length, since the reader's limit is for what it reads at once; no newline where the child died."""
    parts: list[bytes] = []
    while True:
        try:
            parts.append(await stream.readuntil(b"\n"))
        except asyncio.LimitOverrunError as more:
            parts.append(await stream.readexactly(more.consumed))
            continue
        except asyncio.IncompleteReadError as end:
            parts.append(end.partial)
        return b"".join(parts)


async def ask_worker(
    module: str, question: Mapping[str, Any], *, timeout: float, memory: int, nice: int = 0
) -> dict[str, Any]:
    """The answer of a child that is started for this question; as `JsonLinesProcess.ask`, but Hung after `timeout`."""
    worker = JsonLinesProcess(worker_argv(module), memory=memory, nice=nice)
    try:
        return await worker.ask(question, timeout=timeout)
    except TimeoutError:
        raise Hung(f"{module} was not done after {timeout:g} s, so vidd ended it; vidd will retry.") from None
    finally:
        await worker.close()


async def run_worker(
    module: str,
    order: Mapping[str, Any],
    context: StepContext,
    *,
    quiet: float,
    memory: int | None,
    unit: str = "frames",
    nice: int | None = None,
) -> dict[str, Any]:
    """The answer of a child that is started for one long order of a step; its progress is that of the step, in `unit`.

    `memory` is bytes of address space, None no limit; `nice` is its niceness, by default that of ffmpeg.

    RetryLater if the disk has less than the reserve, Hung after `quiet` seconds without progress; otherwise as
    `JsonLinesProcess.ask`. Whatever ends it, no child is left.
    """
    encoder = context.tools.encoder
    worker = JsonLinesProcess(worker_argv(module), memory=memory, nice=encoder.nice if nice is None else nice)
    pulse, reports = Pulse(module, Limits(quiet=quiet)), 0

    def report(done: int, total: int | None) -> None:
        nonlocal reports
        reports += 1
        context.progress(float(done), None if total is None else float(total), unit, None)

    asking = asyncio.ensure_future(worker.ask(order, on_progress=report))
    try:
        while not (await asyncio.wait([asking], timeout=pulse.tick))[0]:
            check_free_space(context.directory, encoder.disk_reserve)
            pulse.check(reports)
        return asking.result()
    finally:
        asking.cancel()
        await shield_to_end(asyncio.gather(worker.close(), asking, return_exceptions=True))


def prepare_directory(directory: Path, fingerprint: str) -> None:
    """Empty a directory unless an earlier run with the same `fingerprint`, of all that decides the result, left it."""
    mark = directory / "fingerprint"
    with retry_if_full():
        if mark.exists() and mark.read_text() == fingerprint:
            return
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        mark.write_text(fingerprint)
