import asyncio

import pytest
from aiohttp import web
from builders.web import TOKEN, FakeControl, a_job, free_port, open_port
from pydantic import SecretStr

from vidd.cli.api_client import DaemonClient
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.model.event import JobMoved
from vidd.model.job import State


async def test_it_asks_and_acts_through_the_socket():
    control = FakeControl()
    control.store.put(a_job(State.READY), a_job(State.REFUSED))
    async with open_port(control, tokens=()) as (port, _), DaemonClient(socket=port.path) as daemon:
        assert (await daemon.get("/health"))["ok"] is True
        found = await daemon.get("/api/jobs", state="ready", talk=None, limit=5)
        assert [job["state"] for job in found["jobs"]] == ["ready"]
        first = await daemon.post("/api/jobs", {"location": "/in/a.mp4"}, key="k")
        again = await daemon.post("/api/jobs", {"location": "/in/a.mp4"}, key="k")
        assert first["id"] == again["id"]
        assert (await daemon.post("/api/pause"))["paused"] is True


async def test_an_unwell_daemon_still_tells_its_health():
    control = FakeControl()
    control.well = control.well.__class__(ok=False, version="0", since=control.clock.now(), reasons=("full",))
    async with open_port(control) as (port, _), DaemonClient(socket=port.path) as daemon:
        assert (await daemon.get("/health"))["reasons"] == ["full"]


async def test_it_acts_over_tcp_with_a_token_and_not_with_another():
    async with open_port(FakeControl()) as (_, url):
        async with DaemonClient(url=url + "/", token=SecretStr(TOKEN)) as daemon:
            await daemon.post("/api/pause")
        async with DaemonClient(url=url, token="another-token-of-many-letters") as daemon:
            with pytest.raises(Refused, match=r"\[daemon\] tokens"):
                await daemon.post("/api/pause")


async def test_a_problem_is_told_in_the_daemons_words():
    control = FakeControl()
    job = a_job(State.PUBLISHED)
    control.store.put(job)

    async def busy():
        raise RetryLater("The disk is full.", after=7)

    control.pause = busy
    async with open_port(control) as (port, _), DaemonClient(socket=port.path) as daemon:
        with pytest.raises(Refused, match="There is no job 'nope'"):
            await daemon.get("/api/jobs/nope")
        with pytest.raises(Refused, match="published cannot become cancelled"):
            await daemon.post(f"/api/jobs/{job.id}/cancel")
        with pytest.raises(RetryLater, match="The disk is full") as again:
            await daemon.post("/api/pause")
        assert again.value.after == 7


async def test_where_no_daemon_runs_it_says_how_to_start_one(tmp_path):
    for where in ({"socket": tmp_path / "vidd.sock"}, {"url": f"http://127.0.0.1:{free_port()}"}):
        async with DaemonClient(**where) as daemon:
            for asking in (daemon.get("/health"), daemon.post("/api/pause"), anext(daemon.events())):
                with pytest.raises(Refused, match=r"No daemon answers at .*: start it with vidd run"):
                    await asking


@pytest.mark.parametrize("url", ["not an address", "http://", "ftp://127.0.0.1:1"])
async def test_what_is_no_address_is_refused(url):
    async with DaemonClient(url=url) as daemon:
        with pytest.raises(Refused):
            await daemon.get("/health")


async def answering(answer):
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.mark.parametrize(
    ("text", "kind"), [("<html>", "text/html"), ("{", "application/json"), ("[", "application/problem+json")]
)
async def test_somebody_else_at_that_address_is_told_apart(text, kind):
    async def other(_):
        return web.Response(text=text, content_type=kind)

    runner, url = await answering(other)
    async with DaemonClient(url=url) as daemon:
        for asking in (daemon.get("/health"), daemon.post("/api/pause"), anext(daemon.events())):
            with pytest.raises(Refused, match="is not vidd"):
                await asking
    await runner.cleanup()


async def test_an_act_without_an_answer_is_known_to_nobody():
    async def drop(request):
        await request.read()
        request.transport.abort()

    runner, url = await answering(drop)
    async with DaemonClient(url=url) as daemon:
        with pytest.raises(OutcomeUnknown, match="vidd jobs shows whether it acted"):
            await daemon.post("/api/jobs", {"location": "/a"})
        with pytest.raises(RetryLater, match="stopped answering"):
            await daemon.get("/api/jobs")
    await runner.cleanup()


async def test_events_come_as_they_happen_and_end_with_the_daemon():
    control = FakeControl()
    job = a_job(State.WORKING, name="a\nb é")
    async with (
        asyncio.timeout(60),
        open_port(control, heartbeat=0.01) as (port, _),
        DaemonClient(socket=port.path) as daemon,
    ):
        told = []
        async for event in daemon.events():
            told.append(event)
            if event.name == "hello":
                control.hub.observe(JobMoved(job, State.READY))
            else:
                ending = asyncio.create_task(port.stop())
        await ending
    assert [event.name for event in told] == ["hello", "job"]
    assert told[1].data["job"]["name"] == "a\nb é"


async def test_events_go_on_from_where_they_were_left():
    control = FakeControl()
    async with asyncio.timeout(60), open_port(control) as (port, _), DaemonClient(socket=port.path) as daemon:
        following = daemon.events()
        last = (await anext(following)).id
        await following.aclose()
        control.hub.observe(JobMoved(a_job(State.WORKING), State.READY))
        following = daemon.events(last)
        assert (await anext(following)).name == "job"
        await following.aclose()


async def test_a_daemon_that_dies_while_it_is_followed_is_told_so():
    async def die(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"event: hello\ndata: {}\n\nevent: jo")
        request.transport.abort()
        return response

    runner, url = await answering(die)
    async with DaemonClient(url=url) as daemon:
        following = daemon.events()
        assert (await anext(following)).name == "hello"
        with pytest.raises(RetryLater, match="stopped answering"):
            await anext(following)
    await runner.cleanup()


def test_it_needs_one_place_to_ask():
    with pytest.raises(ValueError, match="either"):
        DaemonClient()
