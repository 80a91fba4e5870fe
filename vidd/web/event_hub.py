"""What happens, told to whoever listens now, and kept for a while for who comes back.

An id is `<run>-<number>`: another run's id, or one that fell out of the ring, is answered with `reset`, and the
listener reads everything again. Progress is told at most four times a second for each part, and is not kept.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from vidd.errors import RetryLater
from vidd.model.event import (
    Event,
    JobMoved,
    Progressed,
    PublicationMoved,
    Retried,
    StepEnded,
    StepStarted,
    WatcherMoved,
)
from vidd.web.serializers import job_json, progress_json, publication_json

if TYPE_CHECKING:
    from collections.abc import Callable

_BREATH = 0.25
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)


class Ended(Exception):
    """Nothing more comes: the port stops, or the listener was too slow."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One message. `id` is None for what is not kept; `data` makes the JSON when it is sent."""

    id: str | None
    name: str
    data: Callable[[], Any]

    def encode(self) -> bytes:
        """As server-sent events have it."""
        head = f"id: {self.id}\n" if self.id else ""
        return f"{head}event: {self.name}\ndata: {json.dumps(self.data(), default=str)}\n\n".encode()


class Subscription:
    """One listener's queue, of a bounded depth. One that is full has ended: nobody waits for a slow listener."""

    def __init__(self, hub: Hub, depth: int) -> None:
        self._hub = hub
        self._depth = depth
        self._waiting: deque[Happening] = deque()
        self._something = asyncio.Event()
        self.ended = False

    def __enter__(self) -> Self:
        """Listen."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._hub.leave(self)

    def offer(self, happening: Happening) -> None:
        """Queue one, or end."""
        if len(self._waiting) >= self._depth:
            self.end()
            return
        self._waiting.append(happening)
        self._something.set()

    def end(self) -> None:
        """Let the listener go, with what was queued."""
        self.ended = True
        self._waiting.clear()
        self._something.set()

    async def next(self, patience: float) -> Happening | None:
        """The next one; None after so many seconds of silence; Ended when nothing more comes."""
        try:
            async with asyncio.timeout(patience):
                await self._something.wait()
        except TimeoutError:
            return None
        if self.ended:
            raise Ended
        happening = self._waiting.popleft()
        if not self._waiting:
            self._something.clear()
        return happening


class Hub:
    """An Observer that tells everybody who listens.

    `ring` is how many messages are kept, `depth` how many may wait for one listener, `seats` how many may listen.
    """

    def __init__(
        self, *, ring: int = 1024, depth: int = 256, seats: int = 64, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._run = secrets.token_hex(4)
        self._number = 0
        self._ring: deque[Happening] = deque(maxlen=ring)
        self._depth, self._seats, self._monotonic = depth, seats, monotonic
        self._listeners: set[Subscription] = set()
        self._spoken: dict[str, dict[str, float]] = {}

    def note(self, event: Event) -> None:
        """Tell an event, where it is one that people follow."""
        match event:
            case JobMoved():
                self._spoken.pop(event.job.id, None)
                self.tell("job", lambda: {"job": job_json(event.job), "before": event.before})
            case Progressed():
                if self._due(event):
                    self._tell(Happening(None, "progress", lambda: {"job": event.job, **progress_json(event)}))
            case PublicationMoved():
                self.tell("publication", lambda: publication_json(event.publication))
            case StepStarted():
                self.tell("step", lambda: {"job": event.job, "step": event.step, "kind": event.kind, "fate": None})
            case StepEnded():
                self.tell(
                    "step",
                    lambda: {
                        "job": event.job,
                        "step": event.step,
                        "kind": event.kind,
                        "fate": event.fate,
                        "seconds": event.seconds,
                    },
                )
            case Retried():
                self.tell("retry", lambda: {"kind": event.kind, "reason": event.reason})
            case WatcherMoved():
                self.tell(
                    "watcher",
                    lambda: {"name": event.name, "kind": event.kind, "up": event.up, "reason": event.reason},
                )
            case _:
                pass

    def _due(self, event: Progressed) -> bool:
        now, parts = self._monotonic(), self._spoken.setdefault(event.job, {})
        ended = event.fraction == 1.0
        if not ended and now - parts.get(event.part, -_BREATH) < _BREATH:
            return False
        parts[event.part] = now
        return True

    def tell(self, name: str, data: Callable[[], Any]) -> None:
        """Tell something, and keep it for who comes back."""
        self._number += 1
        happening = Happening(f"{self._run}-{self._number}", name, data)
        self._ring.append(happening)
        self._tell(happening)

    def _tell(self, happening: Happening) -> None:
        for listener in tuple(self._listeners):
            listener.offer(happening)
            if listener.ended:
                self._listeners.discard(listener)

    def subscribe(self, last: str | None = None) -> Subscription:
        """Listen, from after the message `last` where it is still kept; RetryLater where all seats are taken."""
        if len(self._listeners) >= self._seats:
            raise RetryLater(f"{self._seats} listeners follow the events already: end one of them first.", after=30)
        missed = self._since(last)
        subscription = Subscription(self, self._depth + len(missed))
        for happening in missed:
            subscription.offer(happening)
        self._listeners.add(subscription)
        return subscription

    def _since(self, last: str | None) -> list[Happening]:
        here = f"{self._run}-{self._number}"
        if not last:
            return [Happening(here, "hello", dict)]
        run, _, number = last.partition("-")
        oldest = self._number - len(self._ring)
        if run != self._run or not _NUMBER.fullmatch(number) or not oldest <= int(number) <= self._number:
            return [Happening(here, "reset", dict)]
        return list(self._ring)[int(number) - oldest :]

    def leave(self, subscription: Subscription) -> None:
        """Stop telling this one."""
        self._listeners.discard(subscription)

    def end(self) -> None:
        """Let everybody go who listens now."""
        for listener in self._listeners:
            listener.end()
        self._listeners.clear()
