"""The annotation service's call: POST /api/processContent makes a job of an upload, and its document says how it stands.

The call is the content processor's, by form or JSON. It is answered at once with the job; with `compatible` as the
original did, after all is done and with its status codes. Progress and failures are written into the upload's document
as they happen, and once more for everything when the daemon starts.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from pydantic import Field

from vidd.clients.annotation_base import AnnotationBase, annotation_base
from vidd.clients.content_call import SCHEMA, ContentCall, check_rules, content_at, read_call, type_of
from vidd.clients.content_mirror import Mirror
from vidd.clients.content_told import FORM, as_original, told
from vidd.clients.mongo import Account
from vidd.clients.secret import reveal
from vidd.clients.threads import in_thread
from vidd.errors import AgainLater, Refused
from vidd.ffmpeg.probe import probe
from vidd.model.annotation import OURS
from vidd.model.job import ENDED, Arrival, Job, State
from vidd.model.sampling import exceeds
from vidd.options import Duration
from vidd.options import Options as Base
from vidd.ports import Call, Declined, Front, Inlet, Reply, Tools
from vidd.printable import quoted
from vidd.texts import file_name

_log = structlog.get_logger()
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
    frames_per_task: int = Field(120, ge=1, description="How many frames a task has; as in the step frames.")
    compatible: bool = Field(
        False, description="Answer as the original did: after all is done, errors of logic with 200."
    )
    patience: Duration = Field(3600.0, gt=0, description="With compatible: how long a call waits for its job.")
    tell_every: Duration = Field(1.0, ge=0, description="The least time between two words on progress.")
    priority: int = Field(0, description="The highest is worked on first.")


async def watch(options: Options, inlet: Inlet) -> None:
    """Say in the documents how jobs stand, until cancelled; take up uploads that were left."""
    async with annotation_base(inlet.tools.account(options.account, Account), options.account) as base:
        await Mirror(base, inlet, options.tell_every).run(lambda: _take_up(options, inlet, base))


def routes(options: Options, inlet: Inlet) -> Sequence[Front]:
    """The call, and a form to try it with."""
    desk = _Desk(options, inlet)
    return (
        Front("POST", "/api/processContent", desk.process, "Make tasks of an upload.", SCHEMA),
        Front("GET", "/api/processContent", desk.form, "A form to try the call with."),
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


class _Desk:
    """Answers the calls."""

    def __init__(self, options: Options, inlet: Inlet) -> None:
        self._options, self._inlet = options, inlet

    async def form(self, _call: Call) -> Reply:
        """The form."""
        return Reply(200, FORM, "text/html", {"Content-Security-Policy": _FORM_POLICY})

    async def process(self, call: Call) -> Reply:
        """Take a call."""
        options = self._options
        asked = read_call(call.fields, reveal(self._inlet.tools, options.auth_key))
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

        with self._inlet.listen(note):
            job, _ = await self._taken(asked)
            try:
                async with asyncio.timeout(self._options.patience):
                    while job.id not in ends and job.state not in ENDED:
                        over.clear()
                        await over.wait()
            except TimeoutError:
                raise AgainLater(f"The job {job.id} is not done yet; ask again later.", after=60) from None
        job = ends.get(job.id, job)
        if job.state is not State.PUBLISHED:
            raise Declined(422, job.reason or "It came to nothing.")
        account = self._inlet.tools.account(self._options.account, Account)
        async with annotation_base(account, self._options.account) as base:
            return as_original(asked, await base.tasks(asked.upload_id))

    async def _taken(self, asked: ContentCall) -> tuple[Job, bool]:
        options, inlet = self._options, self._inlet
        account = inlet.tools.account(options.account, Account)
        async with annotation_base(account, options.account) as base:
            return await take(options, inlet, base, asked)


async def take(options: Options, inlet: Inlet, base: AnnotationBase, asked: ContentCall) -> tuple[Job, bool]:
    """The job of a call, and whether it is new. Declined where the call may not be.

    One call after another, so that two for one upload do not pass each other.
    """
    async with inlet.turn:
        return await _take(options, inlet, base, asked)


async def _take(options: Options, inlet: Inlet, base: AnnotationBase, asked: ContentCall) -> tuple[Job, bool]:
    upload = await base.upload(asked.upload_id)
    if upload is None:
        raise Declined(404, f"There is no upload {quoted(asked.upload_id)} in the database.")
    if await base.project(asked.project_id) is None:
        raise Declined(404, f"There is no project {quoted(asked.project_id)} in the database.")
    under_way = [job for job in await inlet.unsettled(ended=False) if job.facts.get("upload_id") == asked.upload_id]
    if under_way:
        if asked.facts().items() <= under_way[0].facts.items():
            return under_way[0], False
        raise Declined(409, f"The job {under_way[0].id} works on this upload: wait for it, or cancel it.")
    check_rules(asked, upload, len(await base.task_ids(asked.upload_id)), options.frames_per_task)
    path = await in_thread(content_at, asked, inlet.tools.path(options.root), options.prefix)
    await _check_rate(asked, path)
    # Counted in the document, so that every daemon makes the same of the same call.
    generation = int(upload.get(OURS, {}).get("generation") or 0)
    shelf = await _shelf(inlet, options, base, asked, path)
    job, new = await inlet.take(_arrival(options, asked, path, shelf, generation))
    # The document may not have been told of the last ones, where the database went away just then.
    while not new and job.state in ENDED | {State.PUBLISHED}:
        generation += 1
        job, new = await inlet.take(_arrival(options, asked, path, shelf, generation))
    if new:
        known = {"generation": generation, "home": _home(inlet.tools), "asked": asked.model_dump()}
        keep = {**known, "shelf": f"{shelf}/{_called(path)}"}
        await base.begun(asked.upload_id, job.id, asked.content_path, keep, inlet.tools.clock.now())
    return job, new


def _home(tools: Tools) -> str:
    """Where this vidd has its state: what it began is its to take up again, though it may have forgotten it."""
    return f"{platform.node()}:{tools.state}"


def _called(path: Path) -> str:
    """What the step `frames` calls the tasks of it by."""
    return file_name(path.stem or path.name)


async def _shelf(inlet: Inlet, options: Options, base: AnnotationBase, asked: ContentCall, path: Path) -> str:
    """The directory by which its files are called in the store: the one the content lies in, unless another upload's do.

    The service gives each upload a directory of its own; where one does not, its films would go over another's.
    """
    above = path.parent.name if path.parent != inlet.tools.path(options.root).resolve() else asked.upload_id
    taken = await base.is_taken(asked.upload_id, above, _called(path))
    return f"{above}-{asked.upload_id}" if taken else above


def _arrival(options: Options, asked: ContentCall, path: Path, shelf: str, generation: int) -> Arrival:
    what = f"{asked.upload_id}:{asked.request_type}:{asked.auto_anno_version}:{asked.frame_rate}:{asked.content_path}"
    return Arrival(
        key=f"process_content:{what}:{generation}",
        location=path.as_uri(),
        name=path.name,
        facts=asked.facts() | {"generation": generation, "upload_dir": shelf},
        priority=options.priority,
    )


async def _check_rate(asked: ContentCall, path: Path) -> None:
    if asked.images:
        return
    try:
        video = (await probe(path, path.name)).video[0]
    except Refused as refused:
        raise Declined(422, refused.sentence) from None
    if video.rate and exceeds(asked.frame_rate, video.rate):
        raise Declined(
            422,
            f"{asked.frame_rate} frames a second are asked for, and {quoted(path.name)} has {video.rate:.5g}: ask for fewer.",
        )


async def _take_up(options: Options, inlet: Inlet, base: AnnotationBase) -> None:
    """Uploads that an earlier system left under way become jobs; and those whose jobs went with a lost state directory."""
    known = {job.facts.get("upload_id") for job in await inlet.unsettled()}
    faults: list[str] = []
    for upload in [one async for one in base.left(_home(inlet.tools))]:
        begun = upload.get(OURS, {}).get("job")
        if str(upload["_id"]) in known or (begun is not None and await inlet.job(begun) is not None):
            continue
        if (asked := upload.get(OURS, {}).get("asked") or _as_asked(upload)) is None:
            continue
        try:
            await _take_left(options, inlet, base, asked)
        except (Declined, Refused) as no:
            _log.warning("upload left", upload=str(upload["_id"]), reason=no.sentence)
            faults.append(f"{quoted(str(upload['_id']))} ({no.sentence})")
    more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
    inlet.note(f"An upload was left and cannot be taken up: {faults[0]}{more}." if faults else None)


async def _take_left(options: Options, inlet: Inlet, base: AnnotationBase, asked: Mapping[str, Any]) -> None:
    try:
        call = ContentCall.model_validate(asked)
    except ValueError:
        raise Declined(400, "it does not say what was asked for: ask again") from None
    if await base.touched(call.upload_id):
        raise Declined(409, "people have worked on the tasks it has: ask with force_write 1 to make them anew")
    await take(options, inlet, base, call.model_copy(update={"force_write": 1}))


def _as_asked(upload: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an earlier system was asked for; None where nobody asked it yet, which also has the status of being under way."""
    path = str(upload.get("sourceFilePath") or "")
    if not path:
        return None
    return {
        "upload_id": str(upload["_id"]),
        "project_id": str(upload.get("projectId", "")),
        "frame_rate": upload.get("frame_rate"),
        "content_path": path,
        "content_type": type_of(path),
        "auto_anno_version": upload.get("request_annotation_version") or 0,
        "request_type": upload.get("request_type") or 0,
        "force_write": 0,
    }
