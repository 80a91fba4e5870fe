"""A CMS watched: connection after connection, and questions for what fell between two of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from vidd.aio.wait import sleep_or_event
from vidd.errors import Fault, Refused, RetryLater
from vidd.integrations.graphql_cms.account import Account
from vidd.integrations.graphql_cms.delivery import Reception
from vidd.integrations.graphql_cms.graphql import Cms, connected
from vidd.integrations.graphql_cms.items import Page, listed
from vidd.integrations.graphql_cms.notes import Notes
from vidd.integrations.graphql_cms.options import Options, arrival_of
from vidd.integrations.graphql_cms.records import Upload, dig
from vidd.integrations.graphql_cms.websocket import Subscription, Told, subscribed
from vidd.model.retry import RetryRule, next_try

if TYPE_CHECKING:
    from vidd.ports import SourceContext

_SOON = 5.0
"""Seconds after which it is asked once more: a subscription may begin a moment after the first answer."""
_PROVEN = 30.0
"""Seconds a connection must have stood for the falls before it to be forgotten."""


class CmsWatch:
    """One source at work, connection after connection."""

    def __init__(self, options: Options, context: SourceContext) -> None:
        self.options, self.context = options, context
        self.account = context.tools.account(options.account, Account)
        self.notes = Notes(context.tools.memory, context.name)
        arrival = partial(arrival_of, options, context.name)
        self.reception = Reception(context, self.notes, options.fields, arrival, options.begin)
        self.look_now = asyncio.Event()
        self.looked_whole: datetime | None = None
        self.rung: datetime | None = None
        self.falls = 0

    @property
    def _now(self) -> datetime:
        return self.context.tools.clock.now()

    async def run(self) -> None:
        """Connect, stay, and after a fall wait and connect anew."""
        await self.notes.recall()
        while True:
            if not self.options.subscription:
                await self._ask_alone(self._interval)
                continue
            began = self._now
            fault = await self._stay()
            self.reception.trouble("subscription", fault.sentence)
            await self._ask_alone(self._wait_after(fault, began))

    async def _stay(self) -> Fault:
        """One connection, from its beginning to its end; returns why it ended."""
        async with AsyncExitStack() as stack:
            try:
                line = await stack.enter_async_context(
                    subscribed(self.account, self.context.tools, self.options.subscription, self.options.manner)
                )
            except Fault as fault:
                return fault
            self.reception.trouble("subscription", None)
            hearing = asyncio.create_task(self._hear(line), name=f"hear:{self.context.name}")
            looking = asyncio.create_task(self._look_often(line.cms), name=f"look:{self.context.name}")
            try:
                await asyncio.wait({hearing, looking}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (hearing, looking):
                    task.cancel()
                await asyncio.wait({hearing, looking})
            for task in (looking, hearing):
                if not task.cancelled() and (defect := task.exception()):
                    raise defect
            return await hearing

    async def _hear(self, line: Subscription) -> Fault:
        while True:
            try:
                told = await line.batch()
            except Fault as fault:
                return fault
            await self._take(told)

    async def _take(self, told: Sequence[Told]) -> None:
        values: list[Any] = []
        for one in told:
            value = dig(one.data, self.options.event)
            found = value if isinstance(value, list) else [value]
            if None in found or one.faults:
                # Something happened, and this does not say what.
                self.look_now.set()
            if None in found:
                said = f" ({one.faults})" if one.faults else ""
                reason = f"The CMS's event has nothing at {self.options.event!r}{said}."
                await self.reception.put_aside({"data": one.data, "errors": one.faults}, reason)
            values += [each for each in found if each is not None]
        await self.reception.take(values)

    async def _look_often(self, cms: Cms) -> None:
        wait = min(_SOON, self._interval)
        while True:
            await self._look(cms)
            began = self._now
            await sleep_or_event(self.context.pause(wait), self.look_now)
            if self.look_now.is_set() and self.rung and (began - self.rung).total_seconds() < _SOON:
                # A CMS that tells nothing but nonsense is not asked all the time.
                await self.context.pause(_SOON)
            self.rung = began if self.look_now.is_set() else None
            wait = self._interval

    @property
    def _interval(self) -> float:
        return min(self.options.catch_up, self.options.recheck) if self.notes.waiting else self.options.catch_up

    async def _ask_alone(self, seconds: float) -> None:
        """Look, and again where there is time for it, for so many seconds or until somebody asks."""
        left = seconds
        while True:
            async with AsyncExitStack() as stack:
                try:
                    cms = await stack.enter_async_context(connected(self.account, self.context.tools))
                except Fault as fault:
                    self.reception.trouble("query", fault.sentence)
                else:
                    await self._look(cms)
            part, began = min(left, self._interval), self._now
            await self.context.pause(part)
            left -= part
            if left <= 0 or (self._now - began).total_seconds() < part:
                return

    def _wait_after(self, fault: Fault, began: datetime) -> float:
        now = self._now
        self.falls = 1 if (now - began).total_seconds() >= _PROVEN else self.falls + 1
        refused = isinstance(fault, Refused)
        rule = RetryRule(
            attempts=1 << 30,
            first=30.0 if refused else 1.0,
            longest=self.options.refused_wait if refused else self.options.longest_wait,
            total=float("inf"),
        )
        after = fault.after if isinstance(fault, RetryLater) else None
        chance = random.random()  # noqa: S311 - jitter, not a secret
        again = next_try(rule, attempt=self.falls, since=now, now=now, after=after, chance=chance)
        return (again - now).total_seconds() if again else rule.longest

    async def _look(self, cms: Cms) -> None:
        """Ask for what is there and take it in. What the CMS has against it shows, and the next look comes all the same."""
        self.look_now.clear()
        began, waited = self._now, self._would_be_listed()
        since = self._since(began)
        uploads: list[Upload] = []
        faults: str | None = None
        async with aclosing(listed(cms, self.options.question, since)) as pages:
            while True:
                try:
                    page: Page | None = await anext(pages, None)
                except Fault as fault:
                    self.reception.trouble("query", fault.sentence)
                    return
                if page is None:
                    break
                faults = faults or page.faults
                uploads += await self.reception.take(page.objects)
        if faults:
            self.reception.trouble("query", f"The CMS answered only in part, and is asked again: {faults}.")
            return
        await self._looked(uploads, began, whole=since is None, waited=waited)

    def _would_be_listed(self) -> list[str]:
        """What waits and is gone where a whole list does not have it; a list filtered by time has none without a time."""
        filtered = self.options.since_variable is not None
        return [identity for identity, one in self.notes.waiting.items() if one.at or not filtered]

    def _since(self, now: datetime) -> datetime | None:
        """From when to list: from the beginning at the start, and now and then, since the CMS's clock may have gone back."""
        last = self.looked_whole
        if self.options.since_variable is None or last is None:
            return None
        if now - last >= timedelta(seconds=self.options.whole):
            return None
        return self.notes.since(self.options.overlap)

    async def _looked(self, uploads: Sequence[Upload], began: datetime, *, whole: bool, waited: Sequence[str]) -> None:
        await self.notes.known(max((upload.at for upload in uploads if upload.at), default=None), began)
        if whole:
            self.looked_whole = began
            there = {upload.id for upload in uploads}
            # An empty list may be what a stranger is shown.
            if there:
                await self.reception.gone(one for one in waited if one not in there)
        self.reception.trouble("query", None)
        self.context.caught_up()
