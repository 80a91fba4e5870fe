"""What the errors of Google's JSON services and of its sign-in mean.

Errors look like {"error": {"code", "message", "errors": [{"reason"}], "status"}} (cloud.google.com/apis/design/errors,
developers.google.com/youtube/v3/docs/errors); those of the sign-in like {"error": "invalid_grant"} (RFC 6749, 5.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, OutcomeUnknown, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Mapping

_RATE_LIMITED = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RESOURCE_EXHAUSTED", "backendError"})
_QUOTA_EXCEEDED = frozenset({"quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg"})
_CODES = {401: FaultCode.UNAUTHORIZED, 403: FaultCode.FORBIDDEN, 404: FaultCode.NOT_FOUND, 409: FaultCode.CONFLICT}


class QuotaExceeded(RetryLater):
    """The day's quota is used up. A caller that knows when the next quota begins sets `after`."""

    default_code = FaultCode.QUOTA

    def __init__(self, sentence: str, *, after: float | None = None) -> None:
        super().__init__(sentence, after=after, counts=False)


class RequestRejected(Refused):
    """An answer of 4xx. `reason` is Google's (such as `playlistNotFound`), for callers that can handle it."""

    default_code = FaultCode.REJECTED

    def __init__(self, sentence: str, status: int, reason: str) -> None:
        super().__init__(sentence, code=_CODES.get(status))
        self.status = status
        self.reason = reason


class SessionGone(Exception):
    """An upload session is no longer known: it expired, or it ended and was forgotten."""


def answer_fault(
    status: int, body: Mapping[str, Any], doing: str, *, account: str, after: float | None, repeatable: bool
) -> Fault:
    """The fault for an answer that is no success. `after` is its Retry-After in seconds."""
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    reasons = _reasons(error)
    detail = ", ".join(reasons) or printable(str(error.get("message", "")), 120)
    answered = f"Google answered {status}{f' ({detail})' if detail else ''} while {doing}"
    if _QUOTA_EXCEEDED.intersection(reasons):
        return QuotaExceeded(f"{answered}: the quota of the day is used up.")
    if status == 429 or (status == 403 and _RATE_LIMITED.intersection(reasons)):
        return RetryLater(f"{answered}; vidd will retry more slowly.", after=after, code=FaultCode.RATE_LIMITED)
    if status == 408 or status >= 500:
        if not repeatable:
            return OutcomeUnknown(f"{answered}; vidd does not know yet whether it was done.")
        return RetryLater(f"{answered}; vidd will retry.", after=after)
    return RequestRejected(f"{answered}: {_advice(status, account)}.", status, reasons[0] if reasons else "")


def _reasons(error: Mapping[str, Any]) -> list[str]:
    listed = error.get("errors")
    found = [detail.get("reason") for detail in listed if isinstance(detail, dict)] if isinstance(listed, list) else []
    return [printable(reason, 60) for reason in [*found, error.get("status")] if isinstance(reason, str)]


def _advice(status: int, account: str) -> str:
    if status == 401:
        return f"sign in again and put the new refresh token into [accounts.{account}]"
    if status == 403:
        return f"give the account {account} the right to do this, or sign it in with all scopes that docs/how-to/youtube.md names"
    if status == 404:
        return "it was deleted, or the setting that names it is wrong"
    return "correct what it names"


def sign_in_refusal(error: str, account: str, *, person: bool) -> Refused:
    """Why Google gives the account no token. `person` tells a person's refresh token from a service account's key."""
    if error == "invalid_grant" and person:
        sentence = (
            f"The refresh token of the account {account} was revoked or expired: "
            f"sign in again and put the new one into [accounts.{account}]."
        )
    elif error == "invalid_grant":
        sentence = (
            f"Google rejected the key of the service account in [accounts.{account}] (invalid_grant): "
            "the key was deleted, or this machine's clock is wrong."
        )
    elif error in {"invalid_client", "unauthorized_client"}:
        sentence = (
            f"Google does not know the client of the account {account} ({error}): "
            f"correct client_id and client_secret in [accounts.{account}]."
        )
    else:
        sentence = (
            f"Google rejected the sign-in of the account {account} ({error[:80]!a}): correct [accounts.{account}]."
        )
    return Refused(sentence, code=FaultCode.UNAUTHORIZED)


def bad_key(account: str, why: str) -> Refused:
    """A service account's key that cannot be used."""
    return Refused(
        f"The service account of the account {account} is not a key as Google issues it ({why}): "
        f"put the whole JSON file into [accounts.{account}] service_account_file.",
        code=FaultCode.BAD_SETTINGS,
    )
