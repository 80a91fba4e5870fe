"""Proxies that are down, refuse, or answer what they please: each fault names the proxy, and nothing was sent."""

import asyncio
import gc
from contextlib import asynccontextmanager

import pytest
from peers.certificates import make_certificate
from peers.servers import free_port
from pydantic import SecretStr

from vidd.errors import FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.transfer.http import map_errors, never_sent, session, ssl_context
from vidd.transfer.proxy import parse_proxy
from vidd.transfer.tunnel import open_tunnel

FAR = ("far.test", 443)


@asynccontextmanager
async def answering(answer, *, tls=None, hold=None):
    """A proxy that answers each request with these bytes; the address, and the requests that came."""
    requests = []
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        try:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        if hold is not None:
            await hold.wait()
        writer.write(answer)
        if not answer.startswith(b"HTTP/1.1 200"):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


def proxy_at(port, login="", scheme="http"):
    return parse_proxy(f"{scheme}://{login}127.0.0.1:{port}", "HTTPS_PROXY")


@pytest.mark.parametrize(
    ("answer", "fate", "code", "words"),
    [
        (b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n\r\n", Refused, FaultCode.PROXY_REFUSED, "asks for a login"),
        (b"HTTP/1.1 403 No\r\n\r\n<html>no</html>", Refused, FaultCode.PROXY_REFUSED, "does not let vidd connect to far.test:443"),
        (b"HTTP/1.0 405 No\r\n\r\n", Refused, FaultCode.PROXY_REFUSED, "405"),
        (b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\n\r\n<html>", RetryLater, FaultCode.PROXY_DOWN, "502"),
        (b"HTTP/1.1 503 Bad\r\n\r\n", RetryLater, FaultCode.PROXY_DOWN, "503"),
        (b"HTTP/1.1 429 Slowly\r\n\r\n", RetryLater, FaultCode.PROXY_DOWN, "429"),
        (b"", RetryLater, FaultCode.PROXY_DOWN, "no answer that can be read"),
        (b"HTTP/1.1 200", RetryLater, FaultCode.PROXY_DOWN, "does not answer"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", RetryLater, FaultCode.PROXY_DOWN, "no answer that can be read"),
        (b"HTTP/1.1 x" + b"y" * 70000, RetryLater, FaultCode.PROXY_DOWN, "no answer that can be read"),
    ],
)  # fmt: skip
async def test_what_a_proxy_answers_decides_the_fate(answer, fate, code, words):
    async with answering(answer) as (port, _):
        with pytest.raises(fate, match=words) as caught:
            await open_tunnel(proxy_at(port), FAR, limit=0.5)
    assert caught.value.code is code
    assert f"http://127.0.0.1:{port} of HTTPS_PROXY" in caught.value.sentence


async def test_a_wrong_login_is_told_from_a_missing_one_and_is_shown_nowhere():
    async with answering(b"HTTP/1.1 407 Who\r\n\r\n") as (port, requests):
        with pytest.raises(Refused, match="does not accept its login") as caught:
            await open_tunnel(proxy_at(port, "lab:s3cr3t@"), FAR, limit=5)
    assert b"Proxy-Authorization: Basic bGFiOnMzY3IzdA==\r\n" in requests[0]
    assert "s3cr3t" not in caught.value.sentence


async def test_a_proxy_that_is_down_is_named_and_the_server_is_not():
    port = free_port()
    with pytest.raises(
        RetryLater, match=rf"127.0.0.1:{port} of HTTPS_PROXY cannot be reached \(Connection refused\)"
    ) as caught:
        await open_tunnel(proxy_at(port), FAR, limit=5)
    assert "far.test" not in caught.value.sentence
    assert caught.value.code is FaultCode.PROXY_DOWN


async def test_a_proxy_whose_name_nobody_knows_is_down(monkeypatch):
    async def resolve(*_, **__):
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(RetryLater, match=r"http://gone.test:1 .* \(Name or service not known\)"):
        await open_tunnel(parse_proxy("gone.test:1", "the account"), FAR, limit=5)


async def test_a_proxy_that_never_answers_is_given_up_after_the_limit():
    hold = asyncio.Event()
    async with answering(b"", hold=hold) as (port, requests):
        with pytest.raises(RetryLater, match=r"does not answer within 0\.2 s"):
            await open_tunnel(proxy_at(port), FAR, limit=0.2)
        hold.set()
    assert requests[0].startswith(b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n")


async def test_the_first_bytes_of_a_server_that_speaks_first_are_not_lost():
    async with answering(b"HTTP/1.1 200 Connected\r\nVia: lab\r\n\r\n220 mx ready\r\n") as (port, _):
        opened = await open_tunnel(proxy_at(port), ("mx.test", 25), limit=5)
        with opened:
            assert await asyncio.get_running_loop().sock_recv(opened, 100) == b"220 mx ready\r\n"


async def test_an_address_of_version_6_is_asked_for_in_brackets():
    async with answering(b"HTTP/1.1 200 ok\r\n\r\n") as (port, requests):
        (await open_tunnel(proxy_at(port), ("2001:db8::7", 443), limit=5)).close()
    assert requests[0].startswith(b"CONNECT [2001:db8::7]:443 HTTP/1.1\r\n")


async def test_an_https_proxy_is_spoken_to_in_tls_and_its_certificate_is_checked(tmp_path):
    certificate = make_certificate(tmp_path)
    trust = ssl_context(certificate.file)
    async with answering(b"HTTP/1.1 200 ok\r\n\r\n220 mx ready\r\n", tls=certificate.server()) as (port, _):
        proxy = proxy_at(port, scheme="https")
        opened = await open_tunnel(proxy, FAR, limit=5, trust=trust)
        gc.collect()
        with opened:
            assert await asyncio.get_running_loop().sock_recv(opened, 100) == b"220 mx ready\r\n"
        with pytest.raises(Refused, match=r"certificate of the proxy .* is not trusted"):
            await open_tunnel(proxy, FAR, limit=5)
        plain = proxy_at(port)
        with pytest.raises(RetryLater):
            await open_tunnel(plain, FAR, limit=0.5)
    async with answering(b"no TLS at all\r\n\r\n") as (port, _):
        with pytest.raises((Refused, RetryLater), match=f"https://127.0.0.1:{port}"):
            await open_tunnel(proxy_at(port, scheme="https"), FAR, limit=0.5, trust=trust)


@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
async def test_a_request_that_never_left_is_told_from_one_that_did(scheme):
    option = SecretStr(f"http://127.0.0.1:{free_port()}")
    async with session(option) as web:
        ask = web.ws_connect if scheme.startswith("w") else web.post
        with pytest.raises(RetryLater) as caught, map_errors("asking"):
            await ask(f"{scheme}://far.test/")
    assert never_sent(caught.value)


async def test_a_proxy_that_hangs_up_in_place_of_an_answer_to_connect_means_that_nothing_was_sent():
    async with answering(b"") as (port, requests), session(SecretStr(f"http://127.0.0.1:{port}")) as web:
        with pytest.raises(RetryLater) as caught, map_errors("asking"):
            await web.post("https://far.test/", data=b"once")
    assert never_sent(caught.value)
    assert len(requests) == 1
    assert b"once" not in requests[0]


async def test_a_proxy_that_hangs_up_on_a_request_without_tls_may_have_passed_it_on():
    async with answering(b"") as (port, requests), session(SecretStr(f"http://127.0.0.1:{port}")) as web:
        with pytest.raises(RetryLater) as caught, map_errors("asking"):
            await web.post("http://far.test/x?y=1", data=b"once")
    assert not never_sent(caught.value)
    assert requests[0].startswith(b"POST http://far.test/x?y=1 HTTP/1.1\r\n")


async def test_every_request_without_tls_carries_the_login_and_a_407_is_the_proxys():
    async with answering(b"HTTP/1.1 200 ok\r\nContent-Length: 0\r\n\r\n") as (port, requests):
        async with session(SecretStr(f"http://lab:s3cr3t@127.0.0.1:{port}")) as web:
            await web.get("http://far.test/1")
        async with session() as web:
            await web.get(f"http://127.0.0.1:{port}/2")
    assert [b"Proxy-Authorization: Basic bGFiOnMzY3IzdA==" in request for request in requests] == [True, False]
    async with (
        answering(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n") as (port, _),
        session(SecretStr(f"http://127.0.0.1:{port}")) as web,
    ):
        with pytest.raises(Refused, match="asks for a login"):
            await web.get("http://far.test/1")


def test_an_unknown_outcome_is_no_fault_of_a_proxy():
    assert not never_sent(OutcomeUnknown("No answer came."))
