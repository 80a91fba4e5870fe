"""`/live`: keeps open pages up to date. What several people look at is rendered once for all of them.

Who looks at the same address shares a room. The room renders its parts when something happened, but never for more than a
small share of the time, and sends those that changed as one event. The id of an event stands for the whole of the parts, so
that a page that has just been loaded, or that comes back, gets only what it has not.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from vidd.errors import RetryLater
from vidd.model.job import State
from vidd.web.page.talk_states import TalkJob, TalkStates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.ports import Store
    from vidd.web.event_hub import Hub, ServerEvent

_log = structlog.get_logger("vidd.web")
_SEATS, _DEPTH = 64, 16
_SHORTEST, _LONGEST = 0.2, 5.0
_SHARE = 25
"""Rendering takes at most one part in so many of the time."""


class View(Protocol):
    """What a room shows: HTML by the id of the element that it fills."""

    async def parts(self) -> dict[str, str]:
        """Every part. Raises RetryLater if the store is away."""

    async def progress(self) -> dict[str, str]:
        """The parts that progress changes."""


def version_of(parts: Mapping[str, str]) -> str:
    """Stands for all parts, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(parts.items())).encode()).hexdigest()[:16]


class Viewer:
    """What is to be sent to one open page. It ends when the page does not read: the browser comes back and gets everything."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._something = asyncio.Event()
        self.ended = False

    def put(self, data: bytes) -> None:
        """Queue an event, or end."""
        if len(self._waiting) >= _DEPTH:
            self.end()
            return
        self._waiting.append(data)
        self._something.set()

    def end(self) -> None:
        """Send nothing more."""
        self.ended = True
        self._something.set()

    async def next(self, patience: float) -> bytes | None:
        """The next event; None after `patience` seconds without one, b"" at the end."""
        try:
            async with asyncio.timeout(patience):
                await self._something.wait()
        except TimeoutError:
            return None
        if self.ended:
            return b""
        data = self._waiting.popleft()
        if not self._waiting:
            self._something.clear()
        return data


class _Room:
    def __init__(self, view: View) -> None:
        self.view = view
        self.viewers: set[Viewer] = set()
        self.parts: dict[str, str] = {}
        self.shown: str | None = None  # the version that every page shows before the first rendering
        self.moved = True
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def message(self, changed: Mapping[str, str]) -> bytes:
        head = f"id: {version_of(self.parts)}\nevent: parts\n"
        return f"{head}data: {json.dumps(changed)}\n\n".encode()


class Live:
    """The rooms. `beat`: seconds after which a room looks again although nothing happened, such as at the free disk space."""

    def __init__(self, hub: Hub, store: Store, *, beat: float = 15.0) -> None:
        self._rooms: dict[Any, _Room] = {}
        self._beat = beat
        self.states = TalkStates(store)
        self._ended = False
        hub.tap(self._note)

    def join(self, key: Any, view: View, version: str) -> Viewer:
        """Look at the view with this key, of which the page shows `version`. RetryLater if too many look."""
        if self._ended or sum(len(room.viewers) for room in self._rooms.values()) >= _SEATS:
            raise RetryLater(f"{_SEATS} pages are open already: close one of them first.", after=30)
        room = self._rooms.setdefault(key, _Room(view))
        viewer = Viewer()
        room.viewers.add(viewer)
        if room.parts:
            if version != version_of(room.parts):
                viewer.put(room.message(room.parts))
        else:
            room.shown = version if room.shown in {None, version} else ""
        if room.task is None:
            room.task = asyncio.create_task(self._keep(key, room), name="page")
        return viewer

    def leave(self, key: Any, viewer: Viewer) -> None:
        """Stop looking."""
        room = self._rooms.get(key)
        if room is None:
            return
        room.viewers.discard(viewer)
        if not room.viewers:
            del self._rooms[key]
            if room.task is not None:
                room.task.cancel()
        if not self._rooms:
            self.states.forget()

    async def end(self) -> None:
        """End every page's stream."""
        self._ended = True
        tasks = [room.task for room in self._rooms.values() if room.task is not None]
        for room in self._rooms.values():
            for viewer in room.viewers:
                viewer.end()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _note(self, event: ServerEvent) -> None:
        if not self._rooms:
            # What was read before may be out of date by now.
            self.states.forget()
            return
        if event.name == "job":
            job = event.data()["job"]
            self.states.note(job["pipeline"], job["talk"], TalkJob(job["id"], State(job["state"]), job["reason"]))
        for room in self._rooms.values():
            room.moved = room.moved or event.name != "progress"
            room.changed.set()

    async def _keep(self, key: Any, room: _Room) -> None:
        """Render and send for as long as somebody looks."""
        while True:
            began = time.process_time()
            try:
                await self._render(room)
            except RetryLater as fault:
                _log.warning("page not rendered", reason=fault.sentence)
                room.moved = True
            except Exception:  # noqa: BLE001 - a defect in one view must not end it for those who look at it
                _log.exception("page not rendered", page=str(key))
                room.moved = True
            # Many rooms share the time, so that each of them renders less often.
            pause = _SHARE * (time.process_time() - began) * len(self._rooms)
            await asyncio.sleep(min(max(pause, _SHORTEST), _LONGEST))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._beat):
                    await room.changed.wait()
            room.moved = room.moved or not room.changed.is_set()

    @staticmethod
    async def _render(room: _Room) -> None:
        moved, room.moved = room.moved, False
        room.changed.clear()
        parts = await (room.view.parts() if moved else room.view.progress())
        changed = {name: html for name, html in parts.items() if room.parts.get(name) != html}
        room.parts |= parts
        shown, room.shown = room.shown, ""
        if changed and shown != version_of(room.parts):
            message = room.message(changed)
            for viewer in room.viewers:
                viewer.put(message)
