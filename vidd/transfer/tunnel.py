"""A connection through a proxy: to the proxy itself, or by CONNECT to a server behind it (RFC 9110, 9.3.6).

vidd has a CONNECT of its own because a mail server speaks first: its greeting may come in one packet with the proxy's
answer, of which libraries read all. Whatever fails here, nothing was sent to the server.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohappyeyeballs

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, Refused, RetryLater

if TYPE_CHECKING:
    from vidd.transfer.proxy import Proxy

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?:[ \r]|$)")
_LONGEST_ANSWER = 2**16
_BLOCK = 2**16
_TLS_CLOSE = 2.0
"""Seconds for an https proxy to answer the close of TLS; one that is gone never does."""


async def open_tunnel(
    proxy: Proxy, target: tuple[str, int] | None, *, limit: float, trust: ssl.SSLContext | None = None
) -> socket.socket:
    """A socket to `target` (host and port) behind the proxy, or to the proxy itself where that is None.

    `limit` is in seconds, for all of it; `trust` has the authorities of an https proxy, by default the system's. Raises
    RetryLater (PROXY_DOWN) or Refused (PROXY_REFUSED, BAD_SETTINGS).
    """
    try:
        async with asyncio.timeout(limit):
            opened = await _open(proxy, trust)
            if target is not None:
                try:
                    await _connect(opened, proxy, target)
                except BaseException:
                    opened.close()
                    raise
            return opened
    except TimeoutError:
        raise _down(proxy, f"does not answer within {limit:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise Refused(
            f"The certificate of the proxy {proxy.name} is not trusted ({error.verify_message}): correct its address, or "
            "name its authority with `ca` of the account.",
            code=FaultCode.BAD_SETTINGS,
        ) from error
    except ssl.SSLError as error:
        raise Refused(
            f"The proxy {proxy.name} does not speak TLS as asked: write http:// if it speaks none.",
            code=FaultCode.BAD_SETTINGS,
        ) from error
    except OSError as error:
        # asyncio has words of its own for a refused connection, with the address in them.
        number = error.errno or 0
        known = os.strerror(number) if number > 0 else error.strerror
        raise _down(proxy, f"cannot be reached ({printable(known or str(error), 120)})") from error


def login_fault(proxy: Proxy) -> Refused:
    """The proxy asks for a login (407)."""
    if proxy.login is None:
        asked = "asks for a login (407): write user and password into its address, http://user:password@host:port"
    else:
        asked = "does not accept its login (407): correct user and password in its address"
    return Refused(f"The proxy {proxy.name} {asked}.", code=FaultCode.PROXY_REFUSED)


def _down(proxy: Proxy, why: str) -> RetryLater:
    return RetryLater(f"The proxy {proxy.name} {why}; vidd will retry.", code=FaultCode.PROXY_DOWN)


def _fault_of_status(status: int, proxy: Proxy, target: str) -> Fault:
    if status == 407:
        return login_fault(proxy)
    if status in {408, 425, 429} or status >= 500:
        return _down(proxy, f"answered {status} when vidd asked it for {target}")
    return Refused(
        f"The proxy {proxy.name} does not let vidd connect to {target} ({status}): allow it there, or go past the proxy "
        'with NO_PROXY or with `proxy = "none"` of the account.',
        code=FaultCode.PROXY_REFUSED,
    )


async def _open(proxy: Proxy, trust: ssl.SSLContext | None) -> socket.socket:
    host, port = proxy.url.raw_host or "", proxy.url.port or 0
    addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    opened = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=0.25)
    if proxy.url.scheme == "http":
        return opened
    context = trust if trust is not None else await asyncio.to_thread(ssl.create_default_context)
    return await _wrap_in_tls(opened, context, host)


async def _connect(opened: socket.socket, proxy: Proxy, target: tuple[str, int]) -> None:
    loop = asyncio.get_running_loop()
    host, port = target
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = {"Host": authority, "User-Agent": "vidd", **proxy.headers}
    lines = [f"CONNECT {authority} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    await loop.sock_sendall(opened, "\r\n".join([*lines, "", ""]).encode())
    answer = bytearray()
    # One byte too many would be the first of the server's.
    while not answer.endswith(b"\r\n\r\n"):
        byte = await loop.sock_recv(opened, 1)
        answer += byte
        if not byte or len(answer) > _LONGEST_ANSWER:
            raise _down(proxy, f"gave no answer that can be read when vidd asked it for {authority}")
    found = _STATUS.match(answer)
    if found is None:
        raise _down(proxy, f"gave no answer that can be read when vidd asked it for {authority}")
    if not 200 <= (status := int(found[1])) < 300:
        raise _fault_of_status(status, proxy, authority)


class _RelayedSocket(socket.socket):
    """One end of a pair of sockets; it keeps the task that copies between the other end and the proxy alive."""

    relay: asyncio.Task[None]


async def _wrap_in_tls(opened: socket.socket, context: ssl.SSLContext, host: str) -> socket.socket:
    """A plain socket to the other end of TLS: who takes it speaks TLS of its own over it, or takes sockets only."""
    far_reader, far = await asyncio.open_connection(
        sock=opened, ssl=context, server_hostname=host, ssl_shutdown_timeout=_TLS_CLOSE
    )
    ours, theirs = socket.socketpair()
    near_reader, near = await asyncio.open_connection(sock=theirs)
    relayed = _RelayedSocket(fileno=ours.detach())
    relayed.setblocking(False)
    relayed.relay = asyncio.create_task(_relay((near_reader, far), (far_reader, near)), name="https proxy")
    return relayed


async def _relay(*directions: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    copies = [asyncio.create_task(_copy(reader, writer)) for reader, writer in directions]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        for _, writer in directions:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
