import asyncio
import json

import aiohttp
import pytest
from builders.web import FakeControl, a_job, open_port

from vidd.errors import RetryLater
from vidd.model.event import BytesMoved, JobMoved, Progressed, StepEnded, WatcherMoved
from vidd.model.job import State
from vidd.web.event_hub import Ended, Hub


def parse(raw):
    fields = {}
    for line in raw.decode().splitlines():
        name, _, value = line.partition(": ")
        fields[name] = value
    return fields


async def one(stream):
    """The next message that is no comment and no retry line."""
    async with asyncio.timeout(60):
        while True:
            message = parse(await stream.content.readuntil(b"\n\n"))
            if "event" in message:
                return message["event"], json.loads(message["data"]), message.get("id")


async def until_cut(stream):
    while True:
        await one(stream)


async def test_a_move_is_told_as_it_happens():
    control = FakeControl()
    async with (
        open_port(control) as (_, url),
        aiohttp.ClientSession(url) as session,
        session.get("/api/events") as stream,
    ):
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert (await one(stream))[0] == "hello"
        job = a_job(State.WORKING, name="line\none </script>")
        control.hub.observe(JobMoved(job, State.READY))
        name, data, number = await one(stream)
        assert (name, data["before"], data["job"]["name"]) == ("job", "ready", "line\none </script>")
        assert number


async def test_who_comes_back_is_told_what_was_missed():
    control = FakeControl()
    first, second, third = (a_job(State.WORKING) for _ in range(3))
    async with open_port(control) as (_, url), aiohttp.ClientSession(url) as session:
        async with session.get("/api/events") as stream:
            await one(stream)
            control.hub.observe(JobMoved(first, State.READY))
            *_, last = await one(stream)
        control.hub.observe(JobMoved(second, State.READY))
        control.hub.observe(Progressed(second.id, "trim", 1.0, 2.0, "s"))
        control.hub.observe(JobMoved(third, State.READY))
        async with session.get("/api/events", headers={"Last-Event-ID": last}) as stream:
            told = [(await one(stream))[1]["job"]["id"] for _ in range(2)]
    assert told == [second.id, third.id]


@pytest.mark.parametrize("last", ["0badcafe-7", "0badcafe-0", "nonsense", "x" * 5000])
async def test_who_comes_back_too_late_is_told_to_read_everything_again(last):
    control = FakeControl()
    async with (
        open_port(control) as (_, url),
        aiohttp.ClientSession(url) as session,
        session.get("/api/events", headers={"Last-Event-ID": last}) as stream,
    ):
        assert (await one(stream))[0] == "reset"


async def test_a_message_that_fell_out_of_the_ring_is_answered_with_reset():
    hub = Hub(ring=3)
    with hub.subscribe() as listener:
        hub.observe(JobMoved(a_job(State.WORKING), State.READY))
        await listener.next(1)
        old = (await listener.next(1)).id
    told = []
    for _ in range(4):
        hub.observe(JobMoved(a_job(State.WORKING), State.READY))
        with hub.subscribe(old) as listener:
            told.append((await listener.next(1)).name)
    assert told == ["job", "job", "job", "reset"]


async def test_silence_is_kept_alive_with_comments():
    async with (
        open_port(FakeControl(), heartbeat=0.01) as (_, url),
        aiohttp.ClientSession(url) as session,
        session.get("/api/events") as stream,
        asyncio.timeout(60),
    ):
        while await stream.content.readline() != b": nothing new\n":
            pass


async def test_a_listener_that_does_not_read_is_cut_off_and_the_others_are_not():
    control = FakeControl(depth=8)
    async with open_port(control) as (_, url), aiohttp.ClientSession(url, read_bufsize=1024) as session:
        slow = await session.get("/api/events")
        await one(slow)
        for _ in range(200):
            control.hub.observe(JobMoved(a_job(State.WORKING, name="n" * 4096), State.READY))
        async with session.get("/api/events") as quick:
            await one(quick)
            control.hub.observe(JobMoved(a_job(State.WORKING, name="after"), State.READY))
            assert (await one(quick))[1]["job"]["name"] == "after"
        with pytest.raises((aiohttp.ClientError, asyncio.IncompleteReadError)):
            await until_cut(slow)


async def test_a_full_queue_holds_no_more_than_its_depth():
    hub = Hub(depth=4)
    listener = hub.subscribe()
    for _ in range(50):
        hub.observe(JobMoved(a_job(State.WORKING), State.READY))
    assert listener.ended
    assert len(listener._waiting) == 0
    with pytest.raises(Ended):
        await listener.next(1)


async def test_seats_are_bounded_and_given_back():
    hub = Hub(seats=1)
    with hub.subscribe(), pytest.raises(RetryLater, match="end one of them"):
        hub.subscribe()
    with hub.subscribe():
        pass


async def test_progress_is_told_at_most_four_times_a_second_and_its_end_always():
    time = [100.0]
    hub = Hub(monotonic=lambda: time[0])
    with hub.subscribe() as listener:
        await listener.next(1)
        for done in range(1, 10):
            hub.observe(Progressed("j", "trim", done, 9.0, "s"))
            time[0] += 0.1
        told = []
        while event := await listener.next(0.01):
            told.append(event.data()["done"])
            assert event.id is None
    assert told == [1, 4, 7, 9]


async def test_what_nobody_follows_is_not_told():
    hub = Hub()
    with hub.subscribe() as listener:
        await listener.next(1)
        hub.observe(BytesMoved("s3", "upload", 10))
        hub.observe(StepEnded("j", "talks", "trim", "trim", 1.0, "done"))
        hub.observe(WatcherMoved("recordings", "folder", up=False, restarts=0, reason="gone"))
        assert [(await listener.next(1)).name for _ in range(2)] == ["step", "watcher"]


async def test_a_pause_is_told_to_whoever_follows():
    control = FakeControl()
    async with (
        open_port(control) as (port, url),
        aiohttp.ClientSession(url) as session,
        session.get("/api/events") as stream,
    ):
        await one(stream)
        connector = aiohttp.UnixConnector(str(port.path))
        async with aiohttp.ClientSession(connector=connector) as acting:
            await (await acting.post("http://x/api/pause")).read()
        assert (await one(stream))[:2] == ("daemon", {"paused": True})
