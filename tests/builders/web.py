"""A daemon's control without a daemon: jobs in memory, the real rules of the model, the real port on a free address."""

from __future__ import annotations

import socket
import tempfile
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vidd.errors import Refused
from vidd.model.day_totals import count_moves, day_of
from vidd.model.job import SHORTEST_END, Job, State, new_id
from vidd.ports import ShortMemory
from vidd.stores.memory import MemoryStore
from vidd.web.control_port import Ffmpeg, Health, Slots, Watcher
from vidd.web.event_hub import Hub
from vidd.web.explain import Surroundings, explain
from vidd.web.metrics import Metrics
from vidd.web.server import Port

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TOKEN = "a-token-of-thirty-two-characters"
HEALTHY = Health(
    ok=True,
    version="0.1.0",
    since=NOON,
    watchers={"recordings": Watcher("recordings", "folder", up=True, last_event=NOON)},
    disk_free=5_000_000_000,
    disk_reserve=1_000_000_000,
    slots={"encodes": Slots(3, used=1)},
    ffmpeg=Ffmpeg("7.1"),
)


_ids = [""]


def a_job(state=State.READY, **more):
    _ids[0] = new_id(NOON, _ids[0])
    given = {
        "id": _ids[0],
        "pipeline": "talks",
        "source": "recordings",
        "location": "file:///in/keynote.mp4",
        "name": "keynote.mp4",
        "created": NOON,
        "changed": NOON,
    } | more
    return Job(**({"key": given["id"]} | given), state=state)


class HeldClock:
    def __init__(self):
        self.time = NOON

    def now(self):
        return self.time

    async def sleep(self, seconds):
        self.time += timedelta(seconds=seconds)


class ShelfStore(ShortMemory):
    """The part of the store that the port reads."""

    def __init__(self):
        super().__init__()
        self.shelf = {}
        self.histories, self.records, self.sendings, self.letters = {}, {}, {}, []
        self.programmes, self.rows = {}, {}
        self.counted = 0
        self.trouble = None

    def put(self, *jobs):
        for job in jobs:
            self.shelf[job.id] = job
            self.histories.setdefault(job.id, []).append((job.changed, job.state, job.reason))

    async def job(self, job_id):
        found = [
            job
            for key, job in self.shelf.items()
            if key == job_id or (len(job_id) >= SHORTEST_END and key.endswith(job_id))
        ]
        return found[0] if len(found) == 1 else None

    async def jobs(self, *, states=(), pipeline=None, talk=None, limit=None):
        found = [
            job
            for job in reversed(self.shelf.values())
            if (not states or job.state in states)
            and pipeline in {None, job.pipeline}
            and (talk is None or talk == job.talk)
        ]
        return found[:limit]

    async def history(self, job_id):
        return self.histories.get(job_id, [])

    async def page(self, query, limit):
        shelf = MemoryStore()
        await shelf.admit(list(self.shelf.values()))
        return await shelf.page(query, limit)

    async def moves_by_day(self, since):
        moves = [(job, at, state) for job, history in self.histories.items() for at, state, _ in history]
        return {key: number for key, number in count_moves(moves).items() if key[0] >= day_of(since)}

    async def programme(self, name):
        return self.programmes.get(name)

    async def talks(self, programme):
        return self.rows.get(programme, [])

    async def talk(self, programme, talk_id):
        return next((talk for talk in self.rows.get(programme, []) if talk.id == talk_id), None)

    async def counts(self, since=None):
        self.counted += 1
        counts = {}
        for job in self.shelf.values():
            counts[job.pipeline, job.state] = counts.get((job.pipeline, job.state), 0) + 1
        return counts

    async def incomplete(self):
        found = [job.pipeline for job in self.shelf.values() if job.state is State.PUBLISHED and job.reason]
        return {pipeline: found.count(pipeline) for pipeline in found}

    async def oldest(self, states):
        return min((job.created for job in self.shelf.values() if job.state in states), default=None)

    async def steps(self, job_id):
        return self.records.get(job_id, [])

    async def publications(self, job_id):
        return self.sendings.get(job_id, [])

    async def entries(self, pipelines):
        return [job.entry for job in self.shelf.values() if job.pipeline in pipelines]

    async def dead_letters(self, limit=100):
        return self.letters[:limit]


OUTLOOK = {
    "job": "j", "edition": 2, "from": "analyse", "of": 1, "kept_until": None, "files": [], "notices": ["mail"],
    "steps": [{"name": "analyse", "kind": "command", "runs": True, "why": "the rework begins here"}],
    "publishers": [{"name": "s3", "kind": "s3", "replaces": True}],
}  # fmt: skip


