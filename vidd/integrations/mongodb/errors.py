"""The table of MongoDB's errors and what they mean for vidd.

Codes: github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
"""

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
from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.ports import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator

DUPLICATE = frozenset({11000, 11001, 12582})
"""Another document has the key."""

_TRANSIENT = ("RetryableWriteError", "TransientTransactionError")


class TooLarge(Refused):
    """No document of MongoDB can hold it."""


class NoTransactions(Refused):
    """This MongoDB has no transactions."""


class _Rule(NamedTuple):
    """The fault that answers with these codes mean."""

    codes: frozenset[int]
    fault: Callable[..., Fault]
    code: FaultCode
    sentence: str


_RULES = (
    _Rule(
        frozenset({6, 7, 89, 9001, 384, 402, 91, 189, 216, 10058, 10107, 11600, 11602, 13435, 13436}),
        RetryLater,
        FaultCode.UNAVAILABLE,
        "MongoDB is changing its primary or going down ({code}) while {doing}; vidd will retry.",
    ),
    _Rule(
        frozenset({24, 43, 46, 50, 64, 100, 112, 133, 134, 175, 202, 237, 246, 251, 262, 290, 365, 462, 11601}),
        RetryLater,
        FaultCode.BUSY,
        "MongoDB is too busy for {doing} ({code}); vidd will retry.",
    ),
    _Rule(
        frozenset({14031}),
        partial(RetryLater, counts=False),
        FaultCode.DISK_FULL,
        "MongoDB's disk is full (while {doing}): make room; vidd will retry.",
    ),
    _Rule(
        frozenset({11, 18, 334, 8000}),
        Refused,
        FaultCode.UNAUTHORIZED,
        "MongoDB does not accept the login of the account {name!r}: correct its user and password.",
    ),
    _Rule(
        frozenset({20}),
        NoTransactions,
        FaultCode.BAD_SETTINGS,
        "MongoDB refused {doing}, which no single server does: make it a replica set (--replSet and rs.initiate(), one member"
        " is enough).",
    ),
    _Rule(
        frozenset({13, 31, 33}),
        Refused,
        FaultCode.FORBIDDEN,
        "The account {name!r} may not do this: {doing}. Give its user readWrite on the database.",
    ),
    _Rule(
        frozenset({10334, 17280, 17419, 17420}),
        TooLarge,
        FaultCode.BAD_INPUT,
        "It is larger than a document of MongoDB can be (16 MiB): {doing}.",
    ),
)
_TOO_LARGE = 10334


def fault_of(error: errors.PyMongoError | BSONError, doing: str, name: str) -> Exception:
    """The fault that an error while `doing` ("saving a job") with the account `name` means.

    RetryLater, Refused, or Conflict where another document has the key; any other error is a defect and is returned as it
    is. A request without an answer is RetryLater too: every write must be repeatable.
    """
    match error:
        case errors.ServerSelectionTimeoutError():
            return _of_unreachable(str(error), doing, name)
        case errors.OperationFailure() | errors.NotPrimaryError() | errors.DocumentTooLarge():
            return _of_answer(error, doing, name)
        case errors.ConnectionFailure() | errors.WaitQueueTimeoutError():
            return RetryLater(
                f"The connection to MongoDB was lost while {doing}; vidd will retry.", code=FaultCode.UNREACHABLE
            )
        case errors.ConfigurationError() | errors.InvalidURI() | errors.InvalidName():
            return _of_settings(error, doing, name)
    return error


def _of_unreachable(text: str, doing: str, name: str) -> Fault:
    # pymongo puts the reasons of all servers into one text, and gives no code.
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return Refused(
            f"MongoDB's certificate is not trusted (while {doing}): set ca of the account {name!r}.",
            code=FaultCode.BAD_SETTINGS,
        )
    if any(words in text for words in ("No replica set members match", "No primary", "NotPrimaryError")):
        return RetryLater(
            f"MongoDB has no primary for {doing} (a single server has none: take replicaSet out of its uri); vidd will retry.",
            code=FaultCode.UNAVAILABLE,
        )
    return RetryLater(f"MongoDB cannot be reached for {doing}; vidd will retry.", code=FaultCode.UNREACHABLE)


def _of_settings(error: errors.PyMongoError, doing: str, name: str) -> Fault:
    # The hosts of mongodb+srv:// are looked up in the DNS, which may be away.
    if isinstance(error.__cause__ or error.__context__, Timeout | NoNameservers):
        return RetryLater(
            f"MongoDB's address cannot be looked up for {doing}; vidd will retry.", code=FaultCode.UNREACHABLE
        )
    return bad_account(printable(str(error), 200), name)


def bad_account(text: str, name: str) -> Refused:
    """The account's settings are wrong, for this reason."""
    return Refused(
        f"MongoDB cannot be used with the account {name!r} ({text}): correct [accounts.{name}].",
        code=FaultCode.BAD_SETTINGS,
    )


def _of_answer(error: errors.PyMongoError | BSONError, doing: str, name: str) -> Exception:
    code = _code_of(error)
    for rule in _RULES:
        if code in rule.codes:
            return rule.fault(rule.sentence.format(code=code, doing=doing, name=name), code=rule.code)
    transient = isinstance(error, errors.PyMongoError) and any(error.has_error_label(label) for label in _TRANSIENT)
    if getattr(error, "timeout", False) or transient:
        return RetryLater(
            f"MongoDB is too busy for {doing} ({code or 'a time limit'}); vidd will retry.", code=FaultCode.BUSY
        )
    if code in DUPLICATE:
        return Conflict(f"something else has the key while {doing}")
    message = next((str(answer.get("errmsg", "")) for answer in _answers(error) if answer.get("code") == code), "")
    return Refused(
        f"MongoDB refused {doing}: {code} {printable(message, 200)}".rstrip(" .") + ".", code=FaultCode.REJECTED
    )


def _answers(error: errors.PyMongoError | BSONError) -> list[Mapping[str, Any]]:
    """The server's answer; of a bulk write, all errors in it."""
    details = getattr(error, "details", None) or {}
    if isinstance(error, errors.BulkWriteError):
        return [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    return [details]


def _code_of(error: errors.PyMongoError | BSONError) -> int:
    """The code that decides: of several, one that is not a duplicate key."""
    if isinstance(error, errors.DocumentTooLarge):
        return _TOO_LARGE
    codes = [int(answer.get("code") or 0) for answer in _answers(error)]
    return next((code for code in codes if code not in DUPLICATE), codes[0] if codes else 0)


def duplicate_positions(error: errors.BulkWriteError) -> set[int] | None:
    """The positions in an unordered bulk write whose key another document has; None where it failed in another way too."""
    if _code_of(error) not in DUPLICATE:
        return None
    return {int(answer["index"]) for answer in _answers(error)}


@contextmanager
def map_errors(doing: str, name: str) -> Iterator[None]:
    """Turn what pymongo raises inside into a fault (`fault_of`)."""
    try:
        yield
    except (errors.PyMongoError, BSONError) as error:
        fault = fault_of(error, doing, name)
        if fault is error:
            raise
        raise fault from error
