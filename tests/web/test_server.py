import asyncio
import json
import socket
import stat

import aiohttp
import pytest
from builders.web import TOKEN, FakeControl, a_job, free_port, open_port

from vidd.errors import Refused
from vidd.model.job import State
from vidd.web.auth import AccessRules, Listen, parse_listen
from vidd.web.server import Port

MEANT = {"Authorization": f"Bearer {TOKEN}"}


async def status_of(url, method="GET", **more):
    async with aiohttp.ClientSession() as session, session.request(method, url, **more) as response:
        return response.status, json.loads(await response.text()) if "json" in response.content_type else None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (MEANT, 200),
        ({"Authorization": f"bearer {TOKEN}"}, 200),
        ({}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"Authorization": "Bearer ä"}, 401),
    ],
)
async def test_acting_over_tcp_takes_a_token(headers, status):
    async with open_port(FakeControl()) as (_, url):
        assert (await status_of(f"{url}/api/pause", "POST", headers=headers))[0] == status


async def test_acting_over_tcp_without_any_token_set_is_refused_with_the_way_out():
    control = FakeControl()
    async with open_port(control, tokens=()) as (_, url):
        status, problem = await status_of(f"{url}/api/pause", "POST")
        assert status == 403
        assert "socket" in problem["detail"]
        assert "[daemon] tokens" in problem["detail"]
        assert control.paused is False
        assert (await status_of(f"{url}/api/jobs"))[0] == 200


async def test_acting_through_the_socket_takes_no_token():
    control = FakeControl()
    async with open_port(control, tokens=()) as (port, _):
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(port.path))) as session,
            session.post("http://anything/api/pause") as response,
        ):
            assert response.status == 200
        assert control.paused is True


async def test_where_others_can_reach_it_reading_takes_a_token_and_health_does_not():
    async with open_port(FakeControl(), listen="0.0.0.0:0") as (_, url):
        found = {}
        for path in (
            "/health",
            "/livez",
            "/",
            "/page.js",
            "/api/openapi.json",
            "/api/jobs",
            "/metrics",
            "/api/events",
            "/none",
        ):
            found[path] = (await status_of(url + path))[0]
        assert found == {
            "/health": 200,
            "/livez": 200,
            "/": 401,
            "/page.js": 200,
            "/api/openapi.json": 200,
            "/api/jobs": 401,
            "/metrics": 401,
            "/api/events": 401,
            "/none": 401,
        }
        assert (await status_of(f"{url}/api/jobs", headers=MEANT))[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8080", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8080", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
async def test_a_page_of_another_name_that_points_here_reads_nothing(host, status):
    async with open_port(FakeControl()) as (_, url):
        for path in ("/api/jobs", "/health", "/"):
            found = await status_of(url + path, headers={"Host": host}, skip_auto_headers=["Host"])
            assert found[0] == status, path
        with_token = await status_of(f"{url}/api/jobs", headers={"Host": host or "x", **MEANT})
        assert with_token[0] == 200


def test_it_does_not_listen_where_others_reach_it_without_a_token():
    with pytest.raises(Refused, match="add \\[daemon\\] tokens"):
        AccessRules(Listen("0.0.0.0", 8080), ())
    with pytest.raises(Refused, match="add \\[daemon\\] tokens"):
        AccessRules(Listen("media.example", 8080), ())
    with pytest.raises(Refused, match="openssl rand"):
        AccessRules(Listen("127.0.0.1", 8080), ("short",))


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("127.0.0.1:8080", Listen("127.0.0.1", 8080)),
        ("[::1]:80", Listen("::1", 80)),
        ("media.example:0", Listen("media.example", 0)),
    ],
)
def test_an_address_to_listen_on_is_host_and_port(text, listen):
    assert parse_listen(text) == listen


@pytest.mark.parametrize("text", ["", "8080", ":8080", "127.0.0.1", "127.0.0.1:x", "1.2.3.4:99999", "::1:80:", "a:1/b"])
def test_what_is_no_address_is_refused_with_an_example(text):
    with pytest.raises(Refused, match=r"127\.0\.0\.1:8080"):
        parse_listen(text)


async def test_the_socket_is_for_its_user_and_group_and_goes_away_with_the_port():
    async with open_port(FakeControl()) as (port, _):
        assert stat.S_IMODE(port.path.stat().st_mode) == 0o660
        assert stat.S_ISSOCK(port.path.stat().st_mode)
    assert not port.path.exists()


async def test_a_socket_left_behind_is_replaced(tmp_path):
    path = tmp_path / "vidd.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    port = Port(FakeControl())
    await port.start(None, path)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://x/health") as response,
    ):
        assert response.status == 200
    await port.stop()


async def test_a_socket_that_somebody_answers_on_is_left_alone(tmp_path):
    first, second = Port(FakeControl()), Port(FakeControl())
    await first.start(None, tmp_path / "vidd.sock")
    with pytest.raises(Refused, match="Another vidd listens"):
        await second.start("127.0.0.1:0", tmp_path / "vidd.sock")
    assert second.address is None
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(tmp_path / "vidd.sock"))) as session,
        session.get("http://x/health") as response,
    ):
        assert response.status == 200
    await first.stop()


async def test_a_file_in_the_sockets_place_is_not_removed(tmp_path):
    path = tmp_path / "vidd.sock"
    path.write_text("mine")
    with pytest.raises(Refused, match="is not a socket"):
        await Port(FakeControl()).start(None, path)
    assert path.read_text() == "mine"


async def test_a_socket_path_that_is_too_long_is_refused_with_a_sentence(tmp_path):
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with pytest.raises(Refused, match="shorter"):
        await Port(FakeControl()).start(None, deep / "vidd.sock")


async def test_an_address_in_use_is_refused_and_leaves_no_socket(tmp_path):
    taken = free_port()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        with pytest.raises(Refused, match="something else listens there"):
            await Port(FakeControl()).start(f"127.0.0.1:{taken}", tmp_path / "vidd.sock")
    assert list(tmp_path.iterdir()) == []


async def test_stopping_ends_streams_at_once_and_lets_an_answer_out():
    control = FakeControl()
    asked, may = asyncio.Event(), asyncio.Event()

    async def slow(*_):
        asked.set()
        await may.wait()
        return []

    control.store.page = slow
    control.store.put(a_job(State.READY))
    async with aiohttp.ClientSession() as session, open_port(control) as (port, url), asyncio.timeout(60):
        stream = await session.get(f"{url}/api/events")
        answer = asyncio.create_task(session.get(f"{url}/api/jobs"))
        await asked.wait()
        stopping = asyncio.create_task(port.stop())
        while await stream.content.readline():
            pass
        assert not stopping.done()
        may.set()
        assert (await answer).status == 200
        await stopping
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{url}/health")
