"""Publishes to a Facebook page: a resumable upload that is never repeated while its outcome is unknown.

vidd saves the upload's session and the video's id before the first byte, and that it is about to finish the upload
before it asks for that, because only finishing makes the video visible. To find out whether that succeeded, vidd looks
for the video by its id and then by a marker in the page's last videos.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.facebook.account import Account
from vidd.integrations.facebook.api import Graph, graph
from vidd.integrations.facebook.errors import GraphError
from vidd.integrations.facebook.processing import (
    WatchOptions,
    await_processing,
    find_video,
    make_receipt,
    seconds_since_finish,
)
from vidd.integrations.facebook.text import VideoText, make_text, marker_of
from vidd.integrations.facebook.upload import SessionGone, VideoUpload
from vidd.integrations.facebook.video import delete_video, get_video, update_video
from vidd.model.publication import Receipt
from vidd.model.talk import names_in_words
from vidd.settings.marks import AccountOf, Role
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template
from vidd.settings.types import Duration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from vidd.ports import PublishContext, Tools


_Template = Annotated[str, AfterValidator(check_template), MayName("speakers", "description", "title")]


class Options(WatchOptions):
    """Settings of a publisher of kind `facebook`."""

    account: Annotated[str, AccountOf("facebook")] | None = Field(
        None, description="The Facebook account, where the talk's stage has none of its own."
    )
    accounts: dict[str, Annotated[str, AccountOf("facebook")]] = Field(
        default_factory=dict, description="Accounts by the talk's stage."
    )
    file: Annotated[str, Role()] | None = Field(
        None, description="Role of the file; without it, what the steps made first."
    )
    title: _Template = Field("{{ title }}", description="Template of the title.")
    description: _Template = Field("{{ description }}", description="Template of the description, with the speakers.")
    published: bool = Field(True, description="Show it to everybody; false keeps every video to the page's own people.")
    marker: Literal["label", "description"] = Field(
        "label",
        description="Where the job's marker stands: a label that only the page sees, or the description's last line.",
    )
    wait_after_400: Duration = Field(
        21600.0, gt=0, description="How long a video waits after a 400 without a known reason."
    )

    @model_validator(mode="after")
    def _some_account(self) -> Options:
        if self.account is None and not self.accounts:
            raise ValueError("give account, or accounts by stage")
        return self


def _text(options: Options, context: PublishContext, marker: str) -> VideoText:
    return make_text(
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
        raise Refused(
            f"No Facebook account is given for the stage {stage!r}: add it to accounts, or set account.",
            code=FaultCode.BAD_SETTINGS,
        )
    return name


@asynccontextmanager
async def _open(options: Options, tools: Tools, name: str) -> AsyncIterator[Graph]:
    account = tools.account(name, Account)
    async with graph(account, name, tools.clock, wait_after_400=options.wait_after_400) as api:
        yield api


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Upload and publish the video, and look whether it is processed."""
    async with _open(options, context.tools, _account_of(options, context)) as api:
        path = context.directory / context.choose([options.file] if options.file else [])[0].path
        marker = marker_of(context)
        upload = VideoUpload(context, api, path, _text(options, context, marker), marker)
        try:
            video = await upload.run()
        except SessionGone:
            await upload.forget()
            if upload.may_be_finished:
                raise RetryLater(
                    "Facebook no longer knows the upload that was to be published; vidd will look for the video.",
                    after=options.settle,
                    counts=False,
                    code=FaultCode.PENDING,
                ) from None
            try:
                video = await upload.run()
            except SessionGone:
                raise RetryLater(
                    "Facebook forgot two upload sessions as soon as they were opened; vidd will retry."
                ) from None
        return await await_processing(options, context, upload.token, video)


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """Ask whether the upload was finished; None where vidd never asked for that, or it provably was not."""
    token = context.publication.token
    if "finish" not in token:
        return None
    async with _open(options, context.tools, token["account"]) as api:
        video = await find_video(options, api, token, labels=options.marker == "label")
    if video is not None:
        return await await_processing(options, context, token, video)
    left = options.settle - seconds_since_finish(context, token)
    if left > 0:
        raise RetryLater(
            "Facebook does not show the video yet; vidd will look again.",
            after=left,
            counts=False,
            code=FaultCode.PENDING,
        )
    return None


def _published_facts(context: PublishContext) -> Mapping[str, Any]:
    receipt = context.publication.receipt
    if receipt is None or "video" not in receipt.facts:
        raise Refused(
            "There is no receipt that names a video on Facebook, so vidd can change nothing there: do it at the page.",
            code=FaultCode.NOT_FOUND,
        )
    return receipt.facts


async def amend(options: Options, context: PublishContext) -> Receipt:
    """Update title, description and visibility; vidd writes only what differs."""
    facts = _published_facts(context)
    marker = context.publication.token.get("marker") or marker_of(context)
    text, name = _text(options, context, marker), str(facts["video"])
    async with _open(options, context.tools, facts["account"]) as api:
        video = await get_video(api, name, labels=False)
        if video is None:
            raise Refused(
                f"The video {name} is no longer on the page {facts['page']}: publish it again, or leave it so.",
                code=FaultCode.NOT_FOUND,
            )
        await update_video(api, video, text)
        video = await get_video(api, name, labels=False) or video
    return make_receipt(facts, video)


async def retract(options: Options, context: PublishContext) -> str:
    """Delete the video by its id; a video that is already deleted is no error."""
    facts = _published_facts(context)
    video = str(facts["video"])
    async with _open(options, context.tools, facts["account"]) as api:
        if not await delete_video(api, video):
            return f"The video {video} was no longer on the page {facts['page']}."
    return f"The video {video} is deleted from the page {facts['page']}."


async def check(options: Options, tools: Tools) -> str:
    """Ask every account which page its token belongs to."""
    names = dict.fromkeys([*([options.account] if options.account else []), *options.accounts.values()])
    pages = []
    for name in names:
        async with _open(options, tools, name) as api:
            doing = f"asking which page the token of the account {name!r} belongs to"
            try:
                me = await api.get("me", doing=doing, fields="id,name")
            except GraphError as error:
                raise api.fault(error, doing) from error
            if str(me.get("id")) != api.page:
                raise Refused(
                    f"The token of the account {name!r} belongs to {me.get('name')!r} ({me.get('id')}), not to the "
                    f"page {api.page}: correct one of them; `vidd accounts facebook` lists pages and tokens.",
                    code=FaultCode.BAD_SETTINGS,
                )
            pages.append(f"{me.get('name')} ({api.page})")
    return f"The page{'s' if len(pages) > 1 else ''} {names_in_words(pages)} can be reached."
