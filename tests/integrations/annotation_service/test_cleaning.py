"""Content that is deleted once its job is published: when, and what must stay."""

import asyncio
import os
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from builders.aws import a_job
from builders.engine import HeldClock

from vidd.integrations.annotation_service.cleaning import FINGERPRINT, SourceCleaner, fingerprint
from vidd.model.event import JobMoved
from vidd.model.job import State

DEADLINE = 60.0


class Documents:
    """The uploads' marks, as the database keeps them: the job of each upload whose content is to be deleted."""

    def __init__(self):
        self.marks = {}
        self.settled = asyncio.Event()

    async def mark_content(self, upload, job, _fingerprint):
        self.marks[upload] = job

    async def unmark_content(self, upload, _job):
        del self.marks[upload]
        self.settled.set()

    async def content_to_delete(self):
        return list(self.marks.items())


class Source:
    """What the cleaner sees of the engine."""

    name = "calls"

    def __init__(self):
        self.jobs, self.tools, self._lock = {}, SimpleNamespace(clock=HeldClock()), asyncio.Lock()
        self.looked, self._note = asyncio.Event(), None

    @property
    def lock(self):
        return self._locked()

    @asynccontextmanager
    async def _locked(self):
        async with self._lock:
            yield

    async def job(self, job_id):
        return self.jobs.get(job_id)

    async def open_jobs(self):
        self.looked.set()
        return [job for job in self.jobs.values() if job.state is not State.PUBLISHED]

    @contextmanager
    def listen(self, note):
        self._note = note
        yield

    def add(self, path, state=State.PUBLISHED, job_id="01job", *, printed=None):
        facts = {"upload_id": f"of-{job_id}", FINGERPRINT: printed or fingerprint(path)}
        job = replace(a_job(path.as_uri(), facts=facts), id=job_id, state=state, source=self.name)
        self.jobs[job.id] = job
        return job

    def move(self, job_id, state):
        self.jobs[job_id] = replace(self.jobs[job_id], state=state)
        self._note(JobMoved(self.jobs[job_id], None))


@pytest.fixture
async def lab(tmp_path):
    root = tmp_path / "uploads"
    (root / "p1").mkdir(parents=True)
    documents, source = Documents(), Source()
    cleaner = SourceCleaner(documents, source, root)
    running = asyncio.ensure_future(cleaner.run())
    yield SimpleNamespace(root=root, documents=documents, source=source, cleaner=cleaner)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def settled(lab):
    """All marks are gone."""
    async with asyncio.timeout(DEADLINE):
        while lab.documents.marks:
            await lab.documents.settled.wait()
            lab.documents.settled.clear()


async def looked(lab):
    """The cleaner has looked, and left what is marked."""
    async with asyncio.timeout(DEADLINE):
        lab.source.looked.clear()
        lab.cleaner.wake()
        await lab.source.looked.wait()
        async with lab.source.lock:
            pass


def content(path, data=b"frames"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


async def test_a_file_and_a_directory_go_and_nothing_beside_them(lab):
    cam, other = content(lab.root / "p1" / "cam mp\u00e4.mp4"), content(lab.root / "p1" / "other.mp4")
    shots = lab.root / "p1" / "shots"
    for name in ("1.png", "deep/2.png", "read.me"):
        content(shots / name)
    (shots / "link").symlink_to(other)
    for job_id, path in (("01", cam), ("02", shots)):
        lab.documents.marks[f"of-{job_id}"] = lab.source.add(path, job_id=job_id).id
    lab.cleaner.wake()
    await settled(lab)
    assert sorted(lab.root.rglob("*")) == [lab.root / "p1", other]


@pytest.mark.parametrize("state", [State.WORKING, State.PUBLISHING, State.REFUSED, State.UNSURE, State.WAITING])
async def test_what_another_unfinished_job_needs_stays_until_that_is_settled(lab, state):
    shots = lab.root / "p1" / "shots"
    inner = content(shots / "1.png")
    lab.documents.marks["of-01"] = lab.source.add(shots, job_id="01").id
    lab.source.add(inner, state, "02")
    await looked(lab)
    assert inner.exists()
    assert "of-01" in lab.documents.marks
    lab.source.move("02", State.CANCELLED)
    async with asyncio.timeout(DEADLINE):
        while "of-01" in lab.documents.marks:
            await lab.documents.settled.wait()
            lab.documents.settled.clear()
    assert not shots.exists()


async def test_the_content_of_an_unfinished_job_stays(lab):
    cam = content(lab.root / "p1" / "cam.mp4")
    lab.documents.marks["of-01"] = lab.source.add(cam, State.PUBLISHING, "01").id
    await looked(lab)
    assert cam.exists()
    lab.source.move("01", State.PUBLISHED)
    await settled(lab)
    assert not cam.exists()


async def test_a_job_whose_upload_lacks_the_mark_gets_it_at_the_start(lab):
    cam = content(lab.root / "p1" / "cam.mp4")
    lab.source.add(cam, State.WORKING, "01")
    await looked(lab)
    assert lab.documents.marks == {"of-01": "01"}


async def test_what_was_changed_since_the_call_stays(lab):
    cam, shots = content(lab.root / "p1" / "cam.mp4"), lab.root / "p1" / "shots"
    content(shots / "1.png")
    for job_id, path in (("01", cam), ("02", shots)):
        lab.documents.marks[f"of-{job_id}"] = lab.source.add(path, job_id=job_id).id
    content(cam, b"others")
    os.utime(cam, ns=(1, 1))
    content(shots / "2.png")
    lab.cleaner.wake()
    await settled(lab)
    assert (cam.read_bytes(), len(list(shots.iterdir()))) == (b"others", 2)


async def test_nothing_goes_that_is_not_below_the_root_or_behind_a_link(lab, tmp_path):
    outside, real = content(tmp_path / "cam.mp4"), content(tmp_path / "real" / "cam.mp4")
    (lab.root / "p2").symlink_to(real.parent)
    paths = {"01": outside, "02": lab.root, "03": lab.root / "p2" / "cam.mp4", "04": lab.root / ".." / "cam.mp4"}
    for job_id, path in paths.items():
        lab.documents.marks[f"of-{job_id}"] = lab.source.add(path, job_id=job_id).id
    lab.cleaner.wake()
    await settled(lab)
    assert outside.exists()
    assert real.exists()
    assert (lab.root / "p1").is_dir()


async def test_a_directory_half_deleted_by_a_daemon_that_was_killed_goes_and_a_new_one_of_its_name_stays(lab):
    shots = lab.root / "p1" / "shots"
    content(shots / "1.png")
    job = lab.source.add(shots, job_id="01")
    lab.documents.marks["of-01"] = job.id
    shots.rename(shots.with_name(".deleted-01"))
    content(shots / "new.png", b"of the next upload")
    lab.cleaner.wake()
    await settled(lab)
    assert sorted(path.name for path in (lab.root / "p1").rglob("*")) == ["new.png", "shots"]


async def test_content_that_is_gone_already_is_settled(lab):
    cam = content(lab.root / "p1" / "cam.mp4")
    lab.documents.marks["of-01"] = lab.source.add(cam, job_id="01").id
    cam.unlink()
    lab.cleaner.wake()
    await settled(lab)
