"""The web port: its routes, and the TCP address and the socket on which it listens."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from vidd.errors import Refused
from vidd.web import api, audit, events, health, history, openapi, sign_in
from vidd.web.auth import ACCESS, OPEN, AccessRules, Listen, parse_listen, require_access
from vidd.web.control_port import CONTROL, ControlApi
from vidd.web.job_counts import JobCounter
from vidd.web.page import assets, forms, handlers
from vidd.web.page.live import Live
from vidd.web.page.overview import LINKS
from vidd.web.problem import Handler, problems
from vidd.web.session import SESSIONS, WRONG_TOKENS, Sessions, WrongTokens
from vidd.web.source_routes import source_routes
from vidd.web.store_guard import store_needed
from vidd.web.talks import TALKS, Talks


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the port. `is_open`: it asks for no token, wherever the port listens. `head`: HEAD may be asked too."""

    method: str
    path: str
    handler: Handler
    is_open: bool = False
    head: bool = True


ROUTES: tuple[Route, ...] = (
    Route("GET", "/", handlers.show_overview),
    Route("GET", "/page.css", assets.show_style, is_open=True),
    Route("GET", "/page.js", assets.show_script, is_open=True),
    Route("GET", "/words.js", assets.show_words, is_open=True),
    Route("GET", "/live", handlers.follow_page, head=False),
    Route("GET", "/jobs/selected", forms.ask_about_jobs),
    Route("POST", "/jobs/selected", forms.act_on_jobs),
    Route("GET", "/jobs/{id}", handlers.show_job),
    Route("GET", "/jobs/{id}/frames/{place}", handlers.show_frame),
    Route("GET", "/jobs/{id}/video/{role}", handlers.show_video),
    Route("GET", "/jobs/{id}/{action}", forms.ask_about_job),
    Route("POST", "/jobs/{id}/{action}", forms.act_on_job),
    Route("GET", "/pause", forms.ask_about_pause),
    Route("POST", "/pause", forms.act_on_pause),
    Route("GET", "/resume", forms.ask_about_pause),
    Route("POST", "/resume", forms.act_on_pause),
    Route("GET", "/sign-in", sign_in.show_sign_in, is_open=True),
    Route("POST", "/sign-in", sign_in.sign_in, is_open=True),
    Route("POST", "/sign-out", sign_in.sign_out),
    Route("GET", "/health", health.show_health, is_open=True),
    Route("GET", "/livez", health.show_liveness, is_open=True),
    Route("GET", "/metrics", health.show_metrics),
    Route("GET", "/api/openapi.json", openapi.show_openapi, is_open=True),
    Route("GET", "/api/jobs", api.list_jobs),
    Route("POST", "/api/jobs", api.submit_job),
    Route("GET", "/api/jobs/{id}", api.show_job),
    Route("GET", "/api/jobs/{id}/explain", api.explain_job),
    Route("GET", "/api/jobs/{id}/log", api.show_log),
    Route("POST", "/api/jobs/{id}/retry", api.retry_job),
    Route("POST", "/api/jobs/{id}/rework", api.rework_job),
    Route("POST", "/api/jobs/{id}/cancel", api.cancel_job),
    Route("POST", "/api/jobs/{id}/resolve", api.resolve_job),
    Route("POST", "/api/jobs/{id}/resend", api.resend_job),
    Route("POST", "/api/jobs/{id}/retract", api.retract_job),
    Route("POST", "/api/jobs/{id}/approve", api.approve_job),
    Route("POST", "/api/jobs/{id}/reject", api.reject_job),
    Route("POST", "/api/jobs/{id}/priority", api.prioritize_job),
    Route("GET", "/api/history", history.show_history),
    Route("GET", "/api/audit", audit.show_audit),
    Route("POST", "/api/retry", api.retry_jobs),
    Route("GET", "/api/dead-letters", api.list_dead_letters),
    Route("GET", "/api/events", events.follow_events, head=False),
    Route("POST", "/api/pause", api.pause),
    Route("POST", "/api/resume", api.resume),
    Route("POST", "/api/wake", api.wake),
    Route("POST", "/api/sign-in-links", sign_in.make_link),
)

