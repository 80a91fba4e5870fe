"""Watches a CMS with a GraphQL API: every video uploaded to it arrives, whether or not vidd was listening then.

A subscription reports uploads as they happen, but nothing about those between two connections. So once a subscription
stands, vidd queries the list of uploads, again after a moment and then every `catch_up`; an upload that is known is
recognised by its key. Without a subscription, vidd only queries.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.integrations.graphql_cms.account import Account
from vidd.integrations.graphql_cms.graphql import connect
from vidd.integrations.graphql_cms.items import list_pages
from vidd.integrations.graphql_cms.options import Options, arrival_of
from vidd.integrations.graphql_cms.poller import CmsPoller
from vidd.integrations.graphql_cms.records import NotAnUpload, read_upload, stable_json
from vidd.integrations.graphql_cms.websocket import subscribe
from vidd.ports import Listed

if TYPE_CHECKING:
    from vidd.ports import SourceContext, Tools

__all__ = ["Options", "audit", "check", "watch"]

_REFUSAL_TIME = 1.0
"""Seconds that the check waits for a CMS to refuse the subscription."""


async def watch(options: Options, context: SourceContext) -> None:
    """Subscribe and query until cancelled. Refused if there is no such account."""
    await CmsPoller(options, context).run()


async def check(options: Options, tools: Tools) -> str:
    """Try the query and the subscription; Refused names every fault of both."""
    account = tools.account(options.account, Account)
    faults: list[str] = []
    sentences: list[str] = []
    for ask in (_check_query, _check_subscription):
        try:
            sentences.append(await ask(options, account, tools))
        except Fault as fault:
            faults.append(fault.sentence)
    if faults:
        raise Refused(" ".join(dict.fromkeys(faults)))
    return f"{account.display_url}: " + "; ".join(sentences) + "."


async def _check_query(options: Options, account: Account, tools: Tools) -> str:
    async with connect(account, tools) as cms, aclosing(list_pages(cms, options.query_spec, None)) as pages:
        page = await anext(pages)
    if page.errors:
        raise Refused(
            f"The CMS answers the query only in part ({page.errors}): correct it, or the CMS.", code=FaultCode.REJECTED
        )
    incomplete = 0
    for value in page.objects:
        try:
            upload = read_upload(value, options.fields)
            incomplete += upload.missing is not None
            if not upload.missing:
                arrival_of(options, "", upload)
        except NotAnUpload as reason:
            raise Refused(
                f"Among the objects is one that is no upload: {reason}. Correct `fields` of the source.",
                code=FaultCode.BAD_SETTINGS,
            ) from None
    more = " on the first page" if options.paging else ""
    return f"{len(page.objects)} objects are listed{more}, {incomplete} of them not complete yet"


async def _check_subscription(options: Options, account: Account, tools: Tools) -> str:
    if not options.subscription:
        return "there is no subscription to ask for"
    async with subscribe(account, tools, options.subscription, options.connection_options) as subscription:
        try:
            # A refusal comes at once; an event may take for ever.
            async with asyncio.timeout(_REFUSAL_TIME):
                await subscription.batch()
        except TimeoutError:
            pass
    return f"the subscription stands, over {subscription.protocol}"


async def audit(options: Options, tools: Tools, name: str) -> list[Listed]:
    """Everything the CMS lists now."""
    account = tools.account(options.account, Account)
    found: dict[str, Listed] = {}
    async with connect(account, tools) as cms:
        async for page in list_pages(cms, options.query_spec, None):
            if page.errors:
                raise RetryLater(f"The CMS answered only in part: {page.errors}.")
            for value in page.objects:
                listed_upload = _listed(options, name, value)
                if listed_upload is not None:
                    key = listed_upload.arrival.key if listed_upload.arrival else listed_upload.name
                    found[key] = listed_upload
    return list(found.values())


def _listed(options: Options, source: str, value: Any) -> Listed | None:
    try:
        upload = read_upload(value, options.fields)
        if options.begin is not None and upload.at is not None and upload.at < options.begin:
            return None
        if upload.missing:
            return Listed(upload.id, why=f"It waits for its {upload.missing}.", waits=True)
        return Listed(upload.id, arrival_of(options, source, upload))
    except NotAnUpload as reason:
        return Listed(printable(stable_json(value), 80), why=f"It is no upload: {reason}.")
    except Refused as refusal:
        return Listed(upload.id, why=refusal.sentence)
