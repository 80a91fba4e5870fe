"""While the store is away, whoever asks for jobs hears so at once, instead of waiting for it."""

from __future__ import annotations

from aiohttp import web

from vidd.errors import RetryLater
from vidd.web.auth import OPEN
from vidd.web.control_port import DESK
from vidd.web.events import follow_events
from vidd.web.health import show_metrics
from vidd.web.problem import Do

_NEED_NO_STORE: frozenset[Do] = frozenset({follow_events, show_metrics})


@web.middleware
async def store_needed(request: web.Request, handler: Do) -> web.StreamResponse:
    """Answer 503 with what the store's trouble is, where the route needs the store."""
    trouble, route = request.app[DESK].store.trouble, request.match_info.handler
    if trouble is not None and route not in request.app[OPEN] | _NEED_NO_STORE:
        raise RetryLater(f"The store is away: {trouble}")
    return await handler(request)
