"""Publish to a Facebook page: a resumable upload, waited for until it is processed, and never twice.

The upload's session and the video's id are saved before the first byte; that the upload is about to be finished is
saved before it is asked for, because only that makes the video be seen. Whether it took effect is asked by the video's
id and then by a marker in the page's last videos.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from vidd.errors import Refused, RetryLater
from vidd.integrations.facebook.api import Account, Graph, graph
from vidd.integrations.facebook.errors import GraphError
from vidd.integrations.facebook.processing import WatchOptions, age, found, outcome, receipt_of
from vidd.integrations.facebook.sending import Sending
from vidd.integrations.facebook.text import Words, marker_of, words_of
from vidd.integrations.facebook.upload import SessionGone
from vidd.integrations.facebook.video import correct, delete, look
from vidd.model.publication import Receipt
from vidd.model.talk import names_in_words
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template
from vidd.settings.types import Duration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from vidd.ports import PublishContext, Tools


_Template = Annotated[str, AfterValidator(check_template), MayName("speakers", "description", "title")]


class Options(WatchOptions):
    """Which page a talk goes to, and with which words."""

    account: str | None = Field(None, description="The Facebook account, where the talk's stage has none of its own.")
    accounts: dict[str, str] = Field(default_factory=dict, description="Accounts by the talk's stage.")
    file: str | None = Field(None, description="Role of the file; without it, what the steps made first.")
    title: _Template = Field("{{ title }}", description="Template of the title.")
    description: _Template = Field("{{ description }}", description="Template of the description, with the speakers.")
    published: bool = Field(True, description="Show it to everybody; false keeps every video to the page's own people.")
    marker: Literal["label", "description"] = Field(
        "label",
        description="Where the job's marker stands: a label that only the page sees, or the description's last line.",
    )
    wait_after_400: Duration = Field(
        21600.0, gt=0, description="How long a video waits after a 400 that says nothing more."
    )

    @model_validator(mode="after")
    def _some_account(self) -> Options:
        if self.account is None and not self.accounts:
            raise ValueError("give account, or accounts by stage")
        return self


def _words(options: Options, context: PublishContext, marker: str) -> Words:
    return words_of(
        context,
        title=options.title,
        description=options.description,
        published=options.published,
        marker=marker,
        label=options.marker == "label",
    )


def _account_of(options: Options, context: PublishContext) -> str:
    stage = context.talk.stage if context.talk else ""
    name = options.accounts.get(stage) or options.account
    if name is None:
        raise Refused(f"No Facebook account is given for the stage {stage!r}: add it to accounts, or set account.")
    return name


@asynccontextmanager
async def _open(options: Options, tools: Tools, name: str) -> AsyncIterator[Graph]:
    account = tools.account(name, Account)
    async with graph(account, name, tools.clock, wait_after_400=options.wait_after_400) as api:
        yield api


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Upload, publish, and look whether it is processed."""
    async with _open(options, context.tools, _account_of(options, context)) as api:
        path = context.directory / context.chosen([options.file] if options.file else [])[0].path
        marker = marker_of(context)
        sending = Sending(context, api, path, _words(options, context, marker), marker)
        try:
            film = await sending.run()
        except SessionGone:
            await sending.forget()
            if sending.doubtful:
                raise RetryLater(
                    "Facebook no longer knows the upload that was to be published; the video is looked for once more.",
                    after=options.settle,
                    counts=False,
                ) from None
            try:
                film = await sending.run()
            except SessionGone:
                raise RetryLater("Facebook forgets each upload session at once; another one is tried.") from None
        return await outcome(options, context, sending.token, film)


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """Ask whether the finish took effect; None where it was never asked for, or provably did not."""
    token = context.publication.token
    if "finish" not in token:
        return None
    async with _open(options, context.tools, token["account"]) as api:
        film = await found(options, api, token, labels=options.marker == "label")
    if film is not None:
        return await outcome(options, context, token, film)
    left = options.settle - age(context, token)
    if left > 0:
        raise RetryLater("Facebook does not show the video yet; it is looked for again.", after=left, counts=False)
    return None


def _published(context: PublishContext) -> Mapping[str, Any]:
    receipt = context.publication.receipt
    if receipt is None or "video" not in receipt.facts:
        raise Refused("There is no receipt that names a video on Facebook, so nothing can be changed there.")
    return receipt.facts


async def amend(options: Options, context: PublishContext) -> Receipt:
    """Bring title, description and whether everybody sees it up to date; written only where it differs."""
    facts = _published(context)
    marker = context.publication.token.get("marker") or marker_of(context)
    words, video = _words(options, context, marker), str(facts["video"])
    async with _open(options, context.tools, facts["account"]) as api:
        film = await look(api, video, labels=False)
        if film is None:
            raise Refused(
                f"The video {video} is no longer on the page {facts['page']}: publish it again, or let it be."
            )
        await correct(api, film, words)
        film = await look(api, video, labels=False) or film
    return receipt_of(facts, film)


async def retract(options: Options, context: PublishContext) -> str:
    """Delete the video by its id; one that is gone already is as good."""
    facts = _published(context)
    video = str(facts["video"])
    async with _open(options, context.tools, facts["account"]) as api:
        if not await delete(api, video):
            return f"The video {video} was no longer on the page {facts['page']}."
    return f"The video {video} is deleted from the page {facts['page']}."


async def check(options: Options, tools: Tools) -> str:
    """Ask every account which page its token is of."""
    names = dict.fromkeys([*([options.account] if options.account else []), *options.accounts.values()])
    said = []
    for name in names:
        async with _open(options, tools, name) as api:
            doing = f"asking whose token the account {name!r} has"
            try:
                me = await api.get("me", doing=doing, fields="id,name")
            except GraphError as error:
                raise api.fate(error, doing) from error
            if str(me.get("id")) != api.page:
                raise Refused(
                    f"The token of the account {name!r} is that of {me.get('name')!r} ({me.get('id')}), not of the "
                    f"page {api.page}: correct one of them; `vidd accounts facebook` lists pages and tokens."
                )
            said.append(f"{me.get('name')} ({api.page})")
    return f"The page{'s' if len(said) > 1 else ''} {names_in_words(said)} can be reached."
