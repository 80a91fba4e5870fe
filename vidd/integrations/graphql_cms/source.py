"""A CMS that speaks GraphQL: every video uploaded to it arrives, whether vidd was listening at that moment or not.

A subscription tells of uploads as they happen, and promises nothing about those in between two connections. So each
connection, once its subscription stands, is followed by a question for all that is there, and again after a moment and
then every `catch_up`; what is known already is known by its key. Where there is no subscription to be had, the
questions go on alone.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from vidd.display_text import printable
from vidd.errors import Fault, Refused, RetryLater
from vidd.integrations.graphql_cms.account import Account
from vidd.integrations.graphql_cms.graphql import connected
from vidd.integrations.graphql_cms.items import listed
from vidd.integrations.graphql_cms.options import Options, arrival_of
from vidd.integrations.graphql_cms.poller import CmsWatch
from vidd.integrations.graphql_cms.records import Improper, read_upload, written
from vidd.integrations.graphql_cms.websocket import subscribed
from vidd.ports import Listed

if TYPE_CHECKING:
    from vidd.ports import SourceContext, Tools

__all__ = ["Options", "audit", "check", "watch"]

_REFUSAL = 1.0
"""Seconds a CMS has to turn a subscription down while it is checked."""


async def watch(options: Options, context: SourceContext) -> None:
    """Listen and ask until cancelled; never returns. Refused where there is no such account."""
    await CmsWatch(options, context).run()


async def check(options: Options, tools: Tools) -> str:
    """Ask for the objects and for the subscription; Refused names all that is missing of both."""
    account = tools.account(options.account, Account)
    if options.fetch_account is not None and options.fetch_account not in tools.accounts:
        raise Refused(
            f"There is no account {options.fetch_account!r} to fetch with: correct fetch_account of the source."
        )
    faults: list[str] = []
    said: list[str] = []
    for ask in (_check_query, _check_subscription):
        try:
            said.append(await ask(options, account, tools))
        except Fault as fault:
            faults.append(fault.sentence)
    if faults:
        raise Refused(" ".join(faults))
    return f"{account.place}: " + "; ".join(said) + "."


async def _check_query(options: Options, account: Account, tools: Tools) -> str:
    async with connected(account, tools) as cms, aclosing(listed(cms, options.question, None)) as pages:
        page = await anext(pages)
    if page.faults:
        raise Refused(f"The CMS answers the query only in part ({page.faults}): correct it, or the CMS.")
    lacking = 0
    for value in page.objects:
        try:
            upload = read_upload(value, options.fields)
            lacking += upload.lacks is not None
            if not upload.lacks:
                arrival_of(options, "", upload)
        except Improper as reason:
            raise Refused(
                f"Among the objects is one that is no upload: {reason}. Correct `fields` of the source."
            ) from None
    more = " on the first page" if options.paging else ""
    return f"{len(page.objects)} objects are listed{more}, {lacking} of them not whole yet"


async def _check_subscription(options: Options, account: Account, tools: Tools) -> str:
    if not options.subscription:
        return "there is no subscription to ask for"
    async with subscribed(account, tools, options.subscription, options.manner) as line:
        try:
            # A refusal comes at once, an event comes when there is one.
            async with asyncio.timeout(_REFUSAL):
                await line.batch()
        except TimeoutError:
            pass
    return f"the subscription stands, over {line.protocol}"


async def audit(options: Options, tools: Tools, name: str) -> list[Listed]:
    """What the CMS lists now."""
    account = tools.account(options.account, Account)
    found: dict[str, Listed] = {}
    async with connected(account, tools) as cms:
        async for page in listed(cms, options.question, None):
            if page.faults:
                raise RetryLater(f"The CMS answered only in part: {page.faults}.")
            for value in page.objects:
                one = _listed(options, name, value)
                if one is not None:
                    found[one.arrival.key if one.arrival else one.name] = one
    return list(found.values())


def _listed(options: Options, source: str, value: Any) -> Listed | None:
    try:
        upload = read_upload(value, options.fields)
        if options.begin is not None and upload.at is not None and upload.at < options.begin:
            return None
        if upload.lacks:
            return Listed(upload.id, why=f"It waits for its {upload.lacks}.", waits=True)
        return Listed(upload.id, arrival_of(options, source, upload))
    except Improper as reason:
        return Listed(printable(written(value), 80), why=f"It is no upload: {reason}.")
    except Refused as refusal:
        return Listed(upload.id, why=refusal.sentence)
