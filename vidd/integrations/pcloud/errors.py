"""What pCloud's answers mean (docs.pcloud.com/errors).

An answer has status 200 and a `result`: 0 is success, 1xxx a malformed call, 2xxx a call that cannot be fulfilled, 4xxx
too many calls, 5xxx a failure of pCloud, 7xxx a link that no longer exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Collection

NO_FILE = frozenset({2009, 2055})
NO_FOLDER = frozenset({2002, 2005})
NOT_EMPTY = 2006
LOGIN = frozenset({1000, 2000, 2094, 2095})
"""Not logged in; or the log-in is wrong, expired or revoked."""

_FULL = 2008
_BROKEN = 2041
_WAIT_WHEN_FULL, _WAIT_WHEN_BUSY = 900.0, 300.0


class _Rule(NamedTuple):
    """An answer with one of these results, or without a result one of these statuses, is refused for this reason."""

    code: FaultCode
    results: frozenset[int]
    statuses: frozenset[int]
    sentence: str


def _rule(code: FaultCode, results: Collection[int], sentence: str, *statuses: int) -> _Rule:
    return _Rule(code, frozenset(results), frozenset(statuses), sentence)


_REFUSALS = (
    _rule(
        FaultCode.UNAUTHORIZED,
        {1022, 2297},
        "pCloud wants a second factor from the account {account!r}, which a daemon has not: give a token in place of user"
        " and password.",
    ),
    _rule(
        FaultCode.UNAUTHORIZED,
        LOGIN,
        "pCloud does not accept the log-in of the account {account!r} ({said}) for {doing}: correct its token, or user and"
        " password, and see whether its region (us or eu) is the one it was made in.",
        401,
    ),
    _rule(
        FaultCode.NOT_FOUND,
        NO_FILE,
        "There is no such file ({said}) at {doing}: it was deleted, or is not for the account {account!r} to see; correct"
        " its id, or upload it again.",
    ),
    _rule(
        FaultCode.NOT_FOUND,
        NO_FOLDER,
        "There is no such folder ({said}) at {doing}: it was deleted, or is not for the account {account!r} to see;"
        " correct its id, or make the folder.",
    ),
    _rule(
        FaultCode.FORBIDDEN,
        {2003},
        "The account {account!r} may not do this on pCloud ({said}): {doing}. Share it with the account, with the right to"
        " change it.",
        403,
    ),
    _rule(
        FaultCode.BAD_INPUT,
        {2001, 2010},
        "pCloud does not accept the name ({said}) at {doing}: choose another name.",
    ),
)


@dataclass
class PCloudError(Exception):
    """An answer that is not a success: its `result`, or 0 and its `status`. `wait` is Retry-After in seconds."""

    result: int
    message: str = ""
    status: int = 200
    wait: float | None = None

    @property
    def said(self) -> str:
        """Result and message, for a sentence."""
        return printable(f"{self.result or self.status} {self.message}".strip(" ."), 200)


def fault_of(error: PCloudError, doing: str, account: str) -> Fault:
    """The fault of an error at `doing`; `account` is the account's name in the settings."""
    return _temporary(error, doing, account) or _refusal(error, doing, account)


def _temporary(error: PCloudError, doing: str, account: str) -> RetryLater | None:
    if error.result == _FULL:
        return RetryLater(
            f"The pCloud account {account!r} is full, which stopped {doing}: free some space; vidd will continue by itself.",
            after=_WAIT_WHEN_FULL,
            counts=False,
            code=FaultCode.QUOTA,
        )
    if error.result // 1000 == 4 or error.status == 429:
        return RetryLater(
            f"pCloud limits the number of calls ({error.said}) at {doing}; vidd will retry.",
            after=error.wait or _WAIT_WHEN_BUSY,
            counts=False,
            code=FaultCode.RATE_LIMITED,
        )
    if error.result // 1000 == 5 or error.result == _BROKEN or error.status in {408, 425} or error.status >= 500:
        return RetryLater(f"pCloud failed ({error.said}) at {doing}; vidd will retry.", after=error.wait)
    return None


def _refusal(error: PCloudError, doing: str, account: str) -> Refused:
    for rule in _REFUSALS:
        if error.result in rule.results or (not error.result and error.status in rule.statuses):
            return Refused(rule.sentence.format(said=error.said, doing=doing, account=account), code=rule.code)
    return Refused(f"pCloud refused {doing} ({error.said}): correct what it names.", code=FaultCode.REJECTED)
