"""What an AppView's answers mean (atproto.com/specs/xrpc). An error is `{"error": name, "message": …}`."""

from __future__ import annotations

from datetime import UTC, datetime

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.integrations.posts.json_answer import JsonAnswer, seconds_until
from vidd.transfer.http import retry_after

_WAIT = 300.0
"""Seconds, where the AppView does not say."""

_REFUSED = {
    "AccountDeactivated": (FaultCode.NOT_FOUND, "its owner has switched the account off: ask for somebody else"),
    "AccountTakedown": (FaultCode.FORBIDDEN, "Bluesky has taken the account down: ask for somebody else"),
    "ActorNotFound": (FaultCode.NOT_FOUND, "there is no such account: correct the handle"),
    "AuthMissing": (FaultCode.UNAUTHORIZED, "it wants a sign-in: put the address of a public AppView into the account"),
    "AuthenticationRequired": (
        FaultCode.UNAUTHORIZED,
        "it wants a sign-in: put the address of a public AppView into the account",
    ),
    "BlockedActor": (FaultCode.FORBIDDEN, "the account is not for vidd to see: ask for somebody else"),
    "BlockedByActor": (FaultCode.FORBIDDEN, "the account is not for vidd to see: ask for somebody else"),
}
_NO_PROFILE = "profile not found"
"""The words of an `InvalidRequest` that say that there is no such account: the name of the error does not."""


def fault_of_answer(answer: JsonAnswer, server: str, user: str, now: datetime) -> Fault:
    """The fault of an answer that is no success; `server` and `user` are for its sentence."""
    name, message = answer.field("error"), answer.field("message")
    said = printable(": ".join(part for part in (str(answer.status), name, message) if part), 200)
    if answer.status == 429:
        wait = _wait(answer, now)
        until = f"{datetime.fromtimestamp(now.timestamp() + wait, UTC):%H:%M} UTC"
        return RetryLater(
            f"{server} answers no more questions for now ({said}); vidd will go on with {user} at {until}.",
            after=wait,
            counts=False,
            code=FaultCode.RATE_LIMITED,
        )
    if answer.status in {408, 425} or answer.status >= 500:
        after = retry_after(answer.headers.get("Retry-After"), now)
        return RetryLater(f"{server} failed ({said}) at reading {user}; vidd will retry.", after=after)
    if name == "InvalidRequest" and _NO_PROFILE in message.lower():
        name = "ActorNotFound"
    if name in _REFUSED:
        code, why = _REFUSED[name]
        return Refused(f"{server} does not give the posts of {user} ({said}); {why}.", code=code)
    if 300 <= answer.status < 400 or not name:
        return not_an_appview(server)
    return Refused(
        f"{server} refused to give the posts of {user} ({said}): correct what it names.", code=FaultCode.REJECTED
    )


def not_an_appview(server: str) -> Refused:
    """The fault of an answer that is none of an AppView."""
    return Refused(
        f"{server} does not answer as an AppView of Bluesky does: correct `url` of the account.",
        code=FaultCode.BAD_SETTINGS,
    )


def _wait(answer: JsonAnswer, now: datetime) -> float:
    """Seconds until the rate limit's reset, which is in seconds since 1970, or else in Retry-After."""
    try:
        reset = datetime.fromtimestamp(float(answer.headers.get("RateLimit-Reset", "")), UTC)
    except (ValueError, OverflowError, OSError):
        return retry_after(answer.headers.get("Retry-After"), now) or _WAIT
    return seconds_until(reset, answer.headers, now)
