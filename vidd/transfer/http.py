"""HTTP sessions, and what answers and broken connections mean (RFC 9110)."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.transfer.proxy import proxy_for
from vidd.transfer.tunnel import login_fault, open_tunnel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from aiohttp.client_proto import ResponseHandler
    from pydantic import SecretStr


def session(
    proxy: SecretStr | None = None,
    *,
    connect: float = 15.0,
    idle: float = 60.0,
    trust: ssl.SSLContext | bool = True,
    connector: Mapping[str, Any] | None = None,
    **options: Any,
) -> aiohttp.ClientSession:
    """A session whose connections go through the proxy that `vidd.transfer.proxy` decides on; `proxy` is the account's.

    `connect` limits how long a connection takes to be made, `idle` the wait for the next bytes (seconds); the whole
    transfer has no limit. `connector` and `options` are further arguments of aiohttp's TCPConnector and ClientSession.
    """
    return aiohttp.ClientSession(
        connector=_Connector(proxy, connect, ssl=trust, **(connector or {})),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=idle),
        middlewares=(_forward(proxy),),
        **options,
    )


def unix_session(socket: Path, **options: Any) -> aiohttp.ClientSession:
    """A session with a server of this host at a Unix socket."""
    return aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), **options)


class _Connector(aiohttp.TCPConnector):
    """Makes connections directly or through a proxy, each within `seconds`.

    aiohttp's own way through a proxy has no limit for the answer to CONNECT, sends WebSockets without TLS past CONNECT
    (RFC 6455, 4.1), and reports a proxy that hangs up like a server that does after it got the request.
    """

    def __init__(self, proxy: SecretStr | None, seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self._option, self._seconds = proxy, seconds

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        proxy = proxy_for(req.url, self._option)
        if proxy is None:
            async with asyncio.timeout(self._seconds):
                return await super()._create_connection(req, traces, timeout)
        host, context = req.url.raw_host or "", self._get_ssl_context(req)
        target = None if req.url.scheme == "http" else (host, req.port or 0)
        trust = self._ssl if isinstance(self._ssl, ssl.SSLContext) else None
        opened = await open_tunnel(proxy, target, limit=self._seconds, trust=trust)
        _, protocol = await self._wrap_existing_connection(
            self._factory,
            sock=opened,
            ssl=context,
            server_hostname=host.rstrip(".") if context else None,
            req=req,
            timeout=timeout,
        )
        return protocol


def _forward(option: SecretStr | None) -> aiohttp.ClientMiddlewareType:
    """Have a proxy forward requests without TLS (RFC 9112, 3.2.2); all others go through a tunnel."""

    async def forward(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        proxy = proxy_for(request.url, option) if request.url.scheme == "http" else None
        if proxy is None:
            return await handler(request)
        request.update_proxy(proxy.url, None, None)
        request.headers.update(proxy.headers)
        answer = await handler(request)
        if answer.status == 407:
            answer.close()
            raise login_fault(proxy)
        return answer

    return forward


def never_sent(fault: Fault) -> bool:
    """Whether the request that failed with this fault never left this host."""
    cause = fault.__cause__
    no_connection = isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return no_connection or fault.code is FaultCode.PROXY_DOWN


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
