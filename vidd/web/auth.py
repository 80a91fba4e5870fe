"""Who may ask. The socket's file permissions speak for whoever comes through it; over TCP a bearer token does.

On a loopback address reading is free, for names that cannot be somebody else's (DNS rebinding); acting always takes
a token, since any page in a browser on this machine can post there.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from vidd.errors import Refused
from vidd.web.problem import Do, Problem

OPEN: web.AppKey[set[Do]] = web.AppKey("open")


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on; port 0 is any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_listen(text: str) -> Listen:
    """`127.0.0.1:8080`, `[::1]:8080` or `name:8080`; Refused for anything else."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.path or parts.username or parts.query:
        raise Refused(f"The address {text!r} is no host:port: write it like 127.0.0.1:8080 in [daemon] listen.")
    return Listen(host, port)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Door:
    """The rules for one listening address. Refused where others could reach it and there is no token to ask for."""

    def __init__(self, listen: Listen, tokens: Sequence[str]) -> None:
        if any(len(token.strip()) < 16 for token in tokens):
            raise Refused(
                "A token in [daemon] tokens is shorter than 16 characters: make one with openssl rand -hex 32."
            )
        if not listen.loopback and not tokens:
            raise Refused(
                f"Other machines can reach {listen.host}: add [daemon] tokens, or listen on 127.0.0.1, "
                "before vidd can start."
            )
        self._tokens = [_digest(token) for token in tokens]
        self._loopback = listen.loopback
        self._hosts = {listen.host.lower(), "localhost", socket.gethostname().lower()}

    def knows(self, authorization: str | None) -> bool:
        """Whether this is one of the tokens; it takes the same time for all of them."""
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip())
        found = [hmac.compare_digest(given, known) for known in self._tokens]
        return scheme.lower() == "bearer" and any(found)

    def is_called(self, host: str) -> bool:
        """Whether a Host header names this address: a known name, or a number, which nobody can rebind."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name.lower() in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def ask(self, request: web.Request, *, is_open: bool) -> None:
        """Let a request in, or raise the Problem that says why not."""
        if self.knows(request.headers.get("Authorization")):
            return
        host = request.headers.get("Host")
        if host is not None and not self.is_called(host):
            raise Problem(421, f"This daemon is not called {host!r}: use its address, or send a token.")
        reads = request.method in {"GET", "HEAD"}
        if is_open or (reads and self._loopback):
            return
        if not self._tokens:
            raise Problem(
                403,
                "Over TCP this takes a token, and none is set: use the socket in the state directory, as the vidd "
                "command does, or set [daemon] tokens.",
            )
        raise Problem(
            401,
            "This takes one of the tokens of [daemon] tokens: send it as Authorization: Bearer TOKEN.",
            headers={"WWW-Authenticate": 'Bearer realm="vidd"'},
        )


DOOR: web.AppKey[Door] = web.AppKey("door")


def _through_socket(request: web.Request) -> bool:
    its = request.transport.get_extra_info("socket") if request.transport else None
    return its is not None and its.family == socket.AF_UNIX


def admitted(request: web.Request, *, is_open: bool) -> None:
    """Ask at the door, unless the request came through the socket."""
    if not _through_socket(request):
        request.app[DOOR].ask(request, is_open=is_open)


@web.middleware
async def guard(request: web.Request, handler: Do) -> web.StreamResponse:
    """Let nobody in who may not ask this."""
    admitted(request, is_open=request.match_info.handler in request.app[OPEN])
    return await handler(request)
