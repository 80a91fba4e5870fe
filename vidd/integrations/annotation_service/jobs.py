"""Makes jobs of calls of the annotation service, and of uploads that an earlier system, or a lost daemon, left unfinished."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import structlog
from bson import ObjectId

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.integrations.annotation_service.api import (
    CallDeclined,
    ContentCall,
    ContentMissing,
    check_rules,
    content_at,
    path_below,
    type_of,
)
from vidd.integrations.annotation_service.cleaning import FINGERPRINT, fingerprint
from vidd.integrations.annotation_service.documents import (
    ONLY_BOXES,
    as_number,
    offer_of,
    own_values,
    store_of,
    videos_of,
)
from vidd.model.job import ENDED, Arrival, Job, State
from vidd.model.task_video import FACT, SCHEME
from vidd.ports import Declined
from vidd.settings.templates import file_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path, PurePath

    from vidd.integrations.annotation_service.database import AnnotationDatabase
    from vidd.ports import SourceContext

    Check = Callable[[ContentCall, Path], Awaitable[None]]

_log = structlog.get_logger()
# Why boxes of tasks that vidd did not make are looked for in their videos, and what to do where there are none.
_FOREIGN = (
    "Another system made the tasks, and only their videos show which frames they have",
    "send the call with request_type 1 and force_write 1 to make them anew",
)


@dataclass(frozen=True, slots=True)
class Content:
    """Where content lies (`root`), what a call may write instead of that (`prefix`), and the priority of its jobs.

    With `delete`, it is deleted once its job is published.
    """

    root: Path
    prefix: str
    priority: int
    delete: bool


class JobMaker:
    """Makes the jobs of one source. `check` raises Declined where the content at a path does not suit the call."""

    def __init__(self, content: Content, context: SourceContext, database: AnnotationDatabase, check: Check) -> None:
        self._content, self._context, self._database, self._check = content, context, database, check
        self._root = context.tools.path(content.root)
        # Tells this vidd's uploads from another's, also after its state directory was lost.
        self._home = f"{platform.node()}:{context.tools.state}"

    async def take(self, asked: ContentCall, *, resumed: bool = False) -> tuple[Job, bool]:
        """The job of a call, and whether it is new. Declined where the rules do not allow the call.

        Calls are taken one after another, so that two for one upload do not overtake each other. A call that is `resumed` may
        replace the tasks of its upload.
        """
        async with self._context.lock:
            return await self._take(asked, resumed=resumed)

    async def _take(self, asked: ContentCall, *, resumed: bool) -> tuple[Job, bool]:
        context, database = self._context, self._database
        upload = await database.upload(asked.upload_id)
        if upload is None:
            sentence = f"There is no upload {quoted(asked.upload_id)} in the database."
            raise CallDeclined(404, sentence, "upload_id", _status_of_id(asked.upload_id))
        if await database.project(asked.project_id) is None:
            sentence = f"There is no project {quoted(asked.project_id)} in the database."
            raise CallDeclined(404, sentence, "project_id", _status_of_id(asked.project_id))
        if (busy := await self._busy(asked)) is not None:
            return busy, False
        rules = asked.model_copy(update={"force_write": 1}) if resumed else asked
        tasks, root = await database.tasks(asked.upload_id), await in_thread(self._root.resolve)
        if asked.request_type == ONLY_BOXES and not tasks:
            await self._decline_other_upload(asked, root)
        check_rules(rules, upload, len(tasks), offer_of(context.settings))
        inside, location, found = await self._find_content(asked, tasks, root)
        replaced = await self._replaced_uploads(asked, inside, root)
        # The document counts the generations, so that every daemon gives the same call the same key.
        generation = int(as_number(own_values(upload).get("generation")) or 0)
        directory = await self._upload_directory(asked, inside, replaced)
        made = {
            "upload_dir": directory,
            **({"replaces": replaced} if replaced else {}),
            **(await self._finished(asked) if resumed else {}),
            **found,
        }
        job, new = await context.take(self._arrival(asked, location, inside, made, generation))
        # The database may have been away when the last generations were to be counted.
        while not new and job.state in ENDED | {State.PUBLISHED}:
            generation += 1
            job, new = await context.take(self._arrival(asked, location, inside, made, generation))
        if new:
            own = {
                "generation": generation,
                "home": self._home,
                "asked": asked.model_dump(),
                "shelf": f"{directory}/{_task_base(inside)}",
                "delete": made.get(FINGERPRINT),
            }
            await database.begin_upload(asked.upload_id, job.id, asked.content_path, own, context.tools.clock.now())
        return job, new

    async def _find_content(
        self, asked: ContentCall, tasks: Sequence[Mapping[str, Any]], root: Path
    ) -> tuple[PurePosixPath, str, dict[str, Any]]:
        """The content's path below the root, and the job's location and facts: of the content, or of the tasks' videos."""
        try:
            path = await in_thread(content_at, asked, self._root, self._content.prefix)
        except ContentMissing as missing:
            if asked.request_type != ONLY_BOXES:
                raise
            facts = self._task_videos(tasks, missing.sentence.rstrip("."), "put the content back")
            return missing.inside, f"{SCHEME}:{asked.upload_id}", facts
        inside = PurePosixPath(path.relative_to(root))
        if asked.request_type == ONLY_BOXES and not all(map(own_values, tasks)):
            return inside, f"{SCHEME}:{asked.upload_id}", self._task_videos(tasks, *_FOREIGN)
        await self._check(asked, path)
        facts = {FINGERPRINT: await in_thread(fingerprint, path)} if self._content.delete else {}
        return inside, path.as_uri(), facts

    async def _busy(self, asked: ContentCall) -> Job | None:
        """The job that carries out the same call now. Declined where a job carries out another call for the upload."""
        for job in await self._context.open_jobs(ended=False):
            if job.facts.get("upload_id") == asked.upload_id:
                if asked.facts().items() <= job.facts.items():
                    return job
                raise Declined(409, f"The job {job.id} works on this upload: wait for it, or cancel it.")
        return None

    async def _finished(self, asked: ContentCall) -> dict[str, int]:
        """Which tasks another system finished before it was ended: those stay, and the job goes on after them."""
        if asked.images or asked.force_write or asked.request_type == ONLY_BOXES:
            return {}
        per_task = offer_of(self._context.settings).per_task
        tasks, frames = await self._database.finished_tasks(asked.upload_id, per_task)
        return {"finished_tasks": tasks, "finished_frames": frames} if tasks else {}

    async def _replaced_uploads(self, asked: ContentCall, inside: PurePath, root: Path) -> list[str]:
        """The other uploads of the same video in the project, whose tasks the call replaces.

        A front end makes an upload of its own for each call. Declined where one has tasks and the call does not force, and
        where a job works on one.
        """
        if asked.images or asked.request_type == ONLY_BOXES:
            return []
        others = await self._other_uploads(asked, inside, root)
        for job in await self._context.open_jobs(ended=False):
            if (other := job.facts.get("upload_id")) in others:
                raise Declined(
                    409, f"The job {job.id} works on this video for the upload {other}: wait for it, or cancel it."
                )
        if tasks := await self._database.tasks(*others):
            if not asked.force_write:
                raise CallDeclined(
                    409,
                    f"The project has tasks of this video already, of the upload {tasks[0].get('uploadId')}: "
                    "send force_write 1 to replace them.",
                    "project_id",
                )
            return sorted({str(task["uploadId"]) for task in tasks})
        return []

    async def _other_uploads(self, asked: ContentCall, inside: PurePath, root: Path) -> list[str]:
        """The other uploads of the same content in the project."""
        return [
            str(upload["_id"])
            for upload in await self._database.uploads_of(asked.project_id)
            if str(upload["_id"]) != asked.upload_id
            and path_below(str(upload.get("sourceFilePath") or ""), root, self._content.prefix) == inside
        ]

    async def _decline_other_upload(self, asked: ContentCall, root: Path) -> None:
        """Declined where another upload of the same content has the tasks that the call wants boxes for."""
        inside = path_below(asked.content_path, root, self._content.prefix)
        if tasks := await self._database.tasks(*await self._other_uploads(asked, inside, root)):
            raise CallDeclined(
                409,
                f"The upload has no tasks; those of this content are of the upload {tasks[0]['uploadId']}: "
                "send that as upload_id.",
                "auto_anno_version",
            )

    def _task_videos(self, tasks: Sequence[Mapping[str, Any]], why: str, remedy: str) -> dict[str, Any]:
        """The facts of a job that annotates the videos of existing tasks, `why` and not their content.

        Declined, with the `remedy`, where a task has none.
        """
        try:
            videos = videos_of(tasks)
        except ValueError as error:
            raise Declined(422, f"{why}, and the task {quoted(str(error))} has no video (S3_url): {remedy}.") from None
        store = store_of(self._context.settings)
        if store.pop("delete", False):
            # The tree has no images.
            raise Declined(
                422,
                f"{why}, and the publisher s3 deletes what is not sent again (delete = true), such as the images of the"
                f" frames: {remedy}, or unset delete.",
            )
        if not store and (keys := [video.address for video in videos if not video.is_web]):
            raise Declined(
                422,
                f"{why}, and the pipeline has no publisher s3 that says in which bucket the task video {quoted(keys[0])}"
                f" is: {remedy}, or add one.",
            )
        return {FACT: [video.to_json() for video in videos], **store}

    async def _upload_directory(self, asked: ContentCall, inside: PurePath, replaced: Sequence[str]) -> str:
        """The directory of the upload's files in the store: the one its content lies in, unless another upload uses that.

        The service gives each upload a directory of its own. Where two share one, their videos would overwrite each other.
        """
        parent = inside.parent.name or asked.upload_id
        own = [asked.upload_id, *replaced]
        taken = await self._database.has_other_owner(own, parent, _task_base(inside))
        return f"{parent}-{asked.upload_id}" if taken else parent

    def _arrival(
        self, asked: ContentCall, location: str, inside: PurePath, made: Mapping[str, Any], generation: int
    ) -> Arrival:
        call = (
            f"{asked.upload_id}:{asked.request_type}:{asked.auto_anno_version}:{asked.frame_rate}:{asked.content_path}"
        )
        return Arrival(
            key=f"process_content:{call}:{generation}",
            location=location,
            name=inside.as_posix(),
            facts=asked.facts() | {"generation": generation, **made},
            priority=self._content.priority,
        )

    async def take_unfinished(self) -> None:
        """Make jobs of unfinished uploads that have none: of an earlier system, or after the state directory was lost."""
        context = self._context
        known = {job.facts.get("upload_id") for job in await context.open_jobs()}
        faults: list[str] = []
        for upload in [upload async for upload in self._database.unfinished_uploads(self._home)]:
            job = own_values(upload).get("job")
            if str(upload["_id"]) in known or (job is not None and await context.job(job) is not None):
                continue
            if (asked := own_values(upload).get("asked") or _guess_call(upload)) is None:
                continue
            try:
                await self._take_upload(asked)
            except (Declined, Refused) as fault:
                _log.warning("upload not taken up", upload=str(upload["_id"]), reason=fault.sentence)
                faults.append(f"{quoted(str(upload['_id']))} ({fault.sentence})")
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        context.note(f"vidd cannot take up an unfinished upload: {faults[0]}{more}." if faults else None)

    async def _take_upload(self, asked: Mapping[str, Any]) -> None:
        try:
            call = ContentCall.model_validate(asked)
        except ValueError:
            raise Declined(400, "it does not hold a complete call: send the call again") from None
        if call.request_type != ONLY_BOXES and await self._database.has_work(call.upload_id):
            raise Declined(409, "people have worked on its tasks: send the call with force_write 1 to replace them")
        await self.take(call, resumed=True)


def _status_of_id(text: str) -> int:
    """The status with which the original answered an id of nothing: 400 where it can be no id of MongoDB."""
    return 200 if ObjectId.is_valid(text) else 400


def _task_base(path: PurePath) -> str:
    """The name that the step `frames` gives its tasks."""
    return file_name(path.stem or path.name)


def _number(value: Any) -> Any:
    """A whole number that a document may hold as text; whatever else it holds."""
    number = as_number(value)
    return value if number is None or number % 1 else int(number)


def _guess_call(upload: Mapping[str, Any]) -> dict[str, Any] | None:
    """The call that an earlier system got for an upload; None where it got none, since new uploads are under way too."""
    path = str(upload.get("sourceFilePath") or "")
    if not path:
        return None
    return {
        "upload_id": str(upload["_id"]),
        "project_id": str(upload.get("projectId", "")),
        "frame_rate": _number(upload.get("frame_rate")),
        "content_path": path,
        "content_type": type_of(path),
        "auto_anno_version": _number(upload.get("request_annotation_version")) or 0,
        "request_type": _number(upload.get("request_type")) or 0,
        "force_write": 0,
    }
