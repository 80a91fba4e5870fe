"""The annotation service's call: POST /api/processContent makes a job of an upload, and its document says how it stands.

The call is the content processor's, by form or JSON. It is answered at once with the job; with `compatible` as the
original did, after all is done and with its status codes. Progress and failures are written into the upload's document
as they happen, and once more for everything when the daemon starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from vidd.display_text import quoted
from vidd.errors import Refused, RetryLater
from vidd.integrations.annotation_service.api import SCHEMA, ContentCall, read_call
from vidd.integrations.annotation_service.database import AnnotationBase, annotation_base
from vidd.integrations.annotation_service.jobs import Taking, Terms
from vidd.integrations.annotation_service.progress import Mirror
from vidd.integrations.annotation_service.replies import FORM, as_original, told
from vidd.integrations.mongodb.account import Account
from vidd.media.probe.client import probe
from vidd.model.job import ENDED, Job, State
from vidd.model.sampling import exceeds
from vidd.ports import Call, Declined, Reply, SourceContext, SourceRoute, Tools
from vidd.settings.secret import reveal
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base

# The port's own pages send no forms, and forbid it.
_FORM_POLICY = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


class Options(Base):
    """Settings of a source of kind `process_content`."""

    account: str = Field(description="The account of kind mongodb whose database the front end reads.")
    auth_key: str = Field(description="The key that callers send, as account.key, such as caller.value.")
    root: Path = Field(description="The content root; from the state directory where it is relative.")
    prefix: str = Field(
        "", description="What content_path may begin with in place of the root, such as ./contents/uploads."
    )
    pipeline: str | None = Field(None, description="Where its jobs go.")
    compatible: bool = Field(
        False, description="Answer as the original did: after all is done, errors of logic with 200."
    )
    patience: Duration = Field(3600.0, gt=0, description="With compatible: how long a call waits for its job.")
    tell_every: Duration = Field(1.0, ge=0, description="The least time between two words on progress.")
    priority: int = Field(0, description="The highest is worked on first.")


async def watch(options: Options, context: SourceContext) -> None:
    """Say in the documents how jobs stand, until cancelled; take up uploads that were left."""
    async with annotation_base(context.tools.account(options.account, Account), options.account) as base:
        await Mirror(base, context, options.tell_every).run(_taking(options, context, base).take_up)


def routes(options: Options, context: SourceContext) -> Sequence[SourceRoute]:
    """The call, and a form to try it with."""
    calls = _Calls(options, context)
    return (
        SourceRoute("POST", "/api/processContent", calls.process, "Make tasks of an upload.", SCHEMA),
        SourceRoute("GET", "/api/processContent", calls.form, "A form to try the call with."),
    )


async def check(options: Options, tools: Tools) -> str:
    """Look for the content root and the key, and ask for the database."""
    reveal(tools, options.auth_key)
    root = tools.path(options.root)
    if not root.is_dir():
        raise Refused(f"There is no content root {root}: make it, or correct root of the source.")
    async with annotation_base(tools.account(options.account, Account), options.account) as base:
        await base.project("0")
    return f"{root} is there, and the database can be read."


class _Calls:
    """Answers the calls."""

    def __init__(self, options: Options, context: SourceContext) -> None:
        self._options, self._context = options, context

    async def form(self, _call: Call) -> Reply:
        """The form."""
        return Reply(200, FORM, "text/html", {"Content-Security-Policy": _FORM_POLICY})

    async def process(self, call: Call) -> Reply:
        """Take a call."""
        options = self._options
        asked = read_call(call.fields, reveal(self._context.tools, options.auth_key))
        if not options.compatible:
            job, _ = await self._taken(asked)
            return Reply(202, told(job), headers={"Location": f"/api/jobs/{job.id}"})
        try:
            return await self._waited(asked)
        except Declined as no:
            # What the original could not do it said with 200, under a key that nobody relied on.
            return Reply(200, {"error": no.sentence})

    async def _waited(self, asked: ContentCall) -> Reply:
        over = asyncio.Event()
        ends: dict[str, Job] = {}

        def note(event: Any) -> None:
            job = getattr(event, "job", None)
            if isinstance(job, Job) and job.state in ENDED | {State.PUBLISHED}:
                ends[job.id] = job
                over.set()

        with self._context.listen(note):
            job, _ = await self._taken(asked)
            try:
                async with asyncio.timeout(self._options.patience):
                    while job.id not in ends and job.state not in ENDED:
                        over.clear()
                        await over.wait()
            except TimeoutError:
                raise RetryLater(f"The job {job.id} is not done yet; ask again later.", after=60) from None
        job = ends.get(job.id, job)
        if job.state is not State.PUBLISHED:
            raise Declined(422, job.reason or "It came to nothing.")
        account = self._context.tools.account(self._options.account, Account)
        async with annotation_base(account, self._options.account) as base:
            return as_original(asked, await base.tasks(asked.upload_id))

    async def _taken(self, asked: ContentCall) -> tuple[Job, bool]:
        options, context = self._options, self._context
        account = context.tools.account(options.account, Account)
        async with annotation_base(account, options.account) as base:
            try:
                return await _taking(options, context, base).take(asked)
            except Declined as no:
                # Who reads the documents does not see what the caller was answered.
                await base.declined(asked.upload_id, no.sentence, context.tools.clock.now())
                raise


def _taking(options: Options, context: SourceContext, base: AnnotationBase) -> Taking:
    terms = Terms(options.root, options.prefix, options.priority)
    return Taking(terms, context, base, partial(_check_rate, context))


async def _check_rate(context: SourceContext, asked: ContentCall, path: Path) -> None:
    if asked.images:
        return
    try:
        video = (await probe(context.tools.encoder, path, path.name)).video[0]
    except Refused as refused:
        raise Declined(422, refused.sentence) from None
    if video.rate and exceeds(asked.frame_rate, video.rate):
        raise Declined(
            422,
            f"{asked.frame_rate} frames a second are asked for, and {quoted(path.name)} has {video.rate:.5g}: ask for fewer.",
        )
