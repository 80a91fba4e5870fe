"""`/api/events`: what happens, as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio

from aiohttp import web

from vidd.web.control_port import DESK
from vidd.web.event_hub import Ended
from vidd.web.problem import Problem

HEARTBEAT: web.AppKey[float] = web.AppKey("heartbeat")
STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping")

_PATIENCE = 10.0
_RETRY = b"retry: 2000\n\n"
_SILENCE = b": nothing new\n\n"


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_PATIENCE):
        await response.write(data)


async def follow_events(request: web.Request) -> web.StreamResponse:
    """Send events until the client goes, is too slow, or the port stops.

    A client that does not read is cut off: after ten seconds, or when more wait for it than its queue holds.
    """
    if request.app[STOPPING].is_set():
        raise Problem(503, "The daemon is stopping: come back when it runs again.", headers={"Retry-After": "5"})
    with request.app[DESK].hub.subscribe(request.headers.get("Last-Event-ID")) as subscription:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        response.force_close()
        await response.prepare(request)
        try:
            await _write(response, _RETRY)
            while True:
                happening = await subscription.next(request.app[HEARTBEAT])
                await _write(response, happening.encode() if happening else _SILENCE)
        except Ended:
            if not request.app[STOPPING].is_set():
                _cut(request)
        except (TimeoutError, ConnectionError):
            _cut(request)
    return response


def _cut(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()
