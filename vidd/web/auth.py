"""Access to the port: by the socket's file permissions, or over TCP by a bearer token or by a person's session.

On a loopback address GET needs neither, if the Host header names this machine (against DNS rebinding); POST always
needs one, since any page in a browser on this machine can post there.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote, urlsplit

from aiohttp import web

from vidd.errors import Refused, RetryLater
from vidd.web.problem import Handler, Problem
from vidd.web.session import SESSION, Session, read_session, session_of

OPEN: web.AppKey[set[Handler]] = web.AppKey("open")


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
    """Parse `127.0.0.1:8080`, `[::1]:8080` or `name:8080`. Refused for anything else."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.path or parts.username or parts.query:
        raise Refused(f"The address {text!r} is not host:port: write it like 127.0.0.1:8080 in [daemon] listen.")
    return Listen(host, port)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class AccessRules:
    """The rules for a listening address. Refused if other machines could reach it and there is no token."""

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

    def has_token(self, authorization: str | None) -> bool:
        """Whether the header has one of the tokens, compared in constant time."""
        scheme, _, token = (authorization or "").partition(" ")
        digest = _digest(token.strip())
        found = [hmac.compare_digest(digest, known) for known in self._tokens]
        return scheme.lower() == "bearer" and any(found)

    def is_own_name(self, host: str) -> bool:
        """Whether a Host header names this machine: by a known name, or by an IP address, which nobody can rebind."""
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

    def check(self, request: web.Request, *, is_open: bool) -> None:
        """Raise the Problem that says why a request is not allowed; return if it is."""
        if self.has_token(request.headers.get("Authorization")):
            return
        host = request.headers.get("Host")
        if host is not None and not self.is_own_name(host):
            raise Problem(421, f"This daemon is not called {host!r}: use its address, or send a token.")
        reads = request.method in {"GET", "HEAD"}
        if is_open or session_of(request) is not None or (reads and self._loopback):
            return
        if not self._tokens:
            raise Problem(
                403,
                "Authentication required, and no token is set: `vidd page` prints a link that signs a person in; programs "
                "use the socket in the state directory, as the vidd command does, or a token of `[daemon] tokens`.",
            )
        raise Problem(
            401,
            "Authentication required: send `Authorization: Bearer <token>` with a token from `[daemon] tokens`.",
            headers={"WWW-Authenticate": 'Bearer realm="vidd"'},
        )


ACCESS: web.AppKey[AccessRules] = web.AppKey("access")


def _through_socket(request: web.Request) -> bool:
    connection = request.transport.get_extra_info("socket") if request.transport else None
    return connection is not None and connection.family == socket.AF_UNIX


def check_access(request: web.Request, *, is_open: bool) -> None:
    """Apply the access rules, unless the request came through the socket. Raises Problem."""
    if not _through_socket(request):
        request.app[ACCESS].check(request, is_open=is_open)


@web.middleware
async def require_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request only if the access rules allow it. A browser that needs a session is sent to sign in."""
    is_open = request.match_info.handler in request.app[OPEN]
    if not _has_other_access(request) and not (is_open and request.method == "POST"):
        request[SESSION] = await _session(request, is_open=is_open)
        if session_of(request) is None and _came_from_elsewhere(request):
            return _load_again(request)
    try:
        check_access(request, is_open=is_open)
    except Problem as problem:
        if problem.status == 401 and _wants_page(request):
            raise web.HTTPSeeOther(f"/sign-in?next={quote(request.path_qs, safe='')}") from None
        raise
    return await handler(request)


async def _session(request: web.Request, *, is_open: bool) -> Session | None:
    try:
        return await read_session(request)
    except RetryLater:
        # /livez and /health answer without the store.
        if not is_open:
            raise
        return None


def _has_other_access(request: web.Request) -> bool:
    return _through_socket(request) or request.app[ACCESS].has_token(request.headers.get("Authorization"))


def can_act(request: web.Request) -> bool:
    """Whether this request's sender may change something: by a session, a token, or through the socket."""
    return session_of(request) is not None or _has_other_access(request)


def _wants_page(request: web.Request) -> bool:
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "")


def _came_from_elsewhere(request: web.Request) -> bool:
    """Whether a link of another site led here, so that the browser held the cookie back."""
    return _wants_page(request) and request.headers.get("Sec-Fetch-Site") == "cross-site"


def _load_again(request: web.Request) -> web.Response:
    """A page that has the browser load the same address once more, by vidd's own request, with the cookie."""
    address = escape(request.path_qs, quote=True)
    page = f'<!doctype html><meta http-equiv="refresh" content="0; url={address}"><a href="{address}">Continue</a>'
    return web.Response(text=page, content_type="text/html")