class FakeCommands:
    """Moves a job as asked."""

    def __init__(self, move):
        self.move = move

    async def resolve(self, job, *, published, name):
        return self.move(job.id, State.READY, reason=f"{name}: {published}")

    async def resend(self, job, names):
        return self.move(job.id, State.READY, reason=" ".join(names))

    async def retract(self, job):
        return self.move(job.id, State.READY)

    async def cancel(self, job):
        return self.move(job.id, State.CANCELLED)

    async def approve(self, job):
        return self.move(job.id, State.PUBLISHING)

    async def prioritize(self, job, priority):
        return self.move(job.id, job.state, priority=priority)

    async def reject(self, job, reason):
        return self.move(job.id, State.CANCELLED, reason=reason)


class FakeControl:
    """Moves jobs by the model's rules, and does nothing else."""

    def __init__(self, **hub):
        self.store, self.clock, self.hub, self.metrics = ShelfStore(), HeldClock(), Hub(**hub), Metrics()
        self.commands = FakeCommands(self.move)
        self.audits, self.brought, self.etas = [], [], {}
        self.files = None
        self.well, self.paused, self.woken, self.parts = HEALTHY, False, [], {}

    async def health(self):
        return replace(self.well, paused=self.paused)

    async def audit(self, source, pipeline):
        found = [
            audit for audit in self.audits if source in {None, audit.source} and pipeline in {None, audit.pipeline}
        ]
        if not found:
            raise Refused("No such source can list what it has; those that can: uploads.")
        return found

    async def explain(self, job):
        publications, around = await self.store.publications(job.id), Surroundings(paused=self.paused)
        return explain(job, now=self.clock.now(), publications=publications, around=around)

    def eta(self, job_id):
        return self.etas.get(job_id)

    async def submit(self, *, location, name, pipeline, facts, priority, key):
        if pipeline not in {None, "talks"}:
            raise Refused(f"There is no pipeline {pipeline!r}: there is talks.")
        known = next((job for job in self.store.shelf.values() if job.key == key), None)
        if known and known.location != location:
            raise Refused(f"This key stands for another recording, job {known.id}: use another key.")
        if known:
            return known, False
        more = {"key": key} if key else {}
        job = a_job(State.SEEN, location=location, name=name or location, facts=facts, priority=priority, **more)
        self.store.put(job)
        return job, True

    def move(self, job_id, state, **changes):
        job = self.store.shelf[job_id].evolve(state=state, **changes)
        self.store.put(job)
        return job

    async def retry(self, job_id, *, fresh_settings, replace=False):
        return self.move(job_id, State.READY, settings={"fresh": fresh_settings, "replace": replace})

    async def file(self, job, path):
        found = self.files / job.id / path if self.files else None
        return found if found and found.is_file() else None

    async def still(self, job, path, seconds):
        return await self.file(job, f"{path}.jpg")

    async def log(self, job_id, most):
        return "what was said"[-most:], most >= 13

    async def rework(self, job_id, *, step, changes, extra, dry_run):
        if dry_run:
            return self.store.shelf[job_id], OUTLOOK
        return self.move(job_id, State.READY, reason=f"{step}: {changes} {extra}"), None

    async def undo(self, job_id, *, dry_run):
        return (self.store.shelf[job_id], OUTLOOK) if dry_run else (self.move(job_id, State.READY, reason="undo"), None)

    async def pause(self):
        self.paused = True

    async def resume(self):
        self.paused = False

    async def wake(self, source):
        if source not in {None, "recordings"}:
            raise Refused(f"There is no source {source!r}: there is recordings.")
        self.woken.append(source)

    def source_routes(self):
        return self.brought

    def programmes(self):
        return {"talks": "programme"}

    def progress(self):
        return self.parts


@asynccontextmanager
async def open_port(control, *, listen="127.0.0.1:0", tokens=(TOKEN,), heartbeat=15.0):
    """The port and its URL; the socket is `port.path`."""
    with tempfile.TemporaryDirectory(prefix="vidd-") as directory:
        port = Port(control, heartbeat=heartbeat)
        port.path = Path(directory) / "vidd.sock"
        await port.start(listen, port.path, tokens)
        try:
            yield port, f"http://127.0.0.1:{port.address[1]}"
        finally:
            await port.stop()


def free_port():
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return asking.getsockname()[1]
