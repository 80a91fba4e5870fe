"""Takes calls of the annotation service (POST /api/processContent), and writes the state of their jobs into its documents.

The call is the content processor's, as a form or JSON. vidd answers at once with the job; with `compatible`, as the original
did, after the job is done and with the original's status codes. Progress and failures are written into the upload's
document as they happen, and for all uploads when the daemon starts.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from bson import ObjectId
from pydantic import Field

from vidd.aio.bounded import gather_bounded
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.annotation_service.api import SCHEMA, CallDeclined, ContentCall, read_call
from vidd.integrations.annotation_service.cleaning import SourceCleaner
from vidd.integrations.annotation_service.database import BAD_CALL, AnnotationDatabase, annotation_database
from vidd.integrations.annotation_service.jobs import Content, JobMaker
from vidd.integrations.annotation_service.progress import UploadMirror
from vidd.integrations.annotation_service.replies import FORM, job_reply, original_refusal, original_reply
from vidd.integrations.mongodb.account import Account
from vidd.media.probe.client import probe
from vidd.model.job import ENDED, Job, State
from vidd.model.sampling import exceeds_rate
from vidd.ports import Call, Declined, Reply, SourceContext, SourceRoute, Tools
from vidd.settings.marks import AccountOf
from vidd.settings.secret import reveal
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base

# The policy of the port's own pages forbids forms.
_FORM_POLICY = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


class Options(Base):
    """Settings of a source of kind `process_content`."""

    account: Annotated[str, AccountOf("mongodb")] = Field(
        description="The account of kind mongodb whose database the front end reads."
    )
    auth_key: str = Field(description="The key that callers send, as account.key, such as caller.value.")
    root: Path = Field(description="The content root; a relative path is from the state directory.")
    prefix: str = Field(
        "", description="What content_path may begin with instead of the root, such as ./contents/uploads."
    )
    pipeline: str | None = Field(None, description="The pipeline of its jobs.")
    compatible: bool = Field(
        False, description="Answer as the original did: after the job is done, with its bodies and status codes."
    )
    delete_source: bool = Field(
        False, description="Delete the content from the root once its job is published and no other job needs it."
    )
    patience: Duration = Field(3600.0, gt=0, description="With compatible: how long a call waits for its job.")
    tell_every: Duration = Field(1.0, ge=0, description="The least time between two writes of progress.")
    priority: int = Field(0, description="Jobs with the highest priority run first.")


async def watch(options: Options, context: SourceContext) -> None:
    """Write the state of jobs into their documents until cancelled, and take up unfinished uploads."""
    async with annotation_database(context.tools.account(options.account, Account), options.account) as database:
        mirror = UploadMirror(database, context, options.tell_every)
        cleaner = SourceCleaner(database, context, context.tools.path(options.root))

        async def take_unfinished() -> None:
            await _job_maker(options, context, database).take_unfinished()
            cleaner.wake()

        runs: list[Callable[[], Awaitable[None]]] = [
            partial(mirror.run, take_unfinished),
            *([cleaner.run] if options.delete_source else []),
        ]
        await gather_bounded(len(runs), runs, _run)


async def _run(run: Callable[[], Awaitable[None]]) -> None:
    await run()


def routes(options: Options, context: SourceContext) -> Sequence[SourceRoute]:
    """The call, and a form to try it with."""
    calls = _Calls(options, context)
    return (
        SourceRoute("POST", "/api/processContent", calls.process, "Makes tasks of an upload.", SCHEMA),
        SourceRoute("GET", "/api/processContent", calls.form, "A form to try the call with."),
    )


async def check_here(options: Options, tools: Tools) -> None:
    """Look for the content root and the key."""
    reveal(tools, options.auth_key)
    root = tools.path(options.root)
    if not root.is_dir():
        raise Refused(
            f"There is no content root {root}: make it, or correct root of the source.", code=FaultCode.NOT_FOUND
        )
    if options.delete_source and not os.access(root, os.W_OK | os.X_OK):
        raise Refused(
            f"vidd may not delete files in {root}: let it write there, or unset delete_source.",
            code=FaultCode.FORBIDDEN,
        )


async def check(options: Options, tools: Tools) -> str:
    """Ask the database."""
    async with annotation_database(tools.account(options.account, Account), options.account) as database:
        note = await database.check()
    return f"{tools.path(options.root)} exists, and the database can be read. {note}".rstrip()


class _Calls:
    """Answers the calls."""

    def __init__(self, options: Options, context: SourceContext) -> None:
        self._options, self._context = options, context

    async def form(self, _call: Call) -> Reply:
        """The form."""
        return Reply(200, FORM, "text/html", {"Content-Security-Policy": _FORM_POLICY})

    async def process(self, call: Call) -> Reply:
        """Answer a call."""
        options, context = self._options, self._context
        try:
            asked = read_call(call.fields, reveal(context.tools, options.auth_key))
        except Declined as declined:
            if not options.compatible:
                raise
            upload = call.fields.get("upload_id")
            if ObjectId.is_valid(upload):
                async with self._database() as database:
                    await self._tell_upload(database, str(upload), declined, call.fields)
            return original_refusal(call.fields, declined)
        if not options.compatible:
            job, _ = await self._take(asked)
            return Reply(202, job_reply(job), headers={"Location": f"/api/jobs/{job.id}"})
        try:
            return await self._take_and_wait(asked)
        except Declined as declined:
            return original_refusal(call.fields, declined)

    async def _take_and_wait(self, asked: ContentCall) -> Reply:
        ended = asyncio.Event()
        ended_jobs: dict[str, Job] = {}

        def note(event: Any) -> None:
            job = getattr(event, "job", None)
            if isinstance(job, Job) and job.state in ENDED | {State.PUBLISHED}:
                ended_jobs[job.id] = job
                ended.set()

        with self._context.listen(note):
            job, _ = await self._take(asked)
            try:
                async with asyncio.timeout(self._options.patience):
                    while job.id not in ended_jobs and job.state not in ENDED:
                        ended.clear()
                        await ended.wait()
            except TimeoutError:
                raise RetryLater(
                    f"The job {job.id} is not done yet; ask again later.", code=FaultCode.PENDING, after=60
                ) from None
        job = ended_jobs.get(job.id, job)
        if job.state is not State.PUBLISHED:
            raise Declined(422, job.reason or "The job failed.")
        async with self._database() as database:
            return original_reply(asked, await database.tasks(asked.upload_id))

    async def _take(self, asked: ContentCall) -> tuple[Job, bool]:
        options, context = self._options, self._context
        async with self._database() as database:
            try:
                return await _job_maker(options, context, database).take(asked)
            except Declined as declined:
                await self._tell_upload(database, asked.upload_id, declined, asked.model_dump())
                raise

    async def _tell_upload(
        self, database: AnnotationDatabase, upload: str, declined: Declined, fields: Mapping[str, Any]
    ) -> None:
        """Write why a call was declined into its upload: people who read the documents do not see the answer."""
        code = original_refusal(fields, declined).status if self._options.compatible else BAD_CALL
        await database.decline_upload(upload, code, declined.sentence, self._context.tools.clock.now())

    def _database(self) -> AbstractAsyncContextManager[AnnotationDatabase]:
        account = self._context.tools.account(self._options.account, Account)
        return annotation_database(account, self._options.account)


def _job_maker(options: Options, context: SourceContext, database: AnnotationDatabase) -> JobMaker:
    return JobMaker(
        Content(options.root, options.prefix, options.priority, options.delete_source),
        context,
        database,
        partial(_check_rate, context),
    )


async def _check_rate(context: SourceContext, asked: ContentCall, path: Path) -> None:
    if asked.images:
        return
    try:
        video = (await probe(context.tools.encoder, path, path.name)).video[0]
    except Refused as refused:
        raise Declined(422, refused.sentence) from None
    if video.rate and exceeds_rate(asked.frame_rate, video.rate):
        raise CallDeclined(
            422,
            f"The call asks for {asked.frame_rate} frames a second, and {quoted(path.name)} has {video.rate:.5g}: ask for fewer.",
            "frame_rate",
        )
