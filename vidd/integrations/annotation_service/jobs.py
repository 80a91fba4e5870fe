"""Makes jobs of what the annotation service is asked for: by its call, or by documents of uploads that were left under way."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.integrations.annotation_service.api import ContentCall, check_rules, content_at, type_of
from vidd.integrations.annotation_service.documents import ONLY_BOXES, OURS, offer_of
from vidd.model.job import ENDED, Arrival, Job, State
from vidd.ports import Declined
from vidd.settings.templates import file_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path, PurePath

    from vidd.integrations.annotation_service.database import AnnotationBase
    from vidd.ports import SourceContext

    Check = Callable[[ContentCall, Path], Awaitable[None]]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Terms:
    """How calls are taken: where content lies, what their paths may begin with in its place, how urgent jobs are."""

    root: Path
    prefix: str
    priority: int


class Taking:
    """One source's. `check` is Declined where the content at a path is not fit for the call."""

    def __init__(self, terms: Terms, context: SourceContext, base: AnnotationBase, check: Check) -> None:
        self._terms, self._context, self._base, self._check = terms, context, base, check
        self._root = context.tools.path(terms.root)
        # What this vidd began is its to take up again, though it may have forgotten it.
        self._home = f"{platform.node()}:{context.tools.state}"

    async def take(self, asked: ContentCall) -> tuple[Job, bool]:
        """The job of a call, and whether it is new. Declined where the call may not be.

        One call after another, so that two for one upload do not pass each other.
        """
        async with self._context.turn:
            return await self._take(asked)

    async def _take(self, asked: ContentCall) -> tuple[Job, bool]:
        context, base, terms = self._context, self._base, self._terms
        upload = await base.upload(asked.upload_id)
        if upload is None:
            raise Declined(404, f"There is no upload {quoted(asked.upload_id)} in the database.")
        if await base.project(asked.project_id) is None:
            raise Declined(404, f"There is no project {quoted(asked.project_id)} in the database.")
        if (busy := await self._busy(asked)) is not None:
            return busy, False
        check_rules(asked, upload, len(await base.task_ids(asked.upload_id)), offer_of(context.settings))
        path = await in_thread(content_at, asked, self._root, terms.prefix)
        await self._check(asked, path)
        inside = path.relative_to(await in_thread(self._root.resolve))
        # Counted in the document, so that every daemon makes the same of the same call.
        generation = int(_ours(upload).get("generation") or 0)
        shelf = await self._shelf(asked, inside)
        job, new = await context.take(self._arrival(asked, path, inside, shelf, generation))
        # The document may not have been told of the last ones, where the database went away just then.
        while not new and job.state in ENDED | {State.PUBLISHED}:
            generation += 1
            job, new = await context.take(self._arrival(asked, path, inside, shelf, generation))
        if new:
            known = {"generation": generation, "home": self._home, "asked": asked.model_dump()}
            keep = {**known, "shelf": f"{shelf}/{_called(inside)}"}
            await base.begun(asked.upload_id, job.id, asked.content_path, keep, context.tools.clock.now())
        return job, new

    async def _busy(self, asked: ContentCall) -> Job | None:
        """The job that does this very thing now; Declined where one does another with the upload."""
        for job in await self._context.unsettled(ended=False):
            if job.facts.get("upload_id") == asked.upload_id:
                if asked.facts().items() <= job.facts.items():
                    return job
                raise Declined(409, f"The job {job.id} works on this upload: wait for it, or cancel it.")
        return None

    async def _shelf(self, asked: ContentCall, inside: PurePath) -> str:
        """The directory by which its files are called in the store: the one the content lies in, unless another upload's do.

        The service gives each upload a directory of its own; where one does not, its films would go over another's.
        """
        above = inside.parent.name or asked.upload_id
        taken = await self._base.is_taken(asked.upload_id, above, _called(inside))
        return f"{above}-{asked.upload_id}" if taken else above

    def _arrival(self, asked: ContentCall, path: Path, inside: PurePath, shelf: str, generation: int) -> Arrival:
        what = (
            f"{asked.upload_id}:{asked.request_type}:{asked.auto_anno_version}:{asked.frame_rate}:{asked.content_path}"
        )
        return Arrival(
            key=f"process_content:{what}:{generation}",
            location=path.as_uri(),
            name=inside.as_posix(),
            facts=asked.facts() | {"generation": generation, "upload_dir": shelf},
            priority=self._terms.priority,
        )

    async def take_up(self) -> None:
        """Uploads that an earlier system left under way become jobs; and those whose jobs went with a lost state directory."""
        context = self._context
        known = {job.facts.get("upload_id") for job in await context.unsettled()}
        faults: list[str] = []
        for upload in [one async for one in self._base.left(self._home)]:
            begun = _ours(upload).get("job")
            if str(upload["_id"]) in known or (begun is not None and await context.job(begun) is not None):
                continue
            if (asked := _ours(upload).get("asked") or _as_asked(upload)) is None:
                continue
            try:
                await self._take_left(asked)
            except (Declined, Refused) as no:
                _log.warning("upload left", upload=str(upload["_id"]), reason=no.sentence)
                faults.append(f"{quoted(str(upload['_id']))} ({no.sentence})")
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        context.note(f"An upload was left and cannot be taken up: {faults[0]}{more}." if faults else None)

    async def _take_left(self, asked: Mapping[str, Any]) -> None:
        try:
            call = ContentCall.model_validate(asked)
        except ValueError:
            raise Declined(400, "it does not say what was asked for: ask again") from None
        if call.request_type != ONLY_BOXES and await self._base.touched(call.upload_id):
            raise Declined(409, "people have worked on the tasks it has: ask with force_write 1 to make them anew")
        await self.take(call.model_copy(update={"force_write": 1}))


def _ours(upload: Mapping[str, Any]) -> Mapping[str, Any]:
    kept = upload.get(OURS)
    return kept if isinstance(kept, dict) else {}


def _called(path: PurePath) -> str:
    """What the step `frames` calls the tasks of it by."""
    return file_name(path.stem or path.name)


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
