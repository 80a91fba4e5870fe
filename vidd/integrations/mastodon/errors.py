"""What Mastodon's answers mean (docs.joinmastodon.org/api/rate-limits, /methods/accounts). An error is `{"error": …}`."""

from __future__ import annotations

from datetime import UTC, datetime

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.integrations.posts.json_answer import JsonAnswer, seconds_until
from vidd.transfer.http import retry_after

_WAIT = 300.0
"""Seconds, where the server does not say: the length of Mastodon's own window."""


def fault_of_answer(answer: JsonAnswer, server: str, user: str, *, has_token: bool, now: datetime) -> Fault:
    """The fault of an answer that is no success; `server` and `user` are for its sentence."""
    said = printable(answer.field("error"), 160)
    words = f"{answer.status}: {said}" if said else str(answer.status)
    if answer.status == 429:
        wait = _wait(answer, now)
        until = f"{datetime.fromtimestamp(now.timestamp() + wait, UTC):%H:%M} UTC"
        return RetryLater(
            f"{server} answers no more questions for now ({words}); vidd will go on with {user} at {until}.",
            after=wait,
            counts=False,
            code=FaultCode.RATE_LIMITED,
        )
    if answer.status in {408, 425} or answer.status >= 500:
        after = retry_after(answer.headers.get("Retry-After"), now)
        return RetryLater(f"{server} failed ({words}) at reading {user}; vidd will retry.", after=after)
    return _refusal(answer, words, server, user, has_token=has_token)


def _refusal(answer: JsonAnswer, words: str, server: str, user: str, *, has_token: bool) -> Refused:
    match answer.status:
        case 401 if has_token:
            code, why = (
                FaultCode.UNAUTHORIZED,
                "it does not accept the token: make a new one, and put it into the account",
            )
        case 401:
            code, why = (
                FaultCode.UNAUTHORIZED,
                "it is closed to everybody without an account: put a token of an app into the account",
            )
        case 403:
            code, why = FaultCode.FORBIDDEN, "it does not let vidd read: give the token the scope read"
        case 404:
            code, why = FaultCode.NOT_FOUND, "it has no such user: correct the name"
        case 410:
            code, why = FaultCode.NOT_FOUND, "the user was deleted there"
        case status if 300 <= status < 400:
            target = printable(answer.headers.get("Location", "elsewhere"), 120)
            code, why = (
                FaultCode.BAD_SETTINGS,
                f"it sends vidd to {target}: correct the server's address in the account",
            )
        case _:
            code, why = FaultCode.REJECTED, "correct what it names"
    return Refused(f"{server} does not give the posts of {user} ({words}); {why}.", code=code)


def not_mastodon(server: str) -> Refused:
    """The fault of an answer of success that is none of Mastodon's API."""
    return Refused(
        f"{server} does not answer as Mastodon does: put the address of a Mastodon server into the account.",
        code=FaultCode.BAD_SETTINGS,
    )


def _wait(answer: JsonAnswer, now: datetime) -> float:
    """Seconds until the rate limit's reset: Mastodon writes it as an ISO time, others as Retry-After."""
    try:
        reset = datetime.fromisoformat(answer.headers.get("X-RateLimit-Reset", ""))
    except ValueError:
        return retry_after(answer.headers.get("Retry-After"), now) or _WAIT
    return seconds_until(reset.replace(tzinfo=reset.tzinfo or UTC), answer.headers, now)
