"""What X's answers mean (docs.x.com, "Response codes"): statuses, problems (RFC 9457) and errors beside a success.

The host in the `type` of a problem has changed (api.twitter.com, api.x.com), so only its last part counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, Refused, RetryLater

_RESET = ("x-rate-limit", "x-user-limit-24hour", "x-app-limit-24hour")
_LONGEST = 86400.0
_UNTOLD = 60.0
"""Seconds until vidd asks again where X does not say when."""


class CursorRejected(Exception):
    """X does not know the page that was asked for."""


def kind_of(problem: Mapping[str, Any]) -> str:
    """The last part of a problem's type, such as `not-authorized-for-resource`; "" where it has none."""
    return str(problem.get("type") or "").rstrip("/").rpartition("/")[2].casefold()


def fault_of_answer(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str], doing: str, now: datetime
) -> Fault:
    """The fault of an answer that is no success."""
    said = _said(status, body)
    if status == 402 or kind_of(body) == "usage-capped" or body.get("title") == "UsageCapExceeded":
        return Refused(
            f"The plan of the account at X is used up ({said}), so X refused {doing}: buy credits or raise the limit in "
            "X's developer console, or wait for its next period, then retry.",
            code=FaultCode.QUOTA,
        )
    if status == 429:
        after = _until_reset(headers, now)
        at = (now + timedelta(seconds=after)).astimezone(UTC)
        return RetryLater(
            f"X's rate limit is reached at {doing}; vidd will go on at {at:%H:%M} UTC.",
            after=after,
            counts=False,
            code=FaultCode.RATE_LIMITED,
        )
    if status >= 500 or status == 408:
        return RetryLater(f"X answered {said} at {doing}; vidd will retry.")
    if 300 <= status < 400:
        return Refused(
            f"X sends vidd elsewhere ({status}) at {doing}: correct `api_url` of the account.", code=FaultCode.REJECTED
        )
    code, advice = _advice(status, body)
    return Refused(f"X refused ({said}) {doing}: {advice}.", code=code)


_ADVICE = {
    400: (
        FaultCode.REJECTED,
        "X does not know what vidd asked for; set `fields` of the account to the other naming",
    ),
    401: (
        FaultCode.UNAUTHORIZED,
        "put the bearer token that X's developer console shows into `token` of the account",
    ),
    403: (FaultCode.FORBIDDEN, "see in X's developer console what the app may read"),
    404: (FaultCode.NOT_FOUND, "nothing is there; correct `api_url` of the account"),
}


def _advice(status: int, body: Mapping[str, Any]) -> tuple[FaultCode, str]:
    if body.get("reason") == "client-not-enrolled":
        return FaultCode.FORBIDDEN, "attach the app to a project in X's developer console"
    if kind_of(body) == "unsupported-authentication":
        return FaultCode.FORBIDDEN, "vidd needs the app's bearer token (App-only), not a user's"
    return _ADVICE.get(status, (FaultCode.REJECTED, "correct what it names"))


def cursor_is_rejected(status: int, body: Mapping[str, Any]) -> bool:
    """Whether X refused a request for its `pagination_token`."""
    problems = [body, *dicts(body.get("errors"))]
    return status == 400 and any(
        "pagination_token" in str(problem.get("message") or problem.get("detail") or problem.get("parameter") or "")
        or "pagination_token" in str(problem.get("parameters") or "")
        for problem in problems
    )


def fault_of_problems(problems: list[dict[str, Any]], who: str) -> Refused:
    """The fault of an answer 200 that has errors in place of what was asked for; `who` is the user, such as @ada."""
    first = problems[0]
    detail = str(first.get("detail") or first.get("message") or first.get("title") or "no reason given")
    if "suspended" in detail.casefold():
        return suspended(who)
    match kind_of(first):
        case "not-authorized-for-resource":
            return protected(who)
        case "resource-not-found":
            return Refused(
                f"X has no user {who}: correct the name, or look whether the account still exists.",
                code=FaultCode.NOT_FOUND,
            )
    return Refused(f"X does not show the posts of {who}: {printable(detail, 160)}", code=FaultCode.REJECTED)


def protected(who: str) -> Refused:
    """The fault of a person whose posts only followers may read."""
    return Refused(
        f"The posts of {who} are protected: only followers whom {who} approved may read them at X, so vidd cannot.",
        code=FaultCode.FORBIDDEN,
    )


def suspended(who: str) -> Refused:
    """The fault of an account that X suspended."""
    return Refused(f"X has suspended {who}: its posts are not shown to anybody.", code=FaultCode.FORBIDDEN)


def _said(status: int, body: Mapping[str, Any]) -> str:
    parts = [body.get("title"), body.get("detail")]
    parts += [error.get("message") or error.get("detail") for error in dicts(body.get("errors"))[:2]]
    words = ": ".join(dict.fromkeys(str(part) for part in parts if part))
    return f"{status} {printable(words, 200)}" if words else str(status)


def _until_reset(headers: Mapping[str, str], now: datetime) -> float:
    """Seconds until the limit that is used up starts anew."""
    used_up = [name for name in _RESET if headers.get(f"{name}-remaining", "").strip() == "0"] or ["x-rate-limit"]
    waits = []
    for name in used_up:
        text = headers.get(f"{name}-reset", "").strip()
        if text.isdecimal() and len(text) < 12:
            waits.append(int(text) - now.timestamp() + 1)
    wait = max(waits, default=0.0)
    return min(wait, _LONGEST) if wait > 1 else _UNTOLD


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a JSON list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


@contextmanager
def connection_faults(doing: str) -> Iterator[None]:
    """Raise aiohttp's errors as faults."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        raise Refused(
            f"The certificate of X is not trusted at {doing}: correct `api_url` of the account, or the proxy.",
            code=FaultCode.REJECTED,
        ) from error
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise RetryLater(f"vidd cannot reach X for {doing} and will retry.", code=FaultCode.UNREACHABLE) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise RetryLater(
            f"The connection to X was lost at {doing}; vidd will retry.", code=FaultCode.UNREACHABLE
        ) from error
