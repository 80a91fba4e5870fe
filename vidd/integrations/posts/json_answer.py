"""Asks a network's API for JSON, and reads how long its rate limit lasts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from vidd.errors import FaultCode, Refused
from vidd.transfer.http import map_errors, public_url

if TYPE_CHECKING:
    import aiohttp

_LARGEST = 16 * 2**20
_SHORTEST_WAIT, _LONGEST_WAIT = 1.0, 86_400.0


@dataclass(frozen=True)
class JsonAnswer:
    """An answer; `data` is None where the body is no JSON."""

    status: int
    headers: Mapping[str, str]
    data: Any

    def field(self, name: str) -> str:
        """A text in the answer's object; "" where there is none."""
        value = self.data.get(name) if isinstance(self.data, dict) else None
        return value if isinstance(value, str) else ""


async def ask_json(
    web: aiohttp.ClientSession,
    url: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    doing: str,
) -> JsonAnswer:
    """Ask once; redirects are not followed. Raises RetryLater without an answer, Refused for one that is too large."""
    with map_errors(doing):
        async with web.get(url, params=query, headers=headers, allow_redirects=False) as answer:
            content = await read_bounded(answer, _LARGEST)
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        data = None
    return JsonAnswer(answer.status, answer.headers, data)


async def read_bounded(answer: aiohttp.ClientResponse, largest: int) -> bytes:
    """The body of an answer, uncompressed. Raises Refused where it has more than `largest` bytes."""
    content = bytearray()
    async for data in answer.content.iter_any():
        content += data
        if len(content) > largest:
            raise Refused(
                f"{public_url(str(answer.url))} sends more than {largest // 2**20} MiB: look at what is there.",
                code=FaultCode.BAD_INPUT,
            )
    return bytes(content)


def seconds_until(reset: datetime, headers: Mapping[str, str], now: datetime) -> float:
    """Seconds until a network's own time, by the clock of its answer (Date) where there is one; at most a day."""
    try:
        now = parsedate_to_datetime(headers.get("Date", ""))
        wait = (reset - now).total_seconds()
    except (TypeError, ValueError):
        wait = (reset - now).total_seconds()
    return min(max(wait, _SHORTEST_WAIT), _LONGEST_WAIT)


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list of JSON; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
