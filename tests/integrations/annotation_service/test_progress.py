"""How far an upload is, as its document says it while its job goes on."""

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from builders.aws import RecordingSourceContext, a_job, the_tools
from builders.mongodb import account, mongodb
from pymongo import MongoClient

from vidd.integrations.annotation_service.database import annotation_database
from vidd.integrations.annotation_service.progress import UploadMirror
from vidd.model.event import JobMoved, Progressed, PublicationMoved
from vidd.model.job import State
from vidd.model.publication import Publication, PublicationState

__all__ = ["account", "mongodb"]
SETTINGS = {
    "steps": [{"name": name, "kind": name, "options": {}} for name in ("fetch", "frames", "annotate")],
    "publish": [{"name": "films", "kind": "s3"}, {"name": "told", "kind": "mongo_tasks"}],
}


class SourceContext(RecordingSourceContext):
    """Hands a mirror its events."""

    @contextmanager
    def listen(self, note):
        self.note = note
        yield

    async def open_jobs(self):
        return []

    async def pause(self, seconds):
        await asyncio.Event().wait()


class Watched:
    """A mirror at work; `moved`, `done` and `put_out` are what happens to its job, and then what its document says."""

    def __init__(self, context, uploads, job):
        self.context, self.uploads, self.job = context, uploads, job

    async def says(self, event, **wanted):
        self.context.note(event)
        async with asyncio.timeout(60):
            while True:
                found = self.uploads.find_one({"_id": "u1"})
                if {name: found.get(name) for name in wanted} == wanted:
                    return
                await asyncio.sleep(0)

    async def moved(self, state, reason=None, **wanted):
        before, self.job = self.job.state, replace(self.job, state=state, reason=reason)
        await self.says(JobMoved(self.job, before), **wanted)

    async def done(self, part, done, **wanted):
        await self.says(Progressed(self.job.id, part, done, 10.0, "frames", None), **wanted)

    async def put_out(self, kind, name, state, reason=None, **wanted):
        publication = Publication(self.job.id, name, kind, self.job.changed, state=state, reason=reason)
        await self.says(PublicationMoved(publication, "annotation"), **wanted)


@pytest.fixture
async def watched(account, tmp_path):
    client = MongoClient(account.uri.get_secret_value())
    uploads = client[account.database].AnnotationContentUpload
    uploads.insert_one({"_id": "u1", "status": 0, "progress": 0})
    context = SourceContext(the_tools(tmp_path))
    facts = {"upload_id": "u1", "request_type": 1, "auto_anno_version": 1}
    job = a_job("file:///cam.mp4", facts=facts, settings=SETTINGS)
    async with annotation_database(account, "base") as database:
        running = asyncio.ensure_future(UploadMirror(database, context, 0.0).run(lambda: asyncio.sleep(0)))
        async with asyncio.timeout(60):
            await context.idle.wait()
        yield Watched(context, uploads, job)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    client.close()


@pytest.mark.slow
async def test_progress_is_that_of_frames_boxes_and_files_and_the_last_percent_is_for_what_is_seen(watched):
    await watched.moved(State.WORKING, status=0, progress=0)
    await watched.done("fetch", 10.0, progress=0)
    await watched.done("frames", 5.0, progress=16)
    await watched.done("frames", 10.0, progress=33)
    await watched.done("annotate", 10.0, progress=66)
    await watched.moved(State.PUBLISHING, progress=66)
    await watched.done("films", 5.0, progress=83)
    await watched.put_out("s3", "films", PublicationState.DONE, progress=99)
    await watched.put_out("mongo_tasks", "told", PublicationState.SENT, status=0, progress=99)


async def test_what_is_published_has_made_its_frames_whether_they_were_seen_or_not(watched):
    await watched.moved(State.PUBLISHING, status=0, progress=66)


async def test_files_that_are_refused_and_documents_that_are_say_so(watched):
    await watched.moved(State.PUBLISHING, status=0)
    told = {"error_code": 4, "error_message": "It is full."}
    await watched.put_out("mongo_tasks", "told", PublicationState.REFUSED, "It is full.", status=2, errorMessage=told)
    told = {"error_code": 1, "error_message": "No bucket."}
    await watched.moved(State.REFUSED, "No bucket.", status=2, errorMessage=told)
