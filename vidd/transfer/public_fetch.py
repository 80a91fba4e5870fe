"""Fetches addresses that strangers wrote, such as the pictures of a post, and never from within the house.

vidd decides where it connects to, after the name was looked up: a name that leads to one address when it is checked and to
another when it is used (DNS rebinding) gains nothing. Redirects are followed by vidd itself, each one checked anew. Behind
a proxy, the proxy looks names up; vidd then refuses what is an address already, and what is this host by its name.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from vidd.display_text import printable, size_in_words
from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.transfer.http import retry_after, session
from vidd.transfer.proxy import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiohappyeyeballs import AddrInfoType
    from pydantic import SecretStr

LARGEST = 20 * 2**20
"""Bytes above which nothing is fetched."""

_REDIRECTS = 5
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL = IPv6Network("2000::/3")
_HOUSE = tuple(
    ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "::1", "fc00::/7")
)
"""Private addresses (RFC 1918, 6598, 4193) and this host's; link-local ones, which clouds keep secrets at, are not here."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer: its status (200, or 304 where the headers asked for that), its body, and the address that gave it."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class PublicWeb:
    """A session for the addresses that strangers wrote; make it by `public_web`."""

    def __init__(self, web: aiohttp.ClientSession, *, private: bool, largest: int, seconds: float) -> None:
        self._web, self._private, self._largest, self._seconds = web, private, largest, seconds

    async def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> Fetched:
        """What is at an http or https address. Raises Refused or RetryLater, whose sentence says why; 304 passes.

        `headers` go to the address's own host only, never after a redirect to another.
        """
        name = printable(url, 200)
        first = _parse(url, name)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(first, headers or {}, name)
        except TimeoutError:
            sentence = f"{printable(first.host or '', 80)} took longer than {self._seconds:g} s."
            raise RetryLater(sentence, code=FaultCode.UNREACHABLE) from None

    async def _follow(self, first: URL, headers: Mapping[str, str], name: str) -> Fetched:
        url = first
        for _ in range(_REDIRECTS + 1):
            self._refuse_inside(url)
            own = headers if url.origin() == first.origin() else {}
            found = await self._ask(url, own)
            if isinstance(found, Fetched):
                return found
            url = _parse(found, name, url)
        raise Refused(f"{first.host} redirects more than {_REDIRECTS} times.", code=FaultCode.REJECTED)

    def _refuse_inside(self, url: URL) -> None:
        """Refuse what is seen to be inside without looking a name up."""
        host = url.raw_host or ""
        address = _literal(host)
        if address is not None:
            inside = not is_allowed(address, private=self._private)
        else:
            inside = is_loopback(host) and not self._private
        if inside:
            raise _inside()

    async def _ask(self, url: URL, headers: Mapping[str, str]) -> Fetched | str:
        """The answer, or where it sends vidd."""
        host = printable(url.host or "", 80)
        asked = {"Accept-Encoding": "identity", "User-Agent": "vidd", **headers}
        try:
            async with self._web.get(url, headers=asked, allow_redirects=False) as answer:
                if answer.status in _REDIRECT and "Location" in answer.headers:
                    return answer.headers["Location"]
                if answer.status not in {200, 304}:
                    raise _fault_of_status(answer.status, host, answer.headers)
                body = await self._read(answer, host)
                return Fetched(str(answer.url), answer.status, answer.headers, body)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _InsideError):
                raise _inside() from error
            raise RetryLater(f"{host} cannot be reached.", code=FaultCode.UNREACHABLE) from error
        except (aiohttp.InvalidURL, ValueError) as error:
            raise Refused(f"{printable(str(url), 200)} is no address.") from error
        except aiohttp.ClientError as error:
            raise RetryLater(f"The connection to {host} broke.", code=FaultCode.UNREACHABLE) from error

    async def _read(self, answer: aiohttp.ClientResponse, host: str) -> bytes:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(f"{host} sent it compressed, which vidd did not ask for.", code=FaultCode.REJECTED)
        body = bytearray()
        async for block in answer.content.iter_chunked(2**16):
            body += block
            if len(body) > self._largest:
                raise Refused(f"It has more than {size_in_words(self._largest)}.")
        return bytes(body)


@asynccontextmanager
async def public_web(
    *, private: bool = False, largest: int = LARGEST, seconds: float = 30.0, proxy: SecretStr | None = None
) -> AsyncIterator[PublicWeb]:
    """A session for one job.

    private: fetch from private addresses, too, and from this host; for labs whose servers are inside.
    largest: bytes above which a fetch is refused.
    seconds: how long a fetch may take, with its redirects.
    """

    def open_socket(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, target = info
        if not is_allowed(ip_address(str(target[0]).partition("%")[0]), private=private):
            raise _InsideError
        return socket.socket(family=family, type=kind, proto=protocol)

    async with session(
        proxy,
        idle=seconds,
        connector={"socket_factory": open_socket},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as web:
        yield PublicWeb(web, private=private, largest=largest, seconds=seconds)


def is_allowed(address: IPv4Address | IPv6Address, *, private: bool = False) -> bool:
    """Whether an address is one of the public Internet, or with `private` one of a house or of this host.

    An IPv6 address that stands for an IPv4 address (mapped, NAT64, 6to4) is judged by that.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_allowed(inner, private=private)
    if private and any(address in network for network in _HOUSE):
        return True
    return address.is_global and not address.is_multicast and (address.version == 4 or address in _GLOBAL)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is, in any form that a resolver reads (127.0.0.1, 127.1, 0x7f000001, 2130706433)."""
    bare = host.rstrip(".").partition("%")[0]
    try:
        return ip_address(bare)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(bare))
    except (OSError, ValueError):
        return None


class _InsideError(OSError):
    """A connection to an address that vidd does not connect to."""

    def __init__(self) -> None:
        super().__init__("the address is not public")


def _inside() -> Refused:
    # Strangers read it: where a redirect leads inside is not for them.
    return Refused(
        "It leads to an address of this host or network, and vidd fetches from public addresses only.",
        code=FaultCode.FORBIDDEN,
    )


def _parse(text: str, name: str, base: URL | None = None) -> URL:
    try:
        url = URL(text) if base is None else base.join(URL(text))
        usable = url.scheme in {"http", "https"} and bool(url.raw_host) and url.port is not None
    except ValueError:
        usable = False
    if not usable:
        raise Refused(f"{name} {'is' if base is None else 'redirects to'} no http or https address.")
    return url.with_user(None).with_fragment(None)


def _fault_of_status(status: int, host: str, headers: Mapping[str, str]) -> Fault:
    sentence = f"{host} answered {status}."
    if status in {408, 429} or status >= 500:
        after = retry_after(headers.get("Retry-After"), datetime.now(UTC))
        return RetryLater(
            sentence, after=after, code=FaultCode.RATE_LIMITED if status == 429 else FaultCode.UNAVAILABLE
        )
    codes = {401: FaultCode.UNAUTHORIZED, 403: FaultCode.FORBIDDEN, 404: FaultCode.NOT_FOUND, 410: FaultCode.NOT_FOUND}
    return Refused(sentence, code=codes.get(status, FaultCode.REJECTED))
