"""Takes requests for data sets: by HTTP, by `vidd dataset`, and from documents that say they are pending.

vidd never builds a version twice at the same time: a second request gets the job that runs.
"""

from __future__ import annotations

import hmac
from functools import partial
from typing import TYPE_CHECKING, Annotated

import structlog
from pydantic import Field

from vidd.errors import RetryLater
from vidd.integrations.datasets.documents import Documents
from vidd.integrations.mongodb import account as mongodb_account
from vidd.model.event import JobMoved
from vidd.model.job import ENDED, Arrival
from vidd.ports import Declined, Reply, SourceContext, SourceRoute
from vidd.settings import secret
from vidd.settings.marks import AccountOf
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from vidd.model.event import Event
    from vidd.model.job import Job
    from vidd.ports import Call, Tools

_log = structlog.get_logger()
_SCHEMA = {
    "type": "object",
    "required": ["data_version_id"],
    "properties": {
        "data_version_id": {"type": "string", "description": "The _id of an AnnotationDatasetVersion."},
        "auth_key": {"type": "string", "description": "Needed where the source has a key."},
    },
}


class Options(Base):
    """The settings of a source of kind `data_sets`."""

    account: Annotated[str, AccountOf("mongodb")] = Field(description="The MongoDB account with the documents.")
    pipeline: str = Field(description="The pipeline that builds them.")
    auth_key: str | None = Field(
        None, description="Name of a secret (`account.key`) that requests must bring as `auth_key`; without it, none."
    )
    rescan: Duration = Field(600.0, gt=0, description="How often to look for pending data sets.")


async def watch(options: Options, context: SourceContext) -> None:
    """Take up pending data sets: at the start, at `vidd resume`, and every `rescan` seconds."""
    requests = _Requests(options, context)

    def note(event: Event) -> None:
        if isinstance(event, JobMoved) and event.job.source == context.name and event.job.state in ENDED:
            context.wake()

    with context.listen(note):
        while True:
            await _take_pending(options, context, requests)


async def _take_pending(options: Options, context: SourceContext, requests: _Requests) -> None:
    try:
        stopped = await requests.take_pending()
    except RetryLater as fault:
        context.mark_down(fault.sentence)
        await context.pause(min(5.0, options.rescan))
        return
    context.mark_up()
    context.note(stopped)
    context.mark_caught_up()
    await context.pause(options.rescan)


def routes(options: Options, context: SourceContext) -> list[SourceRoute]:
    """Two routes for the front end, which expects an empty answer, and one for the command line."""
    requests = _Requests(options, context)
    begin = partial(requests.answer, quiet=True)
    return [
        SourceRoute("POST", "/api/createDataSet", begin, "Builds a data set.", _SCHEMA),
        SourceRoute("POST", "/api/editDataSet", begin, "Builds a data set again: only what changed.", _SCHEMA),
        SourceRoute("POST", "/api/data-sets", requests.answer, "Builds a data set, and names the job.", _SCHEMA),
    ]


async def check_here(options: Options, tools: Tools) -> None:
    """Look for the key."""
    if options.auth_key is not None:
        secret.reveal(tools, options.auth_key)


async def check(options: Options, tools: Tools) -> str:
    """Ask for the documents."""
    account = tools.account(options.account, mongodb_account.Account)
    async with mongodb_account.database(account, options.account) as db:
        waiting = await Documents(db, options.account).pending()
    return f"The documents can be read: {len(waiting)} data sets are pending."


class _Requests:
    """Starts jobs for the data sets that somebody asks for."""

    def __init__(self, options: Options, context: SourceContext) -> None:
        self._options, self._context = options, context

    async def answer(self, call: Call, *, quiet: bool = False) -> Reply:
        """201 with an empty body (`quiet`), or 202 with the job. Declined with 400, 401 or 404."""
        self._authenticate(call)
        identity = str(call.fields.get("data_version_id") or "").strip()
        if not identity:
            raise Declined(400, "There is no data_version_id: name the AnnotationDatasetVersion to build.")
        account = self._context.tools.account(self._options.account, mongodb_account.Account)
        async with mongodb_account.database(account, self._options.account) as db:
            found = await Documents(db, self._options.account).find(identity)
        if found is None:
            raise Declined(404, f"There is no data set version {identity[:80]!a}: give the _id of one.")
        job, fresh = await self._begin(str(found["_id"]))
        return Reply(201, None, "text/plain") if quiet else Reply(202, {"job": job.id, "fresh": fresh})

    def _authenticate(self, call: Call) -> None:
        if self._options.auth_key is None:
            return
        wanted = secret.reveal(self._context.tools, self._options.auth_key)
        given = str(call.fields.get("auth_key") or "")
        if not hmac.compare_digest(given.encode(errors="replace"), wanted.encode()):
            raise Declined(401, "The auth_key is wrong: send the one that the settings of the source name.")

    async def take_pending(self) -> str | None:
        """Start a job for each pending version that has none.

        Returns a sentence about the pending versions whose jobs ended; the reason is written into their documents.
        """
        account = self._context.tools.account(self._options.account, mongodb_account.Account)
        async with mongodb_account.database(account, self._options.account) as db:
            documents = Documents(db, self._options.account)
            pending = await documents.pending()
            known = {_version(job): job for job in await self._context.open_jobs()}
            stopped = [version for version in pending if version in known and known[version].state in ENDED]
            for identity in stopped:
                await documents.write_error(identity, known[identity].reason or "A person stopped it.")
        for identity in pending:
            if identity not in known:
                job, _ = await self._begin(identity)
                _log.info("pending data set taken up", version=identity, job=job.id)
        if not stopped:
            return None
        return f"The jobs of {len(stopped)} pending data sets ended, such as {stopped[0]}: vidd jobs shows why."

    async def _begin(self, identity: str) -> tuple[Job, bool]:
        """The job that builds the version, and whether it is new."""
        async with self._context.lock:
            if busy := [job for job in await self._context.open_jobs(ended=False) if _version(job) == identity]:
                return busy[0], False
            now = self._context.tools.clock.now()
            facts = {"data_set_version": identity, "talk": None}
            return await self._context.take(
                Arrival(f"data-set:{identity}@{now.isoformat()}", f"data-set:{identity}", identity, facts)
            )


def _version(job: Job) -> str:
    return str(job.facts.get("data_set_version"))
