"""Broadcasts the daemon's events to the listeners of `/api/events`, and keeps the newest for those who reconnect.

An id is `<run>-<number>`. An id of another run, or of an event that is no longer kept, is answered with `reset`, and the
listener reads everything again. Progress goes out at most four times a second for each part, and is not kept.
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

_PROGRESS_INTERVAL = 0.25
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)


class Ended(Exception):
    """No more events come: the port stops, or the listener was too slow."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An event as it is sent. `id` is None if it is not kept; `data` makes the JSON when it is sent."""

    id: str | None
    name: str
    data: Callable[[], Any]

    def encode(self) -> bytes:
        """The event in the format of server-sent events."""
        head = f"id: {self.id}\n" if self.id else ""
        return f"{head}event: {self.name}\ndata: {json.dumps(self.data(), default=str)}\n\n".encode()


class Subscription:
    """A listener's queue of bounded depth. It ends when it is full: nobody waits for a slow listener."""

    def __init__(self, hub: Hub, depth: int) -> None:
        self._hub = hub
        self._depth = depth
        self._waiting: deque[ServerEvent] = deque()
        self._something = asyncio.Event()
        self.ended = False

    def __enter__(self) -> Self:
        """The subscription."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._hub.leave(self)

    def put(self, event: ServerEvent) -> None:
        """Queue an event, or end if the queue is full."""
        if len(self._waiting) >= self._depth:
            self.end()
            return
        self._waiting.append(event)
        self._something.set()

    def end(self) -> None:
        """End the subscription and drop what is queued."""
        self.ended = True
        self._waiting.clear()
        self._something.set()

    async def next(self, patience: float) -> ServerEvent | None:
        """The next event; None after `patience` seconds without one. Raises Ended if no more come."""
        try:
            async with asyncio.timeout(patience):
                await self._something.wait()
        except TimeoutError:
            return None
        if self.ended:
            raise Ended
        event = self._waiting.popleft()
        if not self._waiting:
            self._something.clear()
        return event


class Hub:
    """Sends the events it observes to its listeners.

    `ring`: how many events are kept. `depth`: how many may wait for a listener. `seats`: how many may listen.
    """

    def __init__(
        self, *, ring: int = 1024, depth: int = 256, seats: int = 64, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._run = secrets.token_hex(4)
        self._number = 0
        self._ring: deque[ServerEvent] = deque(maxlen=ring)
        self._depth, self._seats, self._monotonic = depth, seats, monotonic
        self._listeners: set[Subscription] = set()
        self._sent_at: dict[str, dict[str, float]] = {}
        self._taps: list[Callable[[ServerEvent], None]] = []

    def tap(self, note: Callable[[ServerEvent], None]) -> None:
        """Call `note` with every event that is sent; it must be quick."""
        self._taps.append(note)

    def observe(self, event: Event) -> None:
        """Send an event, if it is one that people follow."""
        match event:
            case JobMoved():
                self._sent_at.pop(event.job.id, None)
                self.send("job", lambda: {"job": job_json(event.job), "before": event.before})
            case Progressed():
                if self._due(event):
                    self._broadcast(ServerEvent(None, "progress", lambda: {"job": event.job, **progress_json(event)}))
            case PublicationMoved():
                self.send("publication", lambda: publication_json(event.publication))
            case StepStarted():
                self.send("step", lambda: {"job": event.job, "step": event.step, "kind": event.kind, "fate": None})
            case StepEnded():
                self.send(
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
                self.send("retry", lambda: {"kind": event.kind, "reason": event.reason})
            case WatcherMoved():
                self.send(
                    "watcher",
                    lambda: {"name": event.name, "kind": event.kind, "up": event.up, "reason": event.reason},
                )
            case _:
                pass

    def _due(self, event: Progressed) -> bool:
        now, parts = self._monotonic(), self._sent_at.setdefault(event.job, {})
        ended = event.fraction == 1.0
        if not ended and now - parts.get(event.part, -_PROGRESS_INTERVAL) < _PROGRESS_INTERVAL:
            return False
        parts[event.part] = now
        return True

    def send(self, name: str, data: Callable[[], Any]) -> None:
        """Send an event, and keep it for listeners who reconnect."""
        self._number += 1
        event = ServerEvent(f"{self._run}-{self._number}", name, data)
        self._ring.append(event)
        self._broadcast(event)

    def _broadcast(self, event: ServerEvent) -> None:
        for note in self._taps:
            note(event)
        for listener in tuple(self._listeners):
            listener.put(event)
            if listener.ended:
                self._listeners.discard(listener)

    def subscribe(self, last: str | None = None) -> Subscription:
        """Subscribe, from after the event `last` if it is still kept. RetryLater if too many listen."""
        if len(self._listeners) >= self._seats:
            raise RetryLater(f"{self._seats} listeners follow the events already: end one of them first.", after=30)
        missed = self._since(last)
        subscription = Subscription(self, self._depth + len(missed))
        for event in missed:
            subscription.put(event)
        self._listeners.add(subscription)
        return subscription

    def _since(self, last: str | None) -> list[ServerEvent]:
        newest = f"{self._run}-{self._number}"
        if not last:
            return [ServerEvent(newest, "hello", dict)]
        run, _, number = last.partition("-")
        oldest = self._number - len(self._ring)
        if run != self._run or not _NUMBER.fullmatch(number) or not oldest <= int(number) <= self._number:
            return [ServerEvent(newest, "reset", dict)]
        return list(self._ring)[int(number) - oldest :]

    def leave(self, subscription: Subscription) -> None:
        """Remove a subscription."""
        self._listeners.discard(subscription)

    def end(self) -> None:
        """End all subscriptions."""
        for listener in self._listeners:
            listener.end()
        self._listeners.clear()