_MAX_BODY = 1024 * 1024
_SHUTDOWN_TIMEOUT = 5.0
_LONGEST_SOCKET = 107
"""Bytes of a socket's path that Linux takes (`sun_path` of unix(7), without its zero byte)."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Under no-referrer a browser sends a form of the page with `Origin: null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "vidd"


def make_app(
    control: ControlApi,
    *,
    access: AccessRules | None = None,
    tokens: Sequence[str] = (),
    heartbeat: float = 15.0,
) -> web.Application:
    """The aiohttp application; `tokens` open sessions, `heartbeat` is in seconds."""
    app = web.Application(
        middlewares=[problems, source_routes, require_access, store_needed], client_max_size=_MAX_BODY
    )
    app[CONTROL] = control
    app[ACCESS] = access or AccessRules(Listen("127.0.0.1", 0), ())
    app[OPEN] = {route.handler for route in ROUTES if route.is_open}
    app[TALKS] = Talks(control.store)
    app[SESSIONS] = Sessions(control.store, control.clock, tokens)
    app[WRONG_TOKENS] = WrongTokens()
    app[sign_in.ADDRESS] = lambda: None
    app[health.COUNTER] = JobCounter(control.store)
    app[events.HEARTBEAT] = heartbeat
    app[handlers.LIVE] = Live(control.hub, control.store, beat=heartbeat)
    app[handlers.SAID] = OrderedDict()
    app[LINKS] = {}
    app[events.STOPPING] = asyncio.Event()
    for route in ROUTES:
        if route.method == "GET":
            app.router.add_get(route.path, route.handler, allow_head=route.head)
        else:
            app.router.add_route(route.method, route.path, route.handler)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(_end_streams)
    return app


async def _end_streams(app: web.Application) -> None:
    app[events.STOPPING].set()
    app[CONTROL].hub.end()
    await app[handlers.LIVE].end()


class Port:
    """Listens on a TCP address and on a socket; either may be left out."""

    def __init__(self, control: ControlApi, *, heartbeat: float = 15.0) -> None:
        self._control, self._heartbeat = control, heartbeat
        self._runner: web.AppRunner | None = None
        self._socket: tuple[Path, int] | None = None
        self.address: tuple[str, int] | None = None

    async def start(self, listen: str | None, socket_path: Path | None, tokens: Sequence[str] = ()) -> None:
        """Listen. Refused if an address is taken or cannot be used, or if other machines could reach it without a token."""
        where = parse_listen(listen) if listen else None
        access = AccessRules(where or Listen("127.0.0.1", 0), tokens)
        app = make_app(self._control, access=access, tokens=tokens, heartbeat=self._heartbeat)
        app[sign_in.ADDRESS] = lambda: self.address
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_TIMEOUT)
        await self._runner.setup()
        try:
            if socket_path:
                await self._listen_on_socket(self._runner, socket_path)
            if where:
                await self._listen_on_tcp(self._runner, where)
        except BaseException:
            await self.stop()
            raise

    async def _listen_on_tcp(self, runner: web.AppRunner, where: Listen) -> None:
        with _refused_address(where):
            await web.TCPSite(runner, where.host, where.port).start()
        self.address = next(
            (address[0], address[1]) for address in reversed(runner.addresses) if not isinstance(address, str)
        )

    async def _listen_on_socket(self, runner: web.AppRunner, path: Path) -> None:
        _remove_stale_socket(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            listener.bind(str(path))
            # Nobody can connect before it listens, so there is no moment at which it is open to others.
            path.chmod(0o660)
        except OSError as error:
            listener.close()
            raise _no_socket(path, str(error) if error.errno is None else error.strerror) from None
        self._socket = (path, path.stat().st_ino)
        await web.SockSite(runner, listener).start()

    async def stop(self) -> None:
        """Stop listening, end the streams at once, finish answers under way, and remove the socket."""
        if self._runner:
            await self._runner.cleanup()
        if self._socket:
            path, inode = self._socket
            if path.exists() and path.stat().st_ino == inode:
                path.unlink()
        self._runner = self._socket = self.address = None


async def check_port(listen: str, socket_path: Path, tokens: Sequence[str]) -> None:
    """Raise Refused where `Port.start` would, while no daemon runs: it listens on the address for a moment."""
    where = parse_listen(listen)
    AccessRules(where, tokens)
    _is_socket(socket_path)
    if len(os.fsencode(socket_path)) > _LONGEST_SOCKET:
        raise _no_socket(socket_path, "AF_UNIX path too long")
    with _refused_address(where):
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), where.host, where.port)
        server.close()
        await server.wait_closed()


@contextmanager
def _refused_address(where: Listen) -> Iterator[None]:
    """Refused for an address that cannot be listened on."""
    try:
        yield
    except OSError as error:
        why = "something else listens there" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise Refused(
            f"vidd cannot listen on {where.host}:{where.port}: {why}; choose another address in [daemon] listen."
        ) from None


def _no_socket(path: Path, why: str | None) -> Refused:
    return Refused(f"vidd cannot make its socket {path}: {why}; choose another (or shorter) [daemon] state.")


def _is_socket(path: Path) -> bool:
    """Whether a socket is there; False where nothing is. Refused if the file is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise Refused(f"{path} is not a socket: move it away, vidd puts its own there.")
    return True


def _remove_stale_socket(path: Path) -> None:
    """Remove a socket that nobody listens on. Refused if somebody does, or if the file is no socket."""
    if not _is_socket(path):
        return
    with socket.socket(socket.AF_UNIX) as probing:
        probing.settimeout(1.0)
        try:
            probing.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise Refused(
                f"The process that listens on {path} does not answer ({error}): end it, or move the socket."
            ) from None
    raise Refused(f"Another vidd listens on {path}: stop it first, or choose another [daemon] state.")
