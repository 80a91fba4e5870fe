"""Answers 503 at once while the store is away, instead of waiting for it."""

from __future__ import annotations

from aiohttp import web

from vidd.errors import RetryLater
from vidd.web.auth import OPEN
from vidd.web.control_port import CONTROL
from vidd.web.events import follow_events
from vidd.web.health import show_metrics
from vidd.web.problem import Handler

_NEED_NO_STORE: frozenset[Handler] = frozenset({follow_events, show_metrics})


@web.middleware
async def store_needed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 503 with the store's trouble if the route needs the store."""
    trouble, route = request.app[CONTROL].store.trouble, request.match_info.handler
    if trouble is not None and route not in request.app[OPEN] | _NEED_NO_STORE:
        raise RetryLater(f"The store is away: {trouble}")
    return await handler(request)
