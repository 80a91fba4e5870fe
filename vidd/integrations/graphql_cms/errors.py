"""What the errors of a GraphQL server and of gql mean: in answers, close codes, HTTP statuses, lost connections.

Errors are {"message", "path", "extensions": {"code"}} (GraphQL specification, "Errors"); one without a path is about
the request, one with a path about a field that failed while it was answered. Close codes are those of the protocol
`graphql-transport-ws` ("GraphQL over WebSocket Protocol") and of RFC 6455, 7.4.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from gql.transport.exceptions import TransportConnectionFailed, TransportQueryError, TransportServerError

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, Refused, RetryLater

_NOT_ALLOWED = {
    "UNAUTHENTICATED",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "KS_ACCESS_DENIED",
    "ACCESS_DENIED",
    "INVALID_CREDENTIALS",
}
_CLOSED: Mapping[int, tuple[type[Fault], str]] = {
    1000: (RetryLater, "it ended the connection"),
    1001: (RetryLater, "it is going away"),
    1002: (RetryLater, "it found a fault in the protocol"),
    1003: (Refused, "it does not take text"),
    1008: (Refused, "its rules do not allow this"),
    1009: (Refused, "a message was too big for it"),
    1011: (RetryLater, "it failed"),
    1012: (RetryLater, "it is restarting"),
    1013: (RetryLater, "it is too busy"),
    4004: (RetryLater, "it could not answer"),
    4400: (Refused, "it calls what was sent malformed"),
    4406: (Refused, "it does not speak this protocol"),
    4408: (RetryLater, "the greeting came too late for it"),
    4409: (RetryLater, "it already has a subscription of this number"),
    4429: (RetryLater, "it calls this too many connections or greetings"),
    4499: (RetryLater, "it ended the connection"),
    4500: (RetryLater, "it failed"),
}  # fmt: skip


_CREDENTIALS = "correct the token, or the e-mail and password, of its account"


class NotAllowed(Refused):
    """The server refuses these credentials."""

    default_code = FaultCode.UNAUTHORIZED


def join_messages(errors: Iterable[Any], secrets: Sequence[str] = ()) -> str:
    """The messages of GraphQL errors, each once, without secrets, no longer than a line."""
    found: list[str] = []
    for error in errors:
        said = error.get("message") if isinstance(error, Mapping) else error
        text = _printed(str(said), secrets)
        if text not in found:
            found.append(text)
    return "; ".join(found[:3]) + ("; …" if len(found) > 3 else "")


def hide_secrets(text: str, secrets: Sequence[str]) -> str:
    """A foreign text with each of `secrets` replaced."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "[hidden]")
    return text


def fault_of_errors(errors: Sequence[Any], doing: str, *, secrets: Sequence[str] = ()) -> Fault:
    """The fault of an answer that has errors and no data. `doing` is for sentences: "asking for the objects"."""
    said = join_messages(errors, secrets)
    known = [error for error in errors if isinstance(error, Mapping)]
    codes = {
        str((error.get("extensions") or {}).get("code", ""))
        for error in known
        if isinstance(error.get("extensions"), Mapping)
    }
    if codes & _NOT_ALLOWED:
        return NotAllowed(f"The CMS does not allow {doing} ({said}): {_CREDENTIALS}.")
    if known and all(error.get("path") for error in known):
        return RetryLater(f"The CMS failed at {doing} ({said}); vidd will retry.")
    return Refused(
        f"The CMS refuses {doing} ({said}): correct the document in the settings, or the CMS.", code=FaultCode.REJECTED
    )


def fault_of_close(code: int | None, reason: str, doing: str, *, secrets: Sequence[str] = ()) -> Fault:
    """The fault of a connection that the server closed; `code` is None if it broke without a close code."""
    if code is None or code in {1005, 1006}:
        return RetryLater(
            f"The connection to the CMS broke at {doing}; vidd will make it again.", code=FaultCode.UNREACHABLE
        )
    said = _printed(reason, secrets)
    reason_given = f" and said {said!r}" if said else ""
    if code in {4401, 4403}:
        return NotAllowed(f"The CMS closed the connection with {code}{reason_given} at {doing}: {_CREDENTIALS}.")
    fate, meaning = _CLOSED.get(code, (Refused if 4400 <= code < 4500 else RetryLater, "it gives no known reason"))
    if fate is Refused:
        return Refused(
            f"The CMS closed the connection with {code}{reason_given} at {doing} ({meaning}): correct {_culprit(code)}.",
            code=FaultCode.REJECTED,
        )
    return RetryLater(
        f"The CMS closed the connection with {code}{reason_given} at {doing} ({meaning}); vidd will make it again."
    )


