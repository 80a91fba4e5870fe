"""The port while the store is away."""

import asyncio

import aiohttp
from builders.web import FakeControl, a_job, open_port

from vidd.errors import RetryLater
from vidd.model.job import State

AWAY = "MongoDB cannot be reached for saving; it is tried again."


async def read(url, path):
    async with aiohttp.ClientSession() as session, session.get(f"{url}{path}") as response:
        return response.status, response.headers, await response.json(content_type=None)


async def test_who_asks_for_jobs_hears_at_once_that_the_store_is_away():
    control = FakeControl()
    control.store.put(a_job(State.WORKING))
    async with open_port(control) as (_, url):
        assert (await read(url, "/api/jobs"))[0] == 200
        control.store.trouble = AWAY
        status, headers, problem = await read(url, "/api/jobs")
        assert (status, problem["detail"]) == (503, f"The store is away: {AWAY}")
        assert int(headers["Retry-After"]) > 0
        control.store.trouble = None
        assert (await read(url, "/api/jobs"))[0] == 200


async def test_how_the_daemon_is_can_be_asked_with_the_numbers_of_before():
    control = FakeControl()
    control.store.put(a_job(State.WORKING))
    async with open_port(control) as (_, url):
        assert (await read(url, "/health"))[2]["jobs"] == {"working": 1}
        control.store.trouble = AWAY
        assert (await read(url, "/health"))[2]["jobs"] == {"working": 1}


async def test_how_the_daemon_is_can_be_asked_before_anything_was_counted():
    control = FakeControl()

    async def counts():
        raise RetryLater(AWAY, counts=False)

    control.store.counts = counts
    async with open_port(control) as (_, url):
        assert (await read(url, "/health"))[2]["jobs"] == {}


async def test_how_the_daemon_is_can_be_asked_while_a_count_gets_no_answer(monkeypatch):
    monkeypatch.setattr("vidd.web.job_counts._TIMEOUT", 0.05)
    control = FakeControl()
    control.store.put(a_job(State.WORKING))
    async with open_port(control) as (_, url):
        assert (await read(url, "/health"))[2]["jobs"] == {"working": 1}

        async def counts():
            await asyncio.Event().wait()

        control.store.counts = counts
        monkeypatch.setattr("vidd.web.job_counts._MAX_AGE", 0)
        async with asyncio.timeout(60):
            assert (await read(url, "/health"))[2]["jobs"] == {"working": 1}
