"""A long-lived child that answers one line of JSON with one line of JSON."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from vidd.aio.shield import shield_to_end
from vidd.processes.child import Child
from vidd.processes.run import Tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Seconds that a child gets to end by itself.
_PATIENCE = 2.0


class Lost(Exception):
    """The child died instead of answering; the text is its exit code and what it said last."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"exit code {code}: {said}" if said else f"exit code {code}")
        self.code = code


class JsonLinesProcess:
    """One child, started at the first question. After a crash or a question that took too long, the next starts anew."""

    def __init__(self, argv: Sequence[str], *, memory: int | None = None, nice: int = 0) -> None:
        self._argv, self._memory, self._nice = argv, memory, nice
        self._turn = asyncio.Lock()
        self._child: Child | None = None
        self._answers = asyncio.StreamReader()
        self._tail = Tail()
        self._listening: asyncio.Future[None] | None = None

    async def ask(self, question: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """The answer; Lost where the child died, TimeoutError where it was ended after `timeout` seconds."""
        async with self._turn:
            try:
                child = self._child
                if child is None or child.gone.done():
                    await self._end()
                    child = await self._start()
                async with asyncio.timeout(timeout):
                    return await self._answer(child, question)
            except BaseException:
                # An answer that comes later would be taken for that to the next question.
                await shield_to_end(self._end())
                raise

    async def close(self) -> None:
        """End the child, in the middle of a question too; one that rests is given time to end by itself."""
        await shield_to_end(self._end(patience=0.0 if self._turn.locked() else _PATIENCE))

    async def _start(self) -> Child:
        self._child = child = await Child.start(self._argv, conversing=True, memory=self._memory, nice=self._nice)
        self._answers = child.stdout
        self._tail = Tail()
        self._listening = asyncio.ensure_future(self._tail.follow(child))
        return child

    async def _answer(self, child: Child, question: Mapping[str, Any]) -> dict[str, Any]:
        try:
            await child.say(json.dumps(question).encode() + b"\n")
            line = await self._line()
        except (BrokenPipeError, ConnectionResetError):
            line = b""
        if not line.endswith(b"\n"):
            raise Lost(await child.gone, self._tail.text[-300:])
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _line(self) -> bytes:
        """A line of any length; the reader's limit is for what it reads at once. Without its end where the child died."""
        parts: list[bytes] = []
        while True:
            try:
                parts.append(await self._answers.readuntil(b"\n"))
            except asyncio.LimitOverrunError as more:
                parts.append(await self._answers.readexactly(more.consumed))
                continue
            except asyncio.IncompleteReadError as end:
                parts.append(end.partial)
            return b"".join(parts)

    async def _end(self, patience: float = 0.0) -> None:
        child, self._child = self._child, None
        if child is not None:
            if patience:
                await child.rest(patience)
            await child.end()
        if self._listening is not None:
            await asyncio.wait([self._listening], timeout=1.0)
            self._listening.cancel()
