"""What errors of MongoDB mean (github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from bson.errors import BSONError
from dns.exception import Timeout
from dns.resolver import NoNameservers
from pymongo import errors

from vidd.display_text import printable
from vidd.errors import Fault, Refused, RetryLater
from vidd.ports import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator

DUPLICATE = frozenset({11000, 11001, 12582})
"""Another document has the key."""

_TRANSIENT = ("RetryableWriteError", "TransientTransactionError")


class TooLarge(Refused):
    """No document of MongoDB can hold it."""


class _Rule(NamedTuple):
    """Answers with these codes have this fate and sentence."""

    codes: frozenset[int]
    fate: Callable[[str], Fault]
    sentence: str


_RULES = (
    _Rule(
        frozenset({6, 7, 89, 9001, 384, 402, 91, 189, 216, 10058, 10107, 11600, 11602, 13435, 13436}),
        RetryLater,
        "MongoDB is changing its primary or going down ({code}) at {doing}; it is tried again.",
    ),
    _Rule(
        frozenset({24, 43, 46, 50, 64, 100, 112, 133, 134, 175, 202, 237, 246, 251, 262, 290, 365, 462, 11601}),
        RetryLater,
        "MongoDB is too busy for {doing} ({code}); it is tried again.",
    ),
    _Rule(
        frozenset({14031}),
        partial(RetryLater, counts=False),
        "MongoDB's disk is full at {doing}: make room, and it goes on by itself.",
    ),
    _Rule(
        frozenset({11, 18, 334, 8000}),
        Refused,
        "MongoDB does not accept the login of the account {name!r}: correct its user and password.",
    ),
    _Rule(
        frozenset({20}),
        Refused,
        "MongoDB cannot do what {doing} needs: make it a replica set (--replSet and rs.initiate(), one member will do).",
    ),
    _Rule(
        frozenset({13, 31, 33}),
        Refused,
        "The account {name!r} may not do this: {doing}. Give its user readWrite on the database.",
    ),
    _Rule(
        frozenset({10334, 17280, 17419, 17420}),
        TooLarge,
        "It is more than a document of MongoDB can hold (16 MiB): {doing}.",
    ),
)
_TOO_LARGE = 10334


def fault_of(error: errors.PyMongoError | BSONError, doing: str, name: str) -> Exception:
    """What an error at `doing` ("keeping a job") means, with the account `name`.

    RetryLater, Refused, or Conflict where another document has the key; anything else is a defect and comes back as it
    is. What was sent and got no answer is RetryLater too: writes must be such that they may be repeated.
    """
    match error:
        case errors.ServerSelectionTimeoutError():
            return _unreachable(str(error), doing, name)
        case errors.OperationFailure() | errors.NotPrimaryError() | errors.DocumentTooLarge():
            return _of_answer(error, doing, name)
        case errors.ConnectionFailure() | errors.WaitQueueTimeoutError():
            return RetryLater(f"The connection to MongoDB was lost at {doing}; it is tried again.")
        case errors.ConfigurationError() | errors.InvalidURI() | errors.InvalidName():
            return _of_settings(error, doing, name)
    return error


def _unreachable(said: str, doing: str, name: str) -> Fault:
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return Refused(f"MongoDB's certificate is not trusted at {doing}: set ca of the account {name!r}.")
    if any(one in said for one in ("No replica set members match", "No primary", "NotPrimaryError")):
        return RetryLater(f"MongoDB has no primary for {doing}; it is tried again.")
    return RetryLater(f"MongoDB cannot be reached for {doing}; it is tried again.")


def _of_settings(error: errors.PyMongoError, doing: str, name: str) -> Fault:
    # An address of the other kind (mongodb+srv) is looked up in the DNS, which may be away.
    if isinstance(error.__cause__ or error.__context__, Timeout | NoNameservers):
        return RetryLater(f"MongoDB's address cannot be looked up for {doing}; it is tried again.")
    said = printable(str(error), 200)
    return Refused(f"MongoDB cannot be asked with the account {name!r} ({said}): correct [accounts.{name}].")


def _of_answer(error: errors.PyMongoError | BSONError, doing: str, name: str) -> Exception:
    code, said = _code_of(error), _said(error)
    transient = isinstance(error, errors.PyMongoError) and any(error.has_error_label(label) for label in _TRANSIENT)
    busy = getattr(error, "timeout", False) or transient
    if busy and not any(code in rule.codes for rule in _RULES):
        return RetryLater(f"MongoDB is too busy for {doing} ({code or 'a time limit'}); it is tried again.")
    return _of_code(code, said, doing, name)


def _of_code(code: int, said: str, doing: str, name: str) -> Exception:
    if code in DUPLICATE:
        return Conflict(f"something else has the key at {doing}")
    for rule in _RULES:
        if code in rule.codes:
            return rule.fate(rule.sentence.format(code=code, doing=doing, name=name))
    return Refused(f"MongoDB refused {doing}: {code} {printable(said, 200)}".rstrip(" .") + ".")


def _answers(error: errors.PyMongoError | BSONError) -> list[Mapping[str, Any]]:
    """What the server said: of a bulk write, all it has against it."""
    details = getattr(error, "details", None) or {}
    if isinstance(error, errors.BulkWriteError):
        return [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    return [details]


def _code_of(error: errors.PyMongoError | BSONError) -> int:
    """The code that decides: any other before that of a key which is known."""
    if isinstance(error, errors.DocumentTooLarge):
        return _TOO_LARGE
    codes = [int(answer.get("code") or 0) for answer in _answers(error)]
    return next((code for code in codes if code not in DUPLICATE), codes[0] if codes else 0)


def _said(error: errors.PyMongoError | BSONError) -> str:
    code = _code_of(error)
    return next((str(answer.get("errmsg", "")) for answer in _answers(error) if answer.get("code") == code), "")


def known_of(error: errors.BulkWriteError) -> set[int] | None:
    """Of an unordered bulk write, the places whose key another document has; None where it failed in another way, too."""
    if _code_of(error) not in DUPLICATE:
        return None
    return {int(answer["index"]) for answer in _answers(error)}


@contextmanager
def asking(doing: str, name: str) -> Iterator[None]:
    """Turn what pymongo raises inside into what it means (`fault_of`)."""
    try:
        yield
    except (errors.PyMongoError, BSONError) as error:
        meant = fault_of(error, doing, name)
        if meant is error:
            raise
        raise meant from error
