"""What pretalx's answers mean (docs.pretalx.org, "API principles"). An error is `{"detail": …}` or `{field: […]}`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, OutcomeUnknown, Refused, RetryLater

_REFUSED = {
    401: (
        FaultCode.UNAUTHORIZED,
        "the token is unknown, has expired or was revoked: make a new one at /orga/me, and put it into the account",
    ),
    403: (
        FaultCode.FORBIDDEN,
        "give the token this event and the permissions on submissions (`actions` to write links), and its user a team",
    ),
    404: (
        FaultCode.NOT_FOUND,
        "it is not there, or the token may not see it: correct `event`, or look whether it still exists",
    ),
    405: (
        FaultCode.REJECTED,
        "this pretalx is too old for it: update pretalx to 2026.2, or write the link as an answer",
    ),
}


class PageGone(Exception):
    """The page of a list is not there any more: the list became shorter meanwhile."""


def fault_of_answer(status: int, body: bytes, doing: str, *, after: float | None, sending: bool) -> Fault:
    """The fault of an answer that is no success. `sending`: the request may have changed something."""
    detail = _detail(body)
    said = f"{status}: {detail}" if detail else str(status)
    if status == 429:
        sentence = f"pretalx has had too many requests ({said}) at {doing}; vidd will retry."
        return RetryLater(sentence, after=after, code=FaultCode.RATE_LIMITED)
    if status >= 500 and sending:
        return OutcomeUnknown(f"pretalx answered {said} at {doing}; it may have been done.")
    if status >= 500 or status in {408, 425}:
        return RetryLater(f"pretalx answered {said} at {doing}; vidd will retry.", after=after)
    if 300 <= status < 400:
        return Refused(
            f"pretalx sends vidd elsewhere ({status}) at {doing}: put the address that a browser shows into `url` of the account.",
            code=FaultCode.REJECTED,
        )
    if status == 400 and "version" in detail.casefold():
        return Refused(
            f"pretalx does not speak this version of its API ({said}) at {doing}: set `version` of the account to one that it has, "
            "or take it away and upgrade the token at /orga/me.",
            code=FaultCode.BAD_SETTINGS,
        )
    code, advice = _REFUSED.get(status, (FaultCode.REJECTED, "correct what it names"))
    return Refused(f"pretalx refused ({said}) {doing}: {advice}.", code=code)


def _detail(body: bytes) -> str:
    """What pretalx says, in at most 160 characters; "" where it is no JSON."""
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if isinstance(data, dict) and isinstance(data.get("detail"), str):
        return printable(data["detail"], 160)
    return printable(json.dumps(data, ensure_ascii=False), 160)


@contextmanager
def connection_faults(doing: str, *, sending: bool) -> Iterator[None]:
    """Raise aiohttp's errors as faults."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        raise Refused(
            f"pretalx's certificate is not trusted at {doing}: correct the server, or `ca` of the account.",
            code=FaultCode.REJECTED,
        ) from error
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise RetryLater(
            f"vidd cannot reach pretalx for {doing} and will retry.", code=FaultCode.UNREACHABLE
        ) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        if sending:
            raise OutcomeUnknown(f"pretalx did not answer at {doing}; it may have been done.") from error
        raise RetryLater(
            f"The connection to pretalx was lost at {doing}; vidd will retry.", code=FaultCode.UNREACHABLE
        ) from error
