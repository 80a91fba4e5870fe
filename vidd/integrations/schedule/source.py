"""Watches a schedule as the programme: schedule.xml, schedule.json, iCalendar, or JSON by a map of its fields."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from vidd.aio.bounded import gather_bounded
from vidd.errors import FaultCode, Refused
from vidd.integrations.programme.document import FileDocument, WebDocument
from vidd.integrations.programme.schedule_json import parse_json, read_schedule_json
from vidd.integrations.programme.scheduled_talk import id_by, talks_of
from vidd.integrations.programme.watch import count_talks, watch_programme
from vidd.integrations.schedule.field_map import FieldMap, items_of, names_by_id, read_by_map
from vidd.integrations.schedule.icalendar import read_icalendar
from vidd.integrations.schedule.options import ScheduleOptions
from vidd.integrations.schedule.schedule_xml import read_schedule_xml
from vidd.integrations.sheet.address_sheet import Addresses, WatchedAddresses, check_addresses
from vidd.settings.secret import reveal
from vidd.transfer.http import session, ssl_context

if TYPE_CHECKING:
    import aiohttp

    from vidd.integrations.programme.scheduled_talk import ScheduledTalk
    from vidd.model.talk import Talk
    from vidd.ports import SourceContext, Tools

_AT_ONCE = 4
_MOST_LOOKUPS = 5000
_LOOKUPS_LAST = timedelta(hours=1)


class Options(ScheduleOptions):
    """Settings of a source of kind `schedule`."""

    addresses: Addresses = None


async def watch(options: Options, context: SourceContext) -> None:
    """Hand in the programme at every look; never returns. Raises Refused where a secret is missing."""
    schedule = _Schedule(options, context.tools)
    complete = WatchedAddresses(options.addresses, context).complete_anew
    await watch_programme(schedule.read, context, complete, refresh=options.refresh, name=schedule.name)


async def check(options: Options, tools: Tools) -> str:
    """Read the schedule once and count its talks."""
    schedule = _Schedule(options, tools)
    talks = await schedule.read() or ()
    return await check_addresses(options.addresses, tools, talks, count_talks(talks))


class _Schedule:
    """A schedule, and what vidd has read of it."""

    def __init__(self, options: Options, tools: Tools) -> None:
        """Raises Refused where a secret is missing."""
        self._options, self._tools = options, tools
        secrets = {name: reveal(tools, secret) for name, secret in options.secret_headers.items()}
        self._headers = {**options.headers, **secrets}
        self._document = self._make_document()
        self.name = f"The schedule {self._document.name}"
        self._looked_up: datetime | None = None

    def _make_document(self) -> WebDocument | FileDocument:
        options = self._options
        if options.url is None:
            return FileDocument(self._tools.path(options.path or ""))
        body = {"query": options.query, "variables": options.variables} if options.query else None
        return WebDocument(options.url, self._tools.clock, headers=self._headers, body=body)

    async def read(self) -> Sequence[Talk] | None:
        """The talks; None where the schedule is as it was. Raises Refused or RetryLater, also for `ca`."""
        if self._looked_up is not None and self._tools.clock.now() - self._looked_up > _LOOKUPS_LAST:
            # What is looked up changes without the schedule.
            self._document, self._looked_up = self._make_document(), None
        options = self._options
        ca = None if options.ca is None else self._tools.path(options.ca)
        trust = True if ca is None else await asyncio.to_thread(ssl_context, ca)
        async with session(connect=options.connect_timeout, idle=options.timeout, trust=trust) as web:
            content = await self._document.read(web)
            if content is None:
                return None
            if options.fields is not None:
                scheduled = await self._by_map(web, content, options.fields)
            else:
                # A long schedule must not stop the daemon's other work.
                scheduled = await asyncio.to_thread(self._parse, content)
        talks = talks_of(scheduled, self.name)
        self._document.accept()
        return talks

    def _parse(self, content: bytes) -> list[ScheduledTalk]:
        options = self._options
        match options.kind_of_document:
            case "schedule_xml":
                return read_schedule_xml(content, self.name, ids=options, zone=options.zone)
            case "icalendar":
                after = options.speakers_after
                return read_icalendar(content, self.name, ids=options, zone=options.zone, speakers_after=after)
            case _:
                talks = read_schedule_json(content, self.name, id_field=options.id or "id", zone=options.zone)
                for talk in talks:
                    talk.id = id_by(options.pattern, talk.id)
                return talks

    async def _by_map(self, web: aiohttp.ClientSession, content: bytes, fields: FieldMap) -> list[ScheduledTalk]:
        options = self._options
        document = await asyncio.to_thread(parse_json, content, self.name)
        if options.query and isinstance(document, dict) and document.get("errors"):
            said = json.dumps(document["errors"], ensure_ascii=False)[:200]
            raise Refused(
                f"{self.name} answered the query with errors ({said}): correct `query`.", code=FaultCode.REJECTED
            )
        items = items_of(document, fields, self.name)
        wanted = sorted(names_by_id(items, fields, options.lookups))
        if len(wanted) > _MOST_LOOKUPS:
            raise Refused(
                f"{self.name} has {len(wanted)} speakers and stages to look up; vidd looks up {_MOST_LOOKUPS}."
            )
        found = await self._look_up(web, wanted)
        talks = await asyncio.to_thread(read_by_map, items, fields, found, options.lookups, options.zone)
        for talk in talks:
            talk.id = id_by(options.pattern, talk.id)
        return talks

    async def _look_up(
        self, web: aiohttp.ClientSession, wanted: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], Any]:
        """The documents of speakers and stages, without those that are not there."""
        found: dict[tuple[str, str], Any] = {}

        async def look_up(key: tuple[str, str]) -> None:
            what, identity = key
            url = str(getattr(self._options.lookups, what)).replace("{id}", quote(identity, safe=""))
            own = urlsplit(url)[:2] == urlsplit(self._options.url or "")[:2]
            document = WebDocument(url, self._tools.clock, headers=self._headers if own else None)
            try:
                content = await document.read(web)
            except Refused as fault:
                if fault.code is not FaultCode.NOT_FOUND:
                    raise
                return
            found[key] = parse_json(content or b"", document.name)

        await gather_bounded(_AT_ONCE, wanted, look_up)
        if wanted:
            self._looked_up = self._tools.clock.now()
        return found