def _culprit(code: int) -> str:
    return "`protocol` of the source" if code == 4406 else "the subscription in the settings, or the CMS"


def fault_of_status(status: int, doing: str, said: str = "", *, after: float | None = None) -> Fault:
    """The fault of an HTTP answer that is not a success."""
    details = f" ({said})" if said else ""
    if status in {401, 403}:
        return NotAllowed(f"The CMS does not allow ({status}) {doing}{details}: {_CREDENTIALS}.")
    if status in {408, 425, 429} or status >= 500:
        code = FaultCode.RATE_LIMITED if status == 429 else FaultCode.UNAVAILABLE
        return RetryLater(f"The CMS answered {status} at {doing}{details}; vidd will retry.", after=after, code=code)
    if 300 <= status < 400:
        return Refused(
            f"The CMS redirects ({status}) at {doing}: give its account the address that it leads to.",
            code=FaultCode.BAD_SETTINGS,
        )
    if status in {404, 405, 410, 426}:
        return Refused(
            f"There is no GraphQL ({status}) at {doing}: correct the address of the account.", code=FaultCode.NOT_FOUND
        )
    return Refused(
        f"The CMS answered {status} at {doing}{details}: correct the account, or what is asked.",
        code=FaultCode.REJECTED,
    )


def fault_of_connection(error: Exception, doing: str) -> Fault:
    """The fault of a connection that could not be made, or was lost before an answer."""
    match error:
        case aiohttp.WSServerHandshakeError():
            return fault_of_status(error.status, doing)
        case aiohttp.ClientConnectorCertificateError():
            return Refused(
                f"The CMS's certificate is not trusted at {doing}: name its authority with `ca` of the account.",
                code=FaultCode.BAD_SETTINGS,
            )
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return Refused(
                f"The address at {doing} is not a URL: correct `url` or `ws_url` of the account.",
                code=FaultCode.BAD_SETTINGS,
            )
        case aiohttp.ClientConnectorError():
            return RetryLater(f"vidd cannot reach the CMS for {doing} and will retry.", code=FaultCode.UNREACHABLE)
    return RetryLater(f"The connection to the CMS was lost at {doing}; vidd will retry.", code=FaultCode.UNREACHABLE)


@dataclass(slots=True)
class ConnectionEnd:
    """How a WebSocket ended: the server's close code (None without one) and reason, or the message that refused the login."""

    code: int | None = None
    reason: str = ""
    refusal: str | None = None


def fault_of_subscription(
    error: Exception, end: ConnectionEnd, doing: str, *, opening: bool, secrets: Sequence[str] = ()
) -> Fault:
    """The fault of an error that gql's transport raised; `opening`: before the server acknowledged the greeting."""
    if isinstance(error, TransportQueryError):
        return fault_of_errors(error.errors or [str(error)], "the subscription", secrets=secrets)
    if isinstance(error, TransportConnectionFailed):
        if end.code is None and isinstance(error.__cause__, Exception):
            return fault_of_connection(error.__cause__, doing)
        return fault_of_close(end.code, end.reason, doing, secrets=secrets)
    refusal = str(error) if isinstance(error, TransportServerError) else end.refusal
    if refusal is not None and opening:
        said = _printed(refusal, secrets)
        return NotAllowed(f"The CMS refused the greeting of the subscription ({said}): correct its account.")
    match error:
        case TransportServerError():
            sentence, code = "The CMS answers no ping; vidd will make the connection again.", FaultCode.UNREACHABLE
        case TimeoutError():
            sentence = f"The CMS did not acknowledge the greeting at {doing} in time; vidd will retry."
            code = FaultCode.NO_ANSWER
        case _:
            said = _printed(str(error), secrets)
            sentence = f"The CMS sent a message that is not of the protocol at {doing} ({said}); vidd will retry."
            code = FaultCode.UNAVAILABLE
    return RetryLater(sentence, code=code)


def _printed(text: str, secrets: Sequence[str]) -> str:
    return printable(" ".join(hide_secrets(text, secrets).split()), 160)
