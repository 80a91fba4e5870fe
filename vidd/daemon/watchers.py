"""Starts and stops the watchers of a daemon: sources, row requests, and sheets that show the status of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog

from vidd.engine.audit import Auditor
from vidd.engine.commands import Commands
from vidd.engine.context import EngineContext
from vidd.engine.intake import Intake
from vidd.engine.row_requests import RowRequests
from vidd.engine.row_sync import RowSync
from vidd.engine.runner import Runner
from vidd.engine.source_context import EngineSourceContext
from vidd.engine.supervisor import Watchers
from vidd.model.event import Event
from vidd.pipelines.registry import source_module
from vidd.pipelines.resolve import resolve
from vidd.pipelines.validation import Ready
from vidd.ports import SourceRoute
from vidd.ports.kinds import Audits, FollowsPipeline, ServesRoutes

_log = structlog.get_logger()


class Watching:
    """Starts and stops the watchers that the settings name.

    observers: the daemon's list of observers of events, to which watchers are added.
    contexts: the contexts of the sources, by name.
    auditors: the sources that can list what their other side has, by name.
    routes: the HTTP routes of the sources.
    watchers: the table of the watchers' states.
    """

    def __init__(
        self,
        engine: EngineContext,
        runner: Runner,
        intake: Intake,
        commands: Commands,
        watchers: Watchers,
        *,
        observers: list[Callable[[Event], None]],
    ) -> None:
        self._engine, self._runner, self._intake, self._commands = engine, runner, intake, commands
        self.watchers, self._observers = watchers, observers
        self.contexts: dict[str, EngineSourceContext] = {}
        self.auditors: dict[str, Auditor] = {}
        self.routes: list[SourceRoute] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._row_syncs: list[RowSync] = []
        self._row_requests: list[RowRequests] = []

    def ask(self, name: str) -> None:
        """Make the source with this name look now; does nothing if there is none."""
        if name in self.contexts:
            self.contexts[name].wake()

    def start(self, ready: Ready) -> None:
        """Start the watchers that these settings name."""
        self._engine.followers = _followers(ready)
        for name, (kind, options) in ready.sources.items():
            self.watchers.add(name, kind)
            context = EngineSourceContext(
                name,
                getattr(options, "pipeline", None) or _only_user(name, ready),
                tools=self._engine.tools,
                store=self._engine.store,
                intake=self._intake,
                watchers=self.watchers,
                commands=self._commands,
                programme_read=self._programme_read,
                observers=self._observers,
            )
            self.contexts[name] = context
            module = source_module(kind)
            if isinstance(module, ServesRoutes):
                self.routes += module.routes(options, context)
            if isinstance(module, Audits):
                ask = partial(module.audit, options, self._engine.tools, name)
                self.auditors[name] = Auditor(kind, context.pipeline, ask)
            self._start_watcher(name, partial(module.watch, options, context))
        for pipeline, body in ready.pipelines.items():
            plan = resolve(body)
            if plan.programme is not None:
                row_requests = RowRequests(
                    self._engine, self._runner, self._intake, self._commands, pipeline=pipeline, plan=plan
                )
                self._row_requests.append(row_requests)
                self._observers.append(row_requests.note)
                name = f"{pipeline}:rows"
                self.watchers.add(name, "programme")
                self._start_watcher(name, partial(self._follow, name, row_requests))
            for notice in plan.notices:
                if notice.follow is not None:
                    row_sync = RowSync(self._engine, pipeline, notice.follow)
                    self._row_syncs.append(row_sync)
                    self._observers.append(row_sync.note)
                    name = f"{pipeline}.{notice.name}"
                    self.watchers.add(name, notice.kind)
                    self._start_watcher(name, partial(self._follow, name, row_sync))

    def _start_watcher(self, name: str, watch: Callable[[], Awaitable[None]]) -> None:
        self._tasks[name] = asyncio.create_task(self.watchers.keep_running(name, watch), name=f"watch:{name}")

    async def _follow(self, name: str, row_sync: RowSync | RowRequests) -> None:
        self.watchers.mark(name, up=True, reason=None, caught_up=self._engine.now())
        await row_sync.run()

    def _programme_read(self, name: str) -> None:
        for row_requests in self._row_requests:
            row_requests.programme_read(name)
        for row_sync in self._row_syncs:
            row_sync.programme_read()

    @property
    def outstanding(self) -> bool:
        """Whether a row may have a request that vidd has not granted yet."""
        return any(row_requests.outstanding for row_requests in self._row_requests)

    async def stop(self) -> None:
        """Stop all watchers, and write the outstanding rows of sheets."""
        await cancel_and_wait(*self._tasks.values())
        for name in self._tasks:
            self.watchers.forget(name)
        for row_sync in self._row_syncs:
            self._observers.remove(row_sync.note)
            # The sheet must show the last moves of jobs before the daemon stops.
            await self._flush(row_sync)
        for row_requests in self._row_requests:
            self._observers.remove(row_requests.note)
        self._row_requests.clear()
        self._tasks.clear()
        self.contexts.clear()
        self.auditors.clear()
        self.routes.clear()
        self._row_syncs.clear()

    async def _flush(self, row_sync: RowSync) -> None:
        try:
            await row_sync.flush()
        except Exception as error:  # noqa: BLE001 - vidd writes it at the next start, and must stop now
            _log.warning("sheet not written", error=str(error))


def _only_user(programme: str, ready: Ready) -> str | None:
    """The pipeline that has this source as its programme; None where there is none, or more than one."""
    users = [name for name, body in ready.pipelines.items() if body["programme"] == programme]
    return users[0] if len(users) == 1 else None


def _followers(ready: Ready) -> dict[str, list[tuple[str, str]]]:
    """By pipeline, the sources that follow it, each with the role of the file that it wants."""
    followers: dict[str, list[tuple[str, str]]] = {}
    for name, (kind, options) in ready.sources.items():
        module = source_module(kind)
        if isinstance(module, FollowsPipeline):
            pipeline, role = module.followed(options)
            followers.setdefault(pipeline, []).append((name, role))
    return followers


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they are over."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
