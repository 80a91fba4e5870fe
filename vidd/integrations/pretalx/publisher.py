"""Writes the link to a talk's video back to pretalx: as a resource of the submission, or as the answer to a question.

pretalx takes the same resource twice, so vidd looks before it adds one. vidd removes and changes only what it wrote itself.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from vidd.errors import FaultCode, Refused
from vidd.integrations.pretalx.account import Account
from vidd.integrations.pretalx.api import Pretalx, pretalx
from vidd.integrations.programme.schedule_json import dicts, text_of
from vidd.model.publication import Receipt
from vidd.model.talk import Status, TalkStatus
from vidd.settings.marks import AccountOf
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from vidd.ports import PublishContext, Tools


class Options(Base):
    """Settings of a notice of kind `pretalx`."""

    account: Annotated[str, AccountOf("pretalx")] = Field(
        description="The account of kind pretalx; its token may change submissions."
    )
    event: str = Field(pattern=r"^[A-Za-z0-9.-]+$", description="The event, by the word in its address.")
    link_of: str | None = Field(None, description="The publisher, by label, whose address is the link; else the first.")
    description: str = Field(
        "Recording", min_length=1, max_length=1000, description="The words that pretalx shows for the link."
    )
    public: bool = Field(True, description="Whether everybody sees the link at pretalx; organisers otherwise.")
    question: int | None = Field(
        None, gt=0, description="Instead of a resource: the id of the question that the link answers."
    )

    def labels_named(self) -> dict[tuple[str, ...], str]:
        """The label of a publisher that the options name, by option."""
        return {} if self.link_of is None else {("link_of",): self.link_of}


class Links:
    """The locks of the events that a daemon writes to: a notice and a status may want the same link at once."""

    def __init__(self) -> None:
        self.locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Write the link, if it is not there. Raises Refused where nothing that was published has an address."""
    code, link = _code(context), _link(options, context)
    notes = await _write(options, context.tools, code, link)
    return _receipt(code, link, notes)


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """The receipt where pretalx has the link, None where it has not."""
    code, link = _code(context), _link(options, context)
    async with pretalx(context.tools.account(options.account, Account), options.event, context.tools) as event:
        if options.question is None:
            there = link in await _resources(event, code)
        else:
            answer = await event.answer(options.question, code)
            there = answer is not None and text_of(answer.get("answer")) == link
    return _receipt(code, link, []) if there else None


async def follow(options: Options, statuses: Sequence[TalkStatus], tools: Tools) -> None:
    """Bring the links up to date: of talks that are published, and none of those retracted. Talks that are gone are left out."""
    for status in statuses:
        if status.status is Status.RETRACTED:
            link: str | None = ""
        elif status.status is Status.PUBLISHED:
            link = _choose(status.links, options)
        else:
            continue
        if link is None:
            continue
        try:
            await _write(options, tools, status.talk, link)
        except Refused as fault:
            if fault.code is not FaultCode.NOT_FOUND:
                raise


async def check(options: Options, tools: Tools) -> str:
    """Read the event with the token."""
    account = tools.account(options.account, Account)
    if account.token is None:
        raise Refused(
            f"The account {options.account!r} has no token, and pretalx takes links from organisers only: make one at /orga/me.",
            code=FaultCode.BAD_SETTINGS,
        )
    async with pretalx(account, options.event, tools) as event:
        count = await event.count()
        if options.question is not None:
            await event.question(options.question)
    return f"{count} submissions; whether the token may write shows with the first talk"


async def _write(options: Options, tools: Tools, code: str, link: str) -> list[str]:
    """Make this the link that vidd has written ("": none), and return what a person should know."""
    space = f"pretalx:{options.account}:{options.event}"
    async with tools.shared.get(Links).locks[options.account, options.event]:
        written = (await tools.memory.recall(space)).get(code, "")
        if link == written:
            return []
        notes = []
        async with pretalx(tools.account(options.account, Account), options.event, tools) as event:
            if options.question is None:
                await _write_resource(options, event, code, link, written)
            else:
                notes = await _write_answer(options.question, event, code, link, written)
        if not notes:
            await tools.memory.remember(space, {code: link or None})
        return notes


async def _write_resource(options: Options, event: Pretalx, code: str, link: str, written: str) -> None:
    there = await _resources(event, code)
    if link and link not in there:
        await event.add_resource(code, link, options.description, public=options.public)
    if written in there:
        await event.remove_resource(code, there[written])


async def _write_answer(question: int, event: Pretalx, code: str, link: str, written: str) -> list[str]:
    answer = await event.answer(question, code)
    text = "" if answer is None else text_of(answer.get("answer"))
    if text == link:
        return []
    if text not in {"", written}:
        return [f"The answer is a person's and stays; vidd would write: {link}"] if link else []
    if answer is None:
        await event.add_answer(question, code, link)
    elif link:
        await event.change_answer(int(answer["id"]), link)
    else:
        await event.remove_answer(int(answer["id"]))
    return []


async def _resources(event: Pretalx, code: str) -> dict[str, int]:
    """The ids of a submission's resources by their links."""
    resources = dicts((await event.submission(code)).get("resources"))
    return {text_of(resource.get("resource")): int(resource["id"]) for resource in resources if "id" in resource}


def _receipt(code: str, link: str, notes: list[str]) -> Receipt:
    return Receipt(facts={"submission": code, "link": link, **({"notes": notes} if notes else {})})


def _code(context: PublishContext) -> str:
    code = context.job.talk or (context.talk.id if context.talk else None)
    if not code:
        raise Refused(
            "This job belongs to no talk, so pretalx has no submission for it: take the notice out of its pipeline."
        )
    return code


def _link(options: Options, context: PublishContext) -> str:
    link = _choose({name: receipt.url for name, receipt in context.receipts.items() if receipt.url}, options)
    if link is None:
        raise Refused(
            "Nothing that was published has an http address that pretalx could link to: name the publisher by `link_of`.",
            code=FaultCode.BAD_SETTINGS,
        )
    return link


def _choose(links: Mapping[str, str], options: Options) -> str | None:
    """The link for pretalx, which takes http(s) only; `links` are those of the publishers, by label."""
    chosen = links.values() if options.link_of is None else [links.get(options.link_of, "")]
    return next((link for link in chosen if link.startswith(("https://", "http://"))), None)
