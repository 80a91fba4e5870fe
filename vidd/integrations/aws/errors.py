"""What the errors of S3 and SQS mean (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from botocore import exceptions as boto

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, OutcomeUnknown, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator

ABSENT = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404", "MethodNotAllowed"})
"""Error codes that say that there is no such object."""

_THROTTLED = {
    "SlowDown", "Throttling", "ThrottlingException", "RequestThrottled", "RequestLimitExceeded", "TooManyRequests",
    "KmsThrottled",
}  # fmt: skip
_BUSY = {"RequestTimeout", "OperationAborted", "ConditionalRequestConflict", "BadDigest"}

_LOST = (boto.HTTPClientError, boto.EndpointConnectionError, boto.IncompleteReadError, aiohttp.ClientError)


class _Rule(NamedTuple):
    """An answer with one of these error codes or statuses is refused for this reason."""

    code: FaultCode
    codes: frozenset[str]
    statuses: frozenset[int]
    sentence: str


def _rule(code: FaultCode, codes: str, sentence: str, *statuses: int) -> _Rule:
    return _Rule(code, frozenset(codes.split()), frozenset(statuses), sentence)


_REFUSALS = (
    _rule(
        FaultCode.UNAUTHORIZED,
        "InvalidAccessKeyId SignatureDoesNotMatch InvalidClientTokenId UnrecognizedClientException ExpiredToken"
        " ExpiredTokenException InvalidToken TokenRefreshRequired InvalidSecurity",
        "The provider does not accept the credentials ({code}) for {doing}: correct the account's keys.",
    ),
    _rule(
        FaultCode.BAD_SETTINGS,
        "RequestTimeTooSkewed",
        "This host's clock is wrong, so the provider refused {doing}: set the clock.",
    ),
    _rule(
        FaultCode.REJECTED,
        "InvalidObjectState",
        "The object lies in an archive and cannot be read at {doing}: restore it and retry.",
    ),
    _rule(
        FaultCode.NOT_FOUND,
        "NoSuchBucket",
        "The bucket does not exist, which {doing} needs: correct its name, or create it (`vidd check --create` creates"
        " the buckets of publishers).",
    ),
    _rule(
        FaultCode.NOT_FOUND,
        "AWS.SimpleQueueService.NonExistentQueue QueueDoesNotExist",
        "The queue does not exist, which {doing} needs: correct its address, or create it (`vidd check --create` creates"
        " what sources and publishers name by `queue`).",
    ),
    _rule(
        FaultCode.NOT_FOUND,
        " ".join(sorted(ABSENT)),
        "The object is not there at {doing}: it was deleted, or never was; send it again.",
    ),
    _rule(
        FaultCode.CONFLICT,
        "PreconditionFailed",
        "The object was replaced in the middle of {doing}: its new state comes as a new arrival.",
        412,
    ),
    _rule(
        FaultCode.BAD_SETTINGS,
        "AccessControlListNotSupported",
        "The bucket takes no ACLs (its owner owns all objects), which {doing} needs: remove acl of the publisher, and give the"
        " bucket a policy by which everybody may download.",
    ),
    _rule(
        FaultCode.FORBIDDEN,
        "AccessDenied AccessDeniedException AllAccessDisabled AccountProblem Forbidden",
        "The account may not do this ({code}): {doing}. Give it the right, or correct its keys.",
        401,
        403,
    ),
)


def code_of(error: boto.ClientError) -> str:
    """The provider's error code, such as NoSuchKey; the status if it sent none."""
    return str(error.response.get("Error", {}).get("Code") or status_of(error))


def status_of(error: boto.ClientError) -> int:
    """The HTTP status of the answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def _retry_after(error: boto.ClientError) -> float | None:
    value = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return float(value) if str(value).isdigit() else None


def _fault_of_answer(error: boto.ClientError, doing: str, *, commits: bool) -> Fault:
    code, status = code_of(error), status_of(error)
    if code in _BUSY | _THROTTLED or status in {429, 503}:
        return RetryLater(
            f"The provider is busy ({code}) at {doing}; vidd will retry.",
            after=_retry_after(error),
            code=FaultCode.UNAVAILABLE if code in _BUSY else FaultCode.RATE_LIMITED,
        )
    if status >= 500 and status != 501:
        if commits:
            return OutcomeUnknown(f"The provider failed ({code}) in the middle of {doing}: look whether it is there.")
        return RetryLater(f"The provider failed ({code}) at {doing}; vidd will retry.", after=_retry_after(error))
    for rule in _REFUSALS:
        if code in rule.codes or status in rule.statuses:
            return Refused(rule.sentence.format(code=code, doing=doing), code=rule.code)
    said = printable(str(error.response.get("Error", {}).get("Message", "")), 200)
    return Refused(f"The provider refused {doing}: {code} {said}".rstrip(" .") + ".", code=FaultCode.REJECTED)


def _was_never_sent(error: Exception) -> bool:
    cause = getattr(error, "kwargs", {}).get("error")
    if isinstance(error, boto.SSLError):
        return not isinstance(cause, aiohttp.ClientConnectorCertificateError)
    if isinstance(error, boto.EndpointConnectionError):
        # aiobotocore also gives this name to a connection that broke after the request had gone out.
        return isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return isinstance(error, boto.ConnectTimeoutError | boto.ProxyConnectionError)


def fault_of(error: Exception, doing: str, *, commits: bool = False) -> Fault:
    """The fault of an error at `doing` ("reading s3://a/b"). `commits`: if the answer is lost, the outcome is unknown."""
    if isinstance(error, boto.ClientError):
        return _fault_of_answer(error, doing, commits=commits)
    # aiobotocore wraps whatever it does not know, such as what vidd says of a proxy.
    if isinstance(error, boto.HTTPClientError) and isinstance(fault := error.kwargs.get("error"), Fault):
        return fault
    if _was_never_sent(error):
        return RetryLater(f"vidd cannot reach the provider for {doing} and will retry.", code=FaultCode.UNREACHABLE)
    if isinstance(error, _LOST):
        if commits:
            return OutcomeUnknown(f"The connection was lost in the middle of {doing}: look whether it is there.")
        return RetryLater(f"The connection was lost at {doing}; vidd will retry.", code=FaultCode.UNREACHABLE)
    return _fault_of_settings(error, doing)


def _fault_of_settings(error: Exception, doing: str) -> Fault:
    match error:
        case boto.NoCredentialsError() | boto.PartialCredentialsError() | boto.NoAuthTokenError():
            return Refused(
                f"There are no credentials for {doing}: set access_key and secret_key of the account.",
                code=FaultCode.BAD_SETTINGS,
            )
        case boto.NoRegionError():
            return Refused(f"No region is known for {doing}: set region of the account.", code=FaultCode.BAD_SETTINGS)
        case boto.CredentialRetrievalError() | boto.MetadataRetrievalError() | boto.TokenRetrievalError():
            return RetryLater(f"This host's role gave no credentials for {doing}; vidd will retry.")
        case boto.SSLError():
            return Refused(
                f"The server's certificate is not trusted at {doing}: set ca of the account.",
                code=FaultCode.BAD_SETTINGS,
            )
        case _:
            return Refused(
                f"The settings do not allow {doing}: {printable(str(error), 300)}", code=FaultCode.BAD_SETTINGS
            )


@contextmanager
def map_errors(doing: str, *, commits: bool = False) -> Iterator[None]:
    """Raise what botocore and its connection raise as faults; see `fault_of`."""
    try:
        yield
    except (boto.BotoCoreError, boto.ClientError, aiohttp.ClientError) as error:
        raise fault_of(error, doing, commits=commits) from error
