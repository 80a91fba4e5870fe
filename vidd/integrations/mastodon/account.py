"""A Mastodon server, and who vidd is there: best nobody."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused
from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration

_ADDRESS = r"^https?://[^\s@?#/]+/?$"
_USER = re.compile(r"@?([a-z0-9_](?:[a-z0-9_.-]{0,98}[a-z0-9_])?)(?:@([^\s@/?#]{1,253}))?", re.ASCII | re.IGNORECASE)
_PROFILE = re.compile(r"^https?://([^\s@/?#]+)/@([a-z0-9_.-]+)/?$", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a user's posts are read: the user as that server knows it, its handles' domain, address and token."""

    user: str
    domain: str
    url: str
    token: SecretStr | None


class Account(ProxiedAccount):
    """A Mastodon server, and the token of an app where the server shows nothing without one."""

    kind: Literal["mastodon"] = Field("mastodon", description="The kind of account.")
    url: str = Field(pattern=_ADDRESS, description="The server's address, such as https://mastodon.social.")
    domain: str | None = Field(
        None,
        pattern=r"^[^\s@/?#]+$",
        description="What its handles end in (@user@example.org), where that is not the address's host.",
    )
    token: SecretStr | None = Field(
        None,
        description="A token of an app with the scope read; only for servers that show public posts to nobody else. vidd"
        " shows public posts only, with or without it.",
    )
    servers: dict[str, str] = Field(
        {},
        description="Other servers whose users may be asked for, by what their handles end in:"
        ' {"fosstodon.org" = "https://fosstodon.org"}. vidd asks each itself, without the token.',
    )
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    timeout: Duration = Field(60.0, gt=0, description="Longest wait for the next bytes of an answer.")

    @field_validator("token")
    @classmethod
    def _one_line(cls, token: SecretStr | None) -> SecretStr | None:
        text = "-" if token is None else token.get_secret_value()
        if not (text and text.isascii() and text.isprintable()):
            raise ValueError("a token is one line of ASCII")
        return token

    @field_validator("servers")
    @classmethod
    def _addresses(cls, servers: dict[str, str]) -> dict[str, str]:
        for domain, url in servers.items():
            if not re.fullmatch(_ADDRESS, url):
                raise ValueError(f"the server of {domain!r} is an address such as https://{domain}")
        return {domain.lower(): url for domain, url in servers.items()}

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.url, *self.servers.values())

    @property
    def own_domain(self) -> str:
        """What the handles of the account's own server end in."""
        return (self.domain or urlsplit(self.url).netloc).lower()

    def place(self, text: str) -> Place:
        """Where the posts of a user are, as people write it: user, @user, @user@server, or the address of the profile.

        Raises Refused where nobody can have that name, and for a server that the account does not allow.
        """
        found = _USER.fullmatch(_PROFILE.sub(r"\2@\1", text.strip()))
        if found is None:
            raise Refused(
                f"{quoted(text, 80)} is no user of Mastodon: write it like ada or @ada@{self.own_domain}.",
                code=FaultCode.BAD_INPUT,
            )
        user, domain = found[1].lower(), (found[2] or self.own_domain).lower()
        if domain in {self.own_domain, urlsplit(self.url).netloc.lower()}:
            return Place(user, self.own_domain, self.url.rstrip("/"), self.token)
        if domain not in self.servers:
            raise Refused(
                f"vidd may not ask the server {quoted(domain, 80)} for posts: name a user of"
                f" {', '.join([self.own_domain, *self.servers])}, or add the server to `servers` of the account.",
                code=FaultCode.FORBIDDEN,
            )
        return Place(user, domain, self.servers[domain].rstrip("/"), None)
