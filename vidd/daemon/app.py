"""Makes a running daemon from settings. `Daemon.run` reads as the table of contents."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from vidd.daemon.control import Control
from vidd.daemon.startup import start_when_available
from vidd.daemon.state_directory import JOBS, lock_state_directory
from vidd.daemon.systemd import Notifier
from vidd.daemon.watchers import Watching, cancel_and_wait
from vidd.engine.clock import SystemClock
from vidd.engine.commands import Commands
from vidd.engine.context import EngineContext, record_size
from vidd.engine.failure_notices import FailureNotices
from vidd.engine.intake import Intake
from vidd.engine.runner import Runner
from vidd.engine.slots import Slots
from vidd.engine.supervisor import Watchers
from vidd.engine.workspace import Workspace
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.media.ffmpeg.process import capabilities
from vidd.media.verify.verify import inspect
from vidd.model.event import Event
from vidd.model.media import Artifact, Media
from vidd.model.retry import RetryRule
from vidd.pipelines.resolve import resolve
from vidd.pipelines.validation import Ready, make_ready
from vidd.ports import Encoder, Shared, Store, Tools
from vidd.settings.schema import Settings
from vidd.web.server import Port

_log = structlog.get_logger()
_MAX_WAIT = 60.0
"""`--until-idle` stays for waiting jobs that are due within so many seconds."""
_MAX_DOWN = 5.0
"""Seconds that a watcher may be down before `--until-idle` gives up; somebody may be saving the sheet just now."""
_TICK = 0.1
SOCKET = "vidd.sock"


class Daemon:
    """One running daemon. `reread` reads the settings again at SIGHUP."""

    def __init__(self, settings: Settings, reread: Callable[[], Settings]) -> None:
        self._ready = make_ready(settings)
        # The daemon holds the lock of this directory. Another one in settings read later counts after a restart.
        self._state = settings.daemon.state
        self._reread = reread
        self._notifier = Notifier()
        self._observers: list[Callable[[Event], None]] = []
        self._stop = asyncio.Event()
        self._stop_at_once = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._shared = Shared()
        self._engine: EngineContext
        self._intake: Intake
        self._watchers: Watchers
        self._watching: Watching
        self._failure_notices: FailureNotices
        self.runner: Runner
        self.control: Control
        self.port: Port

    async def run(
        self,
        *,
        until_idle: bool = False,
        seconds: float | None = None,
        on_ready: Callable[[Daemon], Awaitable[None]] | None = None,
    ) -> None:
        """Run until a signal, for `seconds`, or with `until_idle` until there is nothing left to do.

        `on_ready` is called once the daemon takes work. Raises Refused if the daemon cannot start.
        """
        settings = self._ready.settings
        with lock_state_directory(settings.daemon.state):
            async with AsyncExitStack() as stack:
                await self._build(stack)
                await self.port.start(
                    settings.daemon.listen,
                    settings.daemon.state / SOCKET,
                    [token.get_secret_value() for token in settings.daemon.tokens],
                )
                stack.push_async_callback(self.port.stop)
                unfinished = await start_when_available(self.runner.recover, self._notifier)
                await stack.enter_async_context(self._signals())
                async with asyncio.TaskGroup() as tasks:
                    main = tasks.create_task(self.runner.run(), name="runner")
                    watchdog = tasks.create_task(self._watchdog(), name="watchdog")
                    failure_notices = tasks.create_task(self._failure_notices.run(), name="failure_notices")
                    forecast = tasks.create_task(self.control.forecast.run(), name="forecast")
                    days = tasks.create_task(self.control.day_recorder.run(), name="day_recorder")
                    self._watching.start(self._ready)
                    _log.info(
                        "ready", state=str(settings.daemon.state), listen=self.port.address, unfinished=unfinished
                    )
                    self._notifier.send(READY="1", STATUS="Ready.")
                    try:
                        if on_ready is not None:
                            await on_ready(self)
                        await self._until_over(until_idle=until_idle, seconds=seconds)
                    finally:
                        # Jobs must come to rest while the store is still open, whatever ended the wait.
                        await self._shut_down()
                        for task in (main, watchdog, failure_notices, forecast, days):
                            task.cancel()
        _log.info("stopped")

    async def _build(self, stack: AsyncExitStack) -> None:
        ready, settings = self._ready, self._ready.settings
        store = ready.make_store()
        await start_when_available(store.open, self._notifier)
        stack.push_async_callback(store.close)
        stack.push_async_callback(self._shared.close)
        queue = ready.make_queue()
        tools = self._tools(ready, store)
        workspace = Workspace(settings.daemon.state / JOBS)
        self._engine = EngineContext(
            store=store,
            slots=Slots(settings.limits.slots()),
            workspace=workspace,
            tools=tools,
            resolve=resolve,
            observe=self.observe,
            retry=RetryRule(**settings.retry.model_dump()),
            examine=self._examine,
            wake_source=lambda name: self._watching.ask(name),  # noqa: PLW0108 - `_watching` is made below
        )
        self.runner = Runner(self._engine, queue, settings.limits.jobs, background=settings.limits.background_jobs)
        commands = Commands(self._engine, self.runner)
        self._intake = Intake(store, queue, ready.pipelines, tools.clock, self.observe)
        self._watchers = Watchers(tools.clock, self.observe)
        self._watching = Watching(
            self._engine, self.runner, self._intake, commands, self._watchers, observers=self._observers
        )
        self.control = Control(
            engine=self._engine,
            queue=queue,
            runner=self.runner,
            commands=commands,
            intake=self._intake,
            watching=self._watching,
            capabilities=await capabilities(tools.encoder),
            reserve=lambda: self._ready.settings.limits.disk_reserve,
        )
        self._failure_notices = FailureNotices(self._engine)
        self._observers += [*self.control.observers, self._failure_notices.note]
        self.port = Port(self.control)

    def _tools(self, ready: Ready, store: Store) -> Tools:
        encoder = Encoder(**ready.encoder, shared=self._shared)
        return Tools(self._state, encoder, SystemClock(), ready.accounts, self.observe, store)

    async def _examine(self, path: Path, artifact: Artifact, name: str) -> tuple[Media | None, Mapping[str, Any]]:
        """Check a file that its step did not check: reads a video; of any other file it records the size."""
        if not artifact.content_type.startswith("video/"):
            return await record_size(path, artifact, name)
        media, record = await inspect(self._engine.tools.encoder, path, name)
        return media, record.to_json()

    def observe(self, event: Event) -> None:
        """Pass an event to all observers."""
        for note in self._observers:
            note(event)

    async def _until_over(self, *, until_idle: bool, seconds: float | None) -> None:
        ends: list[asyncio.Task[Any]] = [asyncio.create_task(self._stop.wait(), name="signal")]
        if until_idle:
            ends.append(asyncio.create_task(self._wait_until_idle(), name="idle"))
        if seconds is not None:
            ends.append(asyncio.create_task(asyncio.sleep(seconds), name="time"))
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await cancel_and_wait(*ends)

    async def _wait_until_idle(self) -> None:
        ticks_down: dict[str, int] = {}
        while not all(watcher.caught_up for watcher in self._watchers.table.values()):
            for watcher in self._watchers.table.values():
                ticks_down[watcher.name] = ticks_down.get(watcher.name, 0) + 1 if watcher.down else 0
                if ticks_down[watcher.name] * _TICK >= _MAX_DOWN:
                    raise Refused(
                        f"The watcher {watcher.name} cannot look at what there is: {watcher.reason}",
                        code=FaultCode.UNREACHABLE,
                    )
            await asyncio.sleep(_TICK)
        while True:
            await self.runner.idle(_MAX_WAIT)
            if not self._watching.outstanding and not self._failure_notices.outstanding(_MAX_WAIT):
                return
            await asyncio.sleep(_TICK)

    async def _shut_down(self) -> None:
        """Take no new work, let running jobs end, then interrupt them; at once after a second signal."""
        grace = self._ready.settings.daemon.grace
        _log.info("stopping", running=len(self.runner.running), grace=grace)
        self._notifier.send(STOPPING="1", STATUS="Letting running jobs end.")
        draining = asyncio.create_task(self.runner.drain(grace), name="drain")
        second_signal = asyncio.create_task(self._stop_at_once.wait(), name="second_signal")
        await asyncio.wait({draining, second_signal}, return_when=asyncio.FIRST_COMPLETED)
        await self.runner.stop_now()
        await draining
        await cancel_and_wait(second_signal)
        with suppress(RetryLater):
            await self.control.day_recorder.write()
        async with self._reloading:
            await self._watching.stop()

    async def _watchdog(self) -> None:
        interval = Notifier.watchdog_seconds() or 10.0
        while True:
            running, queued = len(self.runner.running), self.control.queued
            self._notifier.send(WATCHDOG="1", STATUS=f"{running} jobs run, {queued} are queued.")
            await asyncio.sleep(interval)

    @asynccontextmanager
    async def _signals(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        reloads: set[asyncio.Task[None]] = set()
        loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(asyncio.create_task(self.reload(), name="reload")))
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)
            for task in reloads:
                task.cancel()

    def stop(self) -> None:
        """Drain and stop; a second call stops without waiting for running jobs."""
        if self._stop.is_set():
            self._stop_at_once.set()
        self._stop.set()

    async def reload(self) -> None:
        """Read the settings again, and use them; invalid ones are logged, and the old ones stay."""
        async with self._reloading:
            if self._engine.draining:
                return
            self._notifier.send(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))
            try:
                ready = make_ready(self._reread())
                for pipeline in ready.pipelines.values():
                    resolve(pipeline)
                await self._apply(ready)
            except Refused as refused:
                _log.error("settings refused", reason=refused.sentence)
            finally:
                self._notifier.send(READY="1", STATUS="Ready.")

    async def _apply(self, ready: Ready) -> None:
        old, new = self._ready.settings, ready.settings
        fixed = [
            name
            for name, before, after in (
                ("daemon", old.daemon, new.daemon.model_copy(update={"grace": old.daemon.grace})),
                ("store", old.store, new.store),
                ("queue", old.queue, new.queue),
            )
            if before != after
        ]
        await self._watching.stop()
        self._ready = ready
        before, self._engine.tools = self._engine.tools, self._tools(ready, self._engine.store)
        if self._engine.tools.encoder.path != before.encoder.path:
            self.control.capabilities = await capabilities(self._engine.tools.encoder)
        self._engine.retry = RetryRule(**new.retry.model_dump())
        self._engine.slots.resize(new.limits.slots())
        self.runner.resize(new.limits.jobs, background=new.limits.background_jobs)
        self._intake.pipelines = ready.pipelines
        self.control.metrics.expect(ready.pipelines)
        self._watching.start(self._ready)
        _log.info("settings read", pipelines=list(ready.pipelines), after_restart=fixed)
