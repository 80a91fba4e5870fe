import asyncio
import json
from dataclasses import replace

import aiohttp
from builders.web import HEALTHY, NOON, FakeControl, a_job, open_port

from vidd.model.job import State
from vidd.web.control_port import Ffmpeg, Watcher
from vidd.web.job_counts import JobCounter


async def read(url):
    async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as response:
        return response.status, json.loads(await response.text())


async def test_a_well_daemon_says_200_and_what_it_is_doing():
    control = FakeControl()
    control.store.put(a_job(State.WORKING), a_job(State.WAITING), a_job(State.WAITING, pipeline="cms"))
    control.store.put(a_job(State.PUBLISHED, reason="Published, but not told: mail: no."))
    control.well = replace(HEALTHY, queue=3, running=1)
    async with open_port(control) as (_, url):
        status, health = await read(url)
    assert status == 200
    assert health == {
        "ok": True,
        "reasons": [],
        "version": "0.1.0",
        "since": "2026-11-21T12:00:00.000Z",
        "paused": False,
        "queue": 3,
        "running": 1,
        "queue_eta": None,
        "jobs": {"working": 1, "waiting": 2, "published": 1},
        "incomplete": 1,
        "watchers": {
            "recordings": {
                "kind": "folder",
                "up": True,
                "restarts": 0,
                "last_event": "2026-11-21T12:00:00.000Z",
                "reason": None,
                "note": None,
            }
        },
        "disk_free": 5_000_000_000,
        "slots": {"encodes": {"size": 3, "used": 1, "waiting": 0}},
        "ffmpeg": {"version": "7.1", "missing": []},
    }


async def test_an_unwell_daemon_says_503_and_why():
    control = FakeControl()
    control.well = replace(
        HEALTHY,
        ok=False,
        reasons=("ffmpeg has no libvmaf: install another.", "The source sqs is down: connection refused."),
        watchers={"sqs": Watcher("sqs", "sqs", up=False, restarts=3, reason="connection refused")},
        ffmpeg=Ffmpeg("7.1", ("libvmaf",)),
    )
    async with open_port(control) as (_, url):
        status, health = await read(url)
    assert status == 503
    assert health["reasons"] == list(control.well.reasons)
    assert health["watchers"]["sqs"]["restarts"] == 3
    assert health["ffmpeg"]["missing"] == ["libvmaf"]


async def test_asking_often_counts_the_jobs_once_a_second():
    control, time = FakeControl(), [0.0]
    counting = JobCounter(control.store, monotonic=lambda: time[0])
    for _ in range(100):
        await counting.count()
    assert control.store.counted == 1
    control.store.put(a_job(State.READY))
    time[0] = 1.5
    assert (await counting.count()).counts == {("talks", State.READY): 1}
    assert (await counting.count()).oldest == NOON


async def test_while_the_jobs_are_counted_others_get_the_count_before():
    control, time, may = FakeControl(), [0.0], asyncio.Event()
    control.store.put(a_job(State.READY))
    counting = JobCounter(control.store, monotonic=lambda: time[0])
    before = await counting.count()

    async def slow():
        await may.wait()
        return {}

    control.store.counts = slow
    time[0] = 5.0
    counter = asyncio.create_task(counting.count())
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        assert await counting.count() is before
    may.set()
    assert (await counter).counts == {}


async def test_the_port_is_alive_whatever_the_health():
    control = FakeControl()
    control.well = replace(HEALTHY, ok=False, reasons=("The disk is full.",))
    control.store.trouble = "MongoDB has no primary."
    async with (
        open_port(control, listen="0.0.0.0:0") as (_, url),
        aiohttp.ClientSession() as session,
        session.get(f"{url}/livez") as response,
    ):
        assert (response.status, await response.json()) == (200, {"ok": True})
