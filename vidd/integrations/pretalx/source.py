"""Watches the programme of an event at pretalx: by its REST API with a token, else by what it shows in public.

Only the API has the speakers' e-mail addresses, and talks that are not in the released schedule yet.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

from pydantic import Field

from vidd.errors import FaultCode, Refused
from vidd.integrations.pretalx.account import Account
from vidd.integrations.pretalx.api import pretalx, web_session
from vidd.integrations.pretalx.submission import read_submission, read_widget
from vidd.integrations.programme.document import WebDocument
from vidd.integrations.programme.schedule_json import read_schedule_json
from vidd.integrations.programme.scheduled_talk import talks_of
from vidd.integrations.programme.watch import count_talks, watch_programme
from vidd.integrations.sheet.address_sheet import Addresses, WatchedAddresses, check_addresses
from vidd.settings.marks import AccountOf
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from vidd.integrations.programme.scheduled_talk import ScheduledTalk
    from vidd.model.talk import Talk
    from vidd.ports import SourceContext, Tools

State = Literal["submitted", "accepted", "confirmed"]


class Options(Base):
    """Settings of a source of kind `pretalx`."""

    account: Annotated[str, AccountOf("pretalx")] = Field(description="The account of kind pretalx.")
    event: str = Field(pattern=r"^[A-Za-z0-9.-]+$", description="The event, by the word in its address.")
    read: Literal["api", "export", "widget"] | None = Field(
        None,
        description="By the REST API, by the public schedule export, or by the data of the schedule widget, which an event may "
        "show although its schedule is not public; the API where the account has a token, the export otherwise.",
    )
    states: tuple[State, ...] = Field(
        ("accepted", "confirmed"), min_length=1, description="The states of submissions that are talks, for the API."
    )
    refresh: Duration = Field(300.0, gt=0, description="How often vidd reads it.")
    addresses: Addresses = None


async def watch(options: Options, context: SourceContext) -> None:
    """Hand in the programme at every look; never returns. Raises Refused where the account is not there."""
    programme = _Programme(options, context.tools)
    complete = WatchedAddresses(options.addresses, context).complete_anew
    await watch_programme(programme.read, context, complete, refresh=options.refresh, name=programme.name)


async def check(options: Options, tools: Tools) -> str:
    """Read the programme once and count its talks."""
    programme = _Programme(options, tools)
    talks = await programme.read() or ()
    addresses = sum(1 for talk in talks for speaker in talk.speakers if speaker.email)
    counted = f"{count_talks(talks)}, {addresses} e-mail addresses of speakers"
    return await check_addresses(options.addresses, tools, talks, counted)


class _Programme:
    """The programme of an event, and what vidd has read of it."""

    def __init__(self, options: Options, tools: Tools) -> None:
        """Raises Refused where the account is not there."""
        self._account = account = tools.account(options.account, Account)
        self._options, self._tools = options, tools
        self.name = f"The event {options.event!r} of {account.display_url}"
        self._by_api = options.read == "api" or (options.read is None and account.token is not None)
        path = "widgets/schedule.json" if options.read == "widget" else "export/schedule.json"
        address = f"{account.base}/{quote(options.event, safe='')}/schedule/{path}"
        # Both are public, so the token stays with the API.
        self._document = WebDocument(address, tools.clock)
        self._digest = b""

    async def read(self) -> Sequence[Talk] | None:
        """The talks; None where nothing has changed. Raises Refused or RetryLater."""
        return await (self._read_api() if self._by_api else self._read_public())

    async def _read_api(self) -> Sequence[Talk] | None:
        async with pretalx(self._account, self._options.event, self._tools) as event:
            submissions = await event.submissions(self._options.states)
        digest = hashlib.sha256(json.dumps(submissions, sort_keys=True).encode()).digest()
        if digest == self._digest:
            return None
        talks = talks_of([read_submission(submission) for submission in submissions], self.name)
        self._digest = digest
        return talks

    async def _read_public(self) -> Sequence[Talk] | None:
        async with web_session(self._account, self._tools) as web:
            try:
                content = await self._document.read(web)
            except Refused as fault:
                if fault.code is not FaultCode.NOT_FOUND:
                    raise
                raise Refused(
                    f"{self.name} is not there, or has no public schedule (404 at {self._document.name}): correct `event`, release the"
                    " schedule, or give the account a token.",
                    code=FaultCode.NOT_FOUND,
                ) from None
        if content is None:
            return None
        talks = talks_of(await asyncio.to_thread(self._parse, content), self.name)
        self._document.accept()
        return talks

    def _parse(self, content: bytes) -> list[ScheduledTalk]:
        if self._options.read == "widget":
            return read_widget(content, self.name)
        return _given_once(read_schedule_json(content, self.name, id_field="code", zone=None))


def _given_once(scheduled: Sequence[ScheduledTalk]) -> list[ScheduledTalk]:
    """The first slot of each talk: a code names one submission, which may be given more than once."""
    first: dict[str, ScheduledTalk] = {}
    for talk in sorted(scheduled, key=lambda talk: (talk.starts is None, talk.starts)):
        first.setdefault(talk.id, talk)
    return list(first.values())
