"""What errors of the Graph API mean.

Sources: developers.facebook.com/docs/graph-api/guides/error-handling, …/docs/video-api/reference/error-codes and
…/docs/graph-api/overview/rate-limiting. An error is {"error": {"message", "type", "code", "error_subcode",
"error_data", "is_transient", "error_user_msg", "fbtrace_id"}}, mostly with status 400 whatever it means.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, OutcomeUnknown, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = frozenset({102, 190, 2500})
_RIGHTS = frozenset({3, 10, *range(200, 300)})
_BUSY = frozenset({4, 17, 32, 341, 613, *range(80000, 80015)})
_FAILED = frozenset({1, 2})
_VERSION = frozenset({12, 2635})
_NO_SUCH = frozenset({803})
_MOVED = 21
_SIGNATURE = 104

_WRONG_OFFSET = 1363037
_SESSION_GONE = 1363041
_NO_RIGHT_TO_UPLOAD = 1363042
_SEND_AGAIN = frozenset({1363019, 1363030, 1363033})
_FILE = {1363022: "it is smaller than 1 KB", 1363023: "it is too large", 1363031: "it is no video"}
_WAIT_WHEN_BUSY = 300.0


class UnexplainedError(RetryLater):
    """A 400 without a known code: vidd waits for hours, then begins the upload anew."""


@dataclass
class GraphError(Exception):
    """An answer that is no success. `wait` is how long Facebook asks to wait, in seconds."""

    status: int
    code: int = 0
    subcode: int = 0
    message: str = ""
    transient: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
    wait: float | None = None

    @property
    def summary(self) -> str:
        """The numbers under which Meta's reference lists the error, and its message."""
        numbers = "/".join(str(number) for number in (self.code or self.status, self.subcode) if number)
        return f"{numbers}: {printable(self.message, 200).rstrip('.')}" if self.message else numbers

    @property
    def bad_token(self) -> bool:
        """Whether the token is invalid: expired, revoked, or malformed."""
        return self.code in _TOKEN

    @property
    def lacks_right(self) -> bool:
        """Whether the token is valid but lacks a permission."""
        return self.code in _RIGHTS

    @property
    def absent(self) -> bool:
        """Whether the node does not exist, or not for this token."""
        return self.status == 404 or self.code in _NO_SUCH or (self.code == 100 and self.subcode == 33)

    @property
    def session_gone(self) -> bool:
        """Whether the upload session is unknown, expired or used up."""
        return self.subcode == _SESSION_GONE

    @property
    def offsets(self) -> tuple[int, int] | None:
        """The next offsets of the upload, from the answer to a wrong offset; None in other answers."""
        if self.subcode != _WRONG_OFFSET:
            return None
        try:
            return int(self.data["start_offset"]), int(self.data["end_offset"])
        except (KeyError, TypeError, ValueError):
            return None


def graph_error(status: int, body: Any, headers: Mapping[str, str]) -> GraphError:
    """The error in an answer; without a body it has only the status."""
    fields = body.get("error") if isinstance(body, dict) else None
    wait = _wait_of(headers)
    if not isinstance(fields, dict):
        return GraphError(status if status >= 400 else 502, wait=wait)
    data = fields.get("error_data")
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except ValueError:
            data = {}
    return GraphError(
        max(status, 400),
        code=_to_int(fields.get("code")),
        subcode=_to_int(fields.get("error_subcode")),
        message=str(fields.get("error_user_msg") or fields.get("message") or ""),
        transient=fields.get("is_transient") is True,
        data=data if isinstance(data, dict) else {},
        wait=wait,
    )


def _to_int(value: Any) -> int:
    return value if isinstance(value, int) else int(value) if str(value).isdecimal() else 0


