"""`/api/history`: what the daemon did on each of the last days."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from vidd.model.day_totals import Day, day_of, make_day, space_of
from vidd.web.api import json_response
from vidd.web.control_port import CONTROL
from vidd.web.request_models import limit_of

if TYPE_CHECKING:
    from datetime import datetime

    from aiohttp import web

    from vidd.ports import Store

WEEK = 7
_MOST = 90


async def read_days(store: Store, now: datetime, days: int = WEEK) -> list[Day]:
    """The last `days` days in UTC with today, oldest first."""
    first = now - timedelta(days=days - 1)
    moves, dates = await store.moves_by_day(first), [day_of(first + timedelta(days=number)) for number in range(days)]
    return [make_day(date, moves, await store.recall(space_of(date))) for date in dates]


async def show_history(request: web.Request) -> web.Response:
    """`GET /api/history`."""
    control, count = request.app[CONTROL], limit_of(request, WEEK, name="days", most=_MOST)
    days = await read_days(control.store, control.clock.now(), count)
    return json_response(
        {
            "days": [
                {
                    "day": day.day.isoformat(),
                    "published": day.published,
                    "failed": day.failed,
                    "encode_speed": day.encode_speed,
                    "minutes": day.minutes,
                }
                for day in days
            ]
        }
    )
