"""`/api/events`: server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio

from aiohttp import web

from vidd.web.control_port import CONTROL
from vidd.web.event_hub import Ended
from vidd.web.problem import Problem

HEARTBEAT: web.AppKey[float] = web.AppKey("heartbeat")
STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping")

_WRITE_TIMEOUT = 10.0
_RETRY = b"retry: 2000\n\n"
_KEEP_ALIVE = b": nothing new\n\n"


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_WRITE_TIMEOUT):
        await response.write(data)


async def follow_events(request: web.Request) -> web.StreamResponse:
    """`GET /api/events`: send events until the client goes, is too slow, or the port stops.

    A client that does not read is cut off after ten seconds, or when its queue is full.
    """
    if request.app[STOPPING].is_set():
        raise Problem(503, "The daemon is stopping: try again when it runs.", headers={"Retry-After": "5"})
    with request.app[CONTROL].hub.subscribe(request.headers.get("Last-Event-ID")) as subscription:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        response.force_close()
        await response.prepare(request)
        try:
            await _write(response, _RETRY)
            while True:
                event = await subscription.next(request.app[HEARTBEAT])
                await _write(response, event.encode() if event else _KEEP_ALIVE)
        except Ended:
            if not request.app[STOPPING].is_set():
                _cut(request)
        except (TimeoutError, ConnectionError):
            _cut(request)
    return response


def _cut(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()
