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
from vidd.errors import Fault, OutcomeUnknown, Refused, RetryLater

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


class Wait400(RetryLater):
    """A 400 that says nothing more: it waits for hours, and what was begun is begun anew."""


@dataclass
class GraphError(Exception):
    """An answer that is no success. `wait` is how long the other side asks to be let alone, in seconds."""

    status: int
    code: int = 0
    subcode: int = 0
    message: str = ""
    transient: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
    wait: float | None = None

    @property
    def said(self) -> str:
        """The numbers by which Meta's reference explains it, and its words."""
        numbers = "/".join(str(one) for one in (self.code or self.status, self.subcode) if one)
        return f"{numbers}: {printable(self.message, 200).rstrip('.')}" if self.message else numbers

    @property
    def bad_token(self) -> bool:
        """Whether the token is not accepted: it expired, was revoked, or is none."""
        return self.code in _TOKEN

    @property
    def lacks_right(self) -> bool:
        """Whether the token is good but lacks a permission."""
        return self.code in _RIGHTS

    @property
    def absent(self) -> bool:
        """Whether the node that was asked for is not there, or not for this token."""
        return self.status == 404 or self.code in _NO_SUCH or (self.code == 100 and self.subcode == 33)

    @property
    def session_gone(self) -> bool:
        """Whether the upload session is unknown, expired or used."""
        return self.subcode == _SESSION_GONE

    @property
    def offsets(self) -> tuple[int, int] | None:
        """Where the upload stands, as the answer to a wrong offset says it."""
        if self.subcode != _WRONG_OFFSET:
            return None
        try:
            return int(self.data["start_offset"]), int(self.data["end_offset"])
        except (KeyError, TypeError, ValueError):
            return None


def graph_error(status: int, body: Any, headers: Mapping[str, str]) -> GraphError:
    """The error in an answer; one without any says no more than its status."""
    said = body.get("error") if isinstance(body, dict) else None
    wait = _regained(headers)
    if not isinstance(said, dict):
        return GraphError(status if status >= 400 else 502, wait=wait)
    data = said.get("error_data")
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except ValueError:
            data = {}
    return GraphError(
        max(status, 400),
        code=_whole(said.get("code")),
        subcode=_whole(said.get("error_subcode")),
        message=str(said.get("error_user_msg") or said.get("message") or ""),
        transient=said.get("is_transient") is True,
        data=data if isinstance(data, dict) else {},
        wait=wait,
    )


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else int(value) if str(value).isdecimal() else 0


def _regained(headers: Mapping[str, str]) -> float | None:
    """Seconds until the quota is given anew (X-Business-Use-Case-Usage holds minutes), or of Retry-After."""
    if headers.get("Retry-After", "").isdecimal():
        return float(headers["Retry-After"])
    try:
        usage = json.loads(headers.get("X-Business-Use-Case-Usage", ""))
        minutes = [float(row["estimated_time_to_regain_access"]) for rows in usage.values() for row in rows]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return max(minutes, default=0.0) * 60 or None


def fate_of(
    error: GraphError, doing: str, *, account: str, now: datetime, wait_after_400: float, commits: bool = False
) -> Fault:
    """The fate of an error at `doing`. `commits` says that a failure in the middle leaves a doubt."""
    if fault := _passing(error, doing, commits=commits) or _refusal(error, doing, account):
        return fault
    if error.status == 400:
        until = (now + timedelta(seconds=wait_after_400)).strftime("%Y-%m-%d %H:%M UTC")
        return Wait400(
            f"Facebook answered 400 ({error.said}) at {doing}; it goes on at {until}, as often as [retry] allows.",
            after=wait_after_400,
        )
    return Refused(f"Facebook refused {doing} ({error.said}): correct what it names.")


def _passing(error: GraphError, doing: str, *, commits: bool) -> Fault | None:
    if error.bad_token:
        return None
    if error.code in _BUSY or error.status == 429:
        return RetryLater(
            f"Facebook's quota is used up ({error.said}) at {doing}; it is tried again.",
            after=error.wait or _WAIT_WHEN_BUSY,
            counts=False,
        )
    if error.code in _FAILED or error.status >= 500 or error.transient:
        if commits:
            return OutcomeUnknown(f"Facebook failed ({error.said}) in the middle of {doing}: look whether it is there.")
        return RetryLater(f"Facebook failed ({error.said}) at {doing}; it is tried again.", after=error.wait)
    if error.subcode in _SEND_AGAIN or error.subcode == _WRONG_OFFSET:
        return RetryLater(f"Facebook did not get all of the bytes ({error.said}) at {doing}; they are sent again.")
    return None


def _refusal(error: GraphError, doing: str, account: str) -> Refused | None:
    if error.bad_token:
        return Refused(
            f"Facebook does not accept the token of the account {account!r} ({error.said}) for {doing}: get a new "
            f"one (`vidd accounts facebook` lists them) and set the token of [accounts.{account}]."
        )
    if "appsecret_proof" in error.message or error.code == _SIGNATURE:
        return Refused(f"Facebook wants another proof of the app for {doing}: correct app_secret of {account!r}.")
    return _refusal_of_page(error, doing, account)


def _refusal_of_page(error: GraphError, doing: str, account: str) -> Refused | None:
    if error.lacks_right or error.subcode == _NO_RIGHT_TO_UPLOAD:
        return Refused(
            f"The account {account!r} may not do this at Facebook ({error.said}): {doing}. Give its token's owner "
            "the right to create content (pages_manage_posts), or correct page and token of the account."
        )
    if error.code == _MOVED:
        return Refused(
            f"The page of the account {account!r} has moved ({error.said}), which {doing} needs: set its new page."
        )
    if error.subcode in _FILE:
        return Refused(f"Facebook does not take the file at {doing}: {_FILE[error.subcode]}; send another one.")
    if error.code in _VERSION:
        return Refused(f"Facebook no longer knows this version of its API ({error.said}): set version of {account!r}.")
    if error.absent:
        return Refused(
            f"There is nothing for the account {account!r} at {doing} ({error.said}): it was deleted, or the "
            "account's page is wrong."
        )
    return None
