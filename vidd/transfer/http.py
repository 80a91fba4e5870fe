"""HTTP sessions, and what answers and broken connections mean (RFC 9110)."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def session(*, connect: float = 15.0, idle: float = 60.0) -> aiohttp.ClientSession:
    """A session without a limit on the whole transfer; `idle` is the longest wait for the next bytes, in seconds."""
    return aiohttp.ClientSession(timeout=idle_timeout(connect, idle), auto_decompress=False)


def idle_timeout(connect: float, idle: float) -> aiohttp.ClientTimeout:
    """Limits for a connection and then for the next bytes (seconds), but none for the whole transfer."""
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect, sock_read=idle)


def ssl_context(ca: Path | None) -> ssl.SSLContext:
    """Trust the system's authorities and those of the file `ca`; Refused if the file cannot be read."""
    context = ssl.create_default_context()
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except OSError as error:
            raise Refused(
                f"vidd cannot read the certificates in {ca} ({error}): correct `ca` of the account.",
                code=FaultCode.BAD_SETTINGS,
            ) from error
    return context


def public_url(url: str) -> str:
    """A URL without the parts that may be secret: user, password, query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return printable(f"{parts.scheme}://{host}{parts.path}", 200)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())


def fault_of_status(status: int, doing: str, *, after: float | None = None) -> Fault:
    """The fault of an answer that is not a success, at `doing` ("fetching https://…")."""
    if status in {408, 425, 429} or status >= 500:
        code = FaultCode.RATE_LIMITED if status == 429 else FaultCode.UNAVAILABLE
        return RetryLater(f"The server answered {status} at {doing}; vidd will retry.", after=after, code=code)
    if status in {404, 410}:
        return Refused(
            f"There is nothing ({status}) at {doing}: it was deleted, or the address is wrong.",
            code=FaultCode.NOT_FOUND,
        )
    if status in {401, 403}:
        return Refused(
            f"The server does not allow ({status}) {doing}: give an address that vidd may read.",
            code=FaultCode.UNAUTHORIZED if status == 401 else FaultCode.FORBIDDEN,
        )
    return Refused(f"The server answered {status} at {doing}: correct the address.", code=FaultCode.REJECTED)


@contextmanager
def map_errors(doing: str) -> Iterator[None]:
    """Raise aiohttp's errors as faults. For requests that may be repeated."""
    try:
        yield
    except (aiohttp.NonHttpUrlClientError, aiohttp.InvalidURL) as error:
        sentence = f"{doing} leads to an address that is not http or https: correct the address."
        raise Refused(sentence[0].upper() + sentence[1:]) from error
    except aiohttp.TooManyRedirects as error:
        raise Refused(
            f"The server redirects in a circle at {doing}: correct the address.", code=FaultCode.REJECTED
        ) from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise Refused(
            f"The server's certificate is not trusted at {doing}: correct the server.", code=FaultCode.REJECTED
        ) from error
    except aiohttp.ClientConnectorError as error:
        raise RetryLater(
            f"vidd cannot reach the server for {doing} and will retry.", code=FaultCode.UNREACHABLE
        ) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise RetryLater(f"The connection was lost at {doing}; vidd will retry.", code=FaultCode.UNREACHABLE) from error
