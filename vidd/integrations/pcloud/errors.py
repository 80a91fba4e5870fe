"""What pCloud's answers mean (docs.pcloud.com/errors).

An answer has status 200 and a `result`: 0 is success, 1xxx a call that makes no sense, 2xxx a wish that cannot be
fulfilled, 4xxx that there were too many, 5xxx that pCloud failed, 7xxx a link that is no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from vidd.display_text import printable
from vidd.errors import Fault, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Collection

NO_FILE = frozenset({2009, 2055})
NO_FOLDER = frozenset({2002, 2005})
NOT_EMPTY = 2006
LOGIN = frozenset({1000, 2000, 2094, 2095})
"""Not logged in, wrong, expired or revoked."""

_FULL = 2008
_BROKEN = 2041
_WAIT_WHEN_FULL, _WAIT_WHEN_BUSY = 900.0, 300.0


class _Rule(NamedTuple):
    """Answers with these results, or without one with these statuses, are refusals with this sentence."""

    results: frozenset[int]
    statuses: frozenset[int]
    sentence: str


def _rule(results: Collection[int], sentence: str, *statuses: int) -> _Rule:
    return _Rule(frozenset(results), frozenset(statuses), sentence)


_REFUSALS = (
    _rule(
        {1022, 2297},
        "pCloud wants a second factor from the account {account!r}, which a daemon has not: give a token in place of user"
        " and password.",
    ),
    _rule(
        LOGIN,
        "pCloud does not accept the log-in of the account {account!r} ({said}) for {doing}: correct its token, or user and"
        " password, and see whether its region (us or eu) is the one it was made in.",
        401,
    ),
    _rule(
        NO_FILE,
        "There is no such file ({said}) at {doing}: it was deleted, or is not for the account {account!r} to see; correct"
        " its id, or upload it again.",
    ),
    _rule(
        NO_FOLDER,
        "There is no such folder ({said}) at {doing}: it was deleted, or is not for the account {account!r} to see;"
        " correct its id, or make the folder.",
    ),
    _rule(
        {2003},
        "The account {account!r} may not do this on pCloud ({said}): {doing}. Share it with the account, with the right to"
        " change it.",
        403,
    ),
    _rule({2001, 2010}, "pCloud takes no such name ({said}) at {doing}: have it named otherwise."),
)


@dataclass
class PCloudError(Exception):
    """An answer that is no success: its `result`, or where it had none its status. `wait` is Retry-After in seconds."""

    result: int
    message: str = ""
    status: int = 200
    wait: float | None = None

    @property
    def said(self) -> str:
        """The answer for a sentence."""
        return printable(f"{self.result or self.status} {self.message}".strip(" ."), 200)


def fate_of(error: PCloudError, doing: str, account: str) -> Fault:
    """The fate of an error at `doing`, for the account of this name."""
    return _passing(error, doing, account) or _refusal(error, doing, account)


def _passing(error: PCloudError, doing: str, account: str) -> RetryLater | None:
    if error.result == _FULL:
        return RetryLater(
            f"The pCloud account {account!r} is full, which stopped {doing}: free some space, it goes on by itself.",
            after=_WAIT_WHEN_FULL,
            counts=False,
        )
    if error.result // 1000 == 4 or error.status == 429:
        return RetryLater(
            f"pCloud wants to be let alone for a while ({error.said}) at {doing}; it is tried again.",
            after=error.wait or _WAIT_WHEN_BUSY,
            counts=False,
        )
    if error.result // 1000 == 5 or error.result == _BROKEN or error.status in {408, 425} or error.status >= 500:
        return RetryLater(f"pCloud failed ({error.said}) at {doing}; it is tried again.", after=error.wait)
    return None


def _refusal(error: PCloudError, doing: str, account: str) -> Refused:
    for rule in _REFUSALS:
        if error.result in rule.results or (not error.result and error.status in rule.statuses):
            return Refused(rule.sentence.format(said=error.said, doing=doing, account=account))
    return Refused(f"pCloud refused {doing} ({error.said}): correct what it names.")
