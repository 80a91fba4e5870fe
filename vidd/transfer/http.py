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
from vidd.errors import Fault, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def session(*, connect: float = 15.0, silence: float = 60.0) -> aiohttp.ClientSession:
    """A session without a limit on the whole time; `silence` is the longest wait for the next bytes, in seconds."""
    return aiohttp.ClientSession(timeout=patience(connect, silence), auto_decompress=False)


def patience(connect: float, silence: float) -> aiohttp.ClientTimeout:
    """How long to wait for a connection and, once it stands, for the next bytes (seconds), however long all of it takes."""
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect, sock_read=silence)


def authorities(ca: Path | None) -> ssl.SSLContext:
    """Whom to trust: the system's authorities, and those of a file besides. Refused where it cannot be read."""
    context = ssl.create_default_context()
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except OSError as error:
            raise Refused(f"The certificates in {ca} cannot be read ({error}): correct `ca` of the account.") from error
    return context


def shown(url: str) -> str:
    """An address without what may be secret in it: user, password, query."""
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
    """The fate of an answer that is no success."""
    if status in {408, 425, 429} or status >= 500:
        return RetryLater(f"The server answered {status} at {doing}; it is tried again.", after=after)
    if status in {404, 410}:
        return Refused(f"There is nothing ({status}) at {doing}: it was deleted, or the address is wrong.")
    if status in {401, 403}:
        return Refused(f"The server does not allow ({status}) {doing}: give an address that may be read.")
    return Refused(f"The server answered {status} at {doing}: correct the address.")


@contextmanager
def asking(doing: str) -> Iterator[None]:
    """Turn what aiohttp raises inside into a fault. For requests that may be repeated."""
    try:
        yield
    except (aiohttp.NonHttpUrlClientError, aiohttp.InvalidURL) as error:
        sentence = f"{doing} leads to an address that is not http or https: correct the address."
        raise Refused(sentence[0].upper() + sentence[1:]) from error
    except aiohttp.TooManyRedirects as error:
        raise Refused(f"The server redirects in a circle at {doing}: correct the address.") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise Refused(f"The server's certificate is not trusted at {doing}: correct the server.") from error
    except aiohttp.ClientConnectorError as error:
        raise RetryLater(f"The server cannot be reached for {doing}; it is tried again.") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise RetryLater(f"The connection was lost at {doing}; it is tried again.") from error
