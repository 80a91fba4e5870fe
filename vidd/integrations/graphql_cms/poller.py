"""Watches a CMS: connection after connection, and a query for what was uploaded between two of them."""

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
from vidd.integrations.graphql_cms.delivery import Delivery
from vidd.integrations.graphql_cms.graphql import Cms, connect
from vidd.integrations.graphql_cms.items import Page, list_pages
from vidd.integrations.graphql_cms.memory import CmsMemory
from vidd.integrations.graphql_cms.options import Options, arrival_of
from vidd.integrations.graphql_cms.records import Upload, dig
from vidd.integrations.graphql_cms.websocket import Subscription, SubscriptionEvent, subscribe
from vidd.model.retry import RetryRule, next_try

if TYPE_CHECKING:
    from vidd.ports import SourceContext

_SECOND_QUERY = 5.0
"""Seconds until the second query: a subscription may begin a moment after the answer to the first."""
_STABLE = 30.0
"""Seconds after which a connection counts as stable, so that the failures before it are forgotten."""


class CmsPoller:
    """The watcher of one source."""

    def __init__(self, options: Options, context: SourceContext) -> None:
        self.options, self.context = options, context
        self.account = context.tools.account(options.account, Account)
        self.memory = CmsMemory(context.tools.memory, context.name)
        arrival = partial(arrival_of, options, context.name)
        self.delivery = Delivery(context, self.memory, options.fields, arrival, options.begin)
        self.query_now = asyncio.Event()
        self.listed_at: datetime | None = None
        self.prompted_at: datetime | None = None
        self.failures = 0

    @property
    def _now(self) -> datetime:
        return self.context.tools.clock.now()

    async def run(self) -> None:
        """Connect, again after each connection that ends; without a subscription, only query."""
        await self.memory.recall()
        while True:
            if not self.options.subscription:
                await self._poll(self._interval)
                continue
            began = self._now
            fault = await self._run_connection()
            self.delivery.report("subscription", fault.sentence)
            await self._poll(self._wait_after(fault, began))

    async def _run_connection(self) -> Fault:
        """Run one connection to its end; returns why it ended."""
        async with AsyncExitStack() as stack:
            try:
                subscription = await stack.enter_async_context(
                    subscribe(
                        self.account, self.context.tools, self.options.subscription, self.options.connection_options
                    )
                )
            except Fault as fault:
                return fault
            self.delivery.report("subscription", None)
            receiving = asyncio.create_task(self._receive(subscription), name=f"receive:{self.context.name}")
            querying = asyncio.create_task(self._query_often(subscription.cms), name=f"query:{self.context.name}")
            try:
                await asyncio.wait({receiving, querying}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (receiving, querying):
                    task.cancel()
                await asyncio.wait({receiving, querying})
            for task in (querying, receiving):
                if not task.cancelled() and (defect := task.exception()):
                    raise defect
            return await receiving

    async def _receive(self, subscription: Subscription) -> Fault:
        while True:
            try:
                events = await subscription.batch()
            except Fault as fault:
                return fault
            await self._deliver(events)

    async def _deliver(self, events: Sequence[SubscriptionEvent]) -> None:
        values: list[Any] = []
        for event in events:
            value = dig(event.data, self.options.event)
            found = value if isinstance(value, list) else [value]
            if None in found or event.errors:
                # The event does not say what was uploaded: the query does.
                self.query_now.set()
            if None in found:
                said = f" ({event.errors})" if event.errors else ""
                reason = f"The CMS's event has nothing at {self.options.event!r}{said}."
                await self.delivery.dead_letter({"data": event.data, "errors": event.errors}, reason)
            values += [upload for upload in found if upload is not None]
        await self.delivery.deliver(values)

    async def _query_often(self, cms: Cms) -> None:
        wait = min(_SECOND_QUERY, self._interval)
        while True:
            await self._query(cms)
            began = self._now
            await sleep_or_event(self.context.pause(wait), self.query_now)
            if (
                self.query_now.is_set()
                and self.prompted_at
                and (began - self.prompted_at).total_seconds() < _SECOND_QUERY
            ):
                # If every event of a CMS prompts a query, vidd does not query all the time.
                await self.context.pause(_SECOND_QUERY)
            self.prompted_at = began if self.query_now.is_set() else None
            wait = self._interval

    @property
    def _interval(self) -> float:
        return min(self.options.catch_up, self.options.recheck) if self.memory.waiting else self.options.catch_up

    async def _poll(self, seconds: float) -> None:
        """Query without a subscription, for so many seconds or until somebody asks the source to look now."""
        left = seconds
        while True:
            async with AsyncExitStack() as stack:
                try:
                    cms = await stack.enter_async_context(connect(self.account, self.context.tools))
                except Fault as fault:
                    self.delivery.report("query", fault.sentence)
                else:
                    await self._query(cms)
            part, began = min(left, self._interval), self._now
            await self.context.pause(part)
            left -= part
            if left <= 0 or (self._now - began).total_seconds() < part:
                return

    def _wait_after(self, fault: Fault, began: datetime) -> float:
        now = self._now
        self.failures = 1 if (now - began).total_seconds() >= _STABLE else self.failures + 1
        refused = isinstance(fault, Refused)
        rule = RetryRule(
            attempts=1 << 30,
            first=30.0 if refused else 1.0,
            longest=self.options.refused_wait if refused else self.options.longest_wait,
            total=float("inf"),
        )
        after = fault.after if isinstance(fault, RetryLater) else None
        chance = random.random()  # noqa: S311 - jitter, not a secret
        again = next_try(rule, attempt=self.failures, since=now, now=now, after=after, chance=chance)
        return (again - now).total_seconds() if again else rule.longest

    async def _query(self, cms: Cms) -> None:
        """List the CMS and deliver what it has. A fault is reported; the next query comes all the same."""
        self.query_now.clear()
        began, waited = self._now, self._listed_if_present()
        since = self._since(began)
        uploads: list[Upload] = []
        errors: str | None = None
        async with aclosing(list_pages(cms, self.options.query_spec, since)) as pages:
            while True:
                try:
                    page: Page | None = await anext(pages, None)
                except Fault as fault:
                    self.delivery.report("query", fault.sentence)
                    return
                if page is None:
                    break
                errors = errors or page.errors
                uploads += await self.delivery.deliver(page.objects)
        if errors:
            self.delivery.report("query", f"The CMS answered only in part; vidd will ask again: {errors}.")
            return
        await self._finish_query(uploads, began, everything=since is None, waited=waited)

    def _listed_if_present(self) -> list[str]:
        """The ids of waiting uploads that a list of everything would have; one filtered by time has none without a time."""
        filtered = self.options.since_variable is not None
        return [id_ for id_, upload in self.memory.waiting.items() if upload.at or not filtered]

    def _since(self, now: datetime) -> datetime | None:
        """The time from which to list; None (everything) at the start and every `whole`: the CMS's clock may have gone back."""
        last = self.listed_at
        if self.options.since_variable is None or last is None:
            return None
        if now - last >= timedelta(seconds=self.options.whole):
            return None
        return self.memory.since(self.options.overlap)

    async def _finish_query(
        self, uploads: Sequence[Upload], began: datetime, *, everything: bool, waited: Sequence[str]
    ) -> None:
        await self.memory.record_up_to(max((upload.at for upload in uploads if upload.at), default=None), began)
        if everything:
            self.listed_at = began
            present = {upload.id for upload in uploads}
            # A CMS may show an empty list to a stranger, as after a login that expired.
            if present:
                await self.delivery.forget_absent(id_ for id_ in waited if id_ not in present)
        self.delivery.report("query", None)
        self.context.mark_caught_up()
