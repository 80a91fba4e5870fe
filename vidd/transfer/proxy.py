"""Which proxy a connection goes through: the one that its account names, or the one of the environment.

The environment is read as curl reads it (curl.se/docs/manpage.html, "ENVIRONMENT"). vidd differs in four points, all in
docs/how-to/proxies.md: HTTP_PROXY in upper case counts, mail falls back to HTTPS_PROXY, NO_PROXY may name a port, and
loopback is never asked of a proxy of the environment.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from pydantic import SecretStr
from yarl import URL

from vidd.display_text import printable
from vidd.errors import FaultCode, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DIRECT = "none"
"""What an account's `proxy` says to use no proxy."""

_PORTS = {"http": 1080, "https": 443}
_VARIABLES = {
    "http": ("http", "all"),
    "https": ("https", "all"),
    "ws": ("ws", "http", "all"),
    "wss": ("wss", "https", "all"),
    "smtp": ("smtp", "all", "https"),
    "smtps": ("smtps", "all", "https"),
}
_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443, "smtp": 25, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. `origin` says which setting names it; `login` is user and password, with a colon between."""

    url: URL
    origin: str
    login: SecretStr | None = None

    @property
    def name(self) -> str:
        """The proxy as sentences name it, without its login."""
        return f"{printable(str(self.url), 120)} of {self.origin}"

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries the login; empty where there is none."""
        if self.login is None:
            return {}
        return {"Proxy-Authorization": f"Basic {b64encode(self.login.get_secret_value().encode()).decode()}"}


def parse_proxy(text: str, origin: str) -> Proxy:
    """A proxy from its address; ValueError, which never quotes the address, if it is none."""
    text = text.strip()
    try:
        url = URL(text if "://" in text else f"http://{text}")
        host, port = url.raw_host, url.explicit_port
        login = None if url.user is None else f"{url.user}:{url.password or ''}"
    except ValueError:
        host, url, port, login = None, URL(), None, None
    if not host or re.search(r"\s|[^\x21-\x7e]", host):
        raise ValueError("this is no address of a proxy; write it like http://user:password@host:3128, or none")
    if url.scheme not in _PORTS:
        raise ValueError("vidd speaks to http and https proxies only; write it like http://user:password@host:3128")
    plain = URL.build(scheme=url.scheme, host=host, port=port or _PORTS[url.scheme])
    return Proxy(plain, origin, None if login is None else SecretStr(login))


def proxy_for(url: URL, option: SecretStr | None, environment: Mapping[str, str] | None = None) -> Proxy | None:
    """The proxy through which `url` is reached; None is directly. `option` is the account's, which wins over all else.

    Refused where a variable of the environment holds no address of a proxy.
    """
    if option is not None:
        text = option.get_secret_value()
        return None if text == DIRECT else parse_proxy(text, "the account")
    found = os.environ if environment is None else environment
    host = url.host or ""
    if is_loopback(host) or is_excepted(host, url.port or _DEFAULT_PORTS.get(url.scheme), _exceptions(found)):
        return None
    for name in _VARIABLES[url.scheme]:
        for variable in (f"{name}_proxy", f"{name}_proxy".upper()):
            if text := found.get(variable, "").strip():
                return _of_variable(text, variable)
    return None


def _of_variable(text: str, variable: str) -> Proxy:
    try:
        return parse_proxy(text, variable)
    except ValueError as error:
        raise Refused(
            f"The environment variable {variable} cannot be used: {error}.", code=FaultCode.BAD_SETTINGS
        ) from None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: localhost, or an address of its loopback."""
    name = host.rstrip(".").lower()
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _exceptions(environment: Mapping[str, str]) -> list[str]:
    text = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return [entry for entry in re.split(r"[\s,]+", text) if entry]


def is_excepted(host: str, port: int | None, exceptions: Iterable[str]) -> bool:
    """Whether NO_PROXY names a host: by itself, by a domain above it, by a network (CIDR), or all by `*`."""
    return any(_matches(entry, host.rstrip(".").lower(), port) for entry in exceptions)


def _matches(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    bracketed = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::(\d+))?|([^:]+):(\d+)", entry)
    if bracketed:
        entry, only = bracketed[1] or bracketed[3], bracketed[2] or bracketed[4]
        if only is not None and int(only) != port:
            return False
    try:
        address = ip_address(host)
    except ValueError:
        name = entry.lower().removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return False