def _wait_of(headers: Mapping[str, str]) -> float | None:
    """Seconds from Retry-After, or until the quota is renewed (X-Business-Use-Case-Usage holds minutes)."""
    if headers.get("Retry-After", "").isdecimal():
        return float(headers["Retry-After"])
    try:
        usage = json.loads(headers.get("X-Business-Use-Case-Usage", ""))
        minutes = [float(row["estimated_time_to_regain_access"]) for rows in usage.values() for row in rows]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return max(minutes, default=0.0) * 60 or None


def fault_of(
    error: GraphError, doing: str, *, account: str, now: datetime, wait_after_400: float, commits: bool = False
) -> Fault:
    """The fault for an error at `doing`. `commits` says that a failure in the middle leaves the outcome unknown."""
    if fault := _temporary(error, doing, commits=commits) or _refusal(error, doing, account):
        return fault
    if error.status == 400:
        until = (now + timedelta(seconds=wait_after_400)).strftime("%Y-%m-%d %H:%M UTC")
        return UnexplainedError(
            f"Facebook answered 400 ({error.summary}) while {doing}; vidd will retry at {until}, as often as [retry] allows.",
            after=wait_after_400,
            code=FaultCode.REJECTED,
        )
    return Refused(f"Facebook rejected {doing} ({error.summary}): correct what it names.", code=FaultCode.REJECTED)


def _temporary(error: GraphError, doing: str, *, commits: bool) -> Fault | None:
    if error.bad_token:
        return None
    if error.code in _BUSY or error.status == 429:
        return RetryLater(
            f"Facebook's quota is used up ({error.summary}) while {doing}; vidd will retry.",
            after=error.wait or _WAIT_WHEN_BUSY,
            counts=False,
            code=FaultCode.QUOTA,
        )
    if error.code in _FAILED or error.status >= 500 or error.transient:
        if commits:
            return OutcomeUnknown(
                f"Facebook failed ({error.summary}) in the middle of {doing}: look at the page whether the video is there."
            )
        return RetryLater(f"Facebook failed ({error.summary}) while {doing}; vidd will retry.", after=error.wait)
    if error.subcode in _SEND_AGAIN or error.subcode == _WRONG_OFFSET:
        return RetryLater(f"Facebook did not get all bytes ({error.summary}) while {doing}; vidd will send them again.")
    return None


def _refusal(error: GraphError, doing: str, account: str) -> Refused | None:
    if error.bad_token:
        return Refused(
            f"Facebook does not accept the token of the account {account!r} ({error.summary}) for {doing}: get a new "
            f"one (`vidd accounts facebook` lists them) and set the token of [accounts.{account}].",
            code=FaultCode.UNAUTHORIZED,
        )
    if "appsecret_proof" in error.message or error.code == _SIGNATURE:
        return Refused(
            f"Facebook does not accept the proof of the app for {doing}: correct app_secret of {account!r}.",
            code=FaultCode.UNAUTHORIZED,
        )
    return _refusal_of_page(error, doing, account)


def _refusal_of_page(error: GraphError, doing: str, account: str) -> Refused | None:
    if error.lacks_right or error.subcode == _NO_RIGHT_TO_UPLOAD:
        return Refused(
            f"The account {account!r} may not do this at Facebook ({error.summary}): {doing}. Give its token's owner "
            "the right to create content (pages_manage_posts), or correct page and token of the account.",
            code=FaultCode.FORBIDDEN,
        )
    if error.code == _MOVED:
        return Refused(
            f"The page of the account {account!r} has moved ({error.summary}), which {doing} needs: set its new page.",
            code=FaultCode.BAD_SETTINGS,
        )
    if error.subcode in _FILE:
        return Refused(f"Facebook did not accept the file while {doing}: {_FILE[error.subcode]}; send another file.")
    if error.code in _VERSION:
        return Refused(
            f"Facebook no longer supports this version of its API ({error.summary}): set version of {account!r}.",
            code=FaultCode.BAD_SETTINGS,
        )
    if error.absent:
        return Refused(
            f"There is nothing for the account {account!r} at {doing} ({error.summary}): it was deleted, or the "
            "account's page is wrong.",
            code=FaultCode.NOT_FOUND,
        )
    return None
