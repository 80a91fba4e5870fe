"""A pretalx server, and who vidd is there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration
from vidd.transfer.http import public_url


class Account(ProxiedAccount):
    """A pretalx server, and a token of an organiser where vidd needs what the public schedule does not have."""

    kind: Literal["pretalx"] = Field("pretalx", description="The kind of account.")
    url: str = Field("https://pretalx.com", pattern=r"^https?://[^\s@?#]+$", description="The server's address.")
    token: SecretStr | None = Field(
        None,
        description="A token of an organiser (at the server under /orga/me); without one vidd reads the public schedule.",
    )
    version: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.-]{1,12}$",
        description="The version of the API to ask for (`Pretalx-Version`), such as v1 or v2; the token's own otherwise.",
    )
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    timeout: Duration = Field(60.0, gt=0, description="Longest wait for the next bytes of an answer.")

    @field_validator("token")
    @classmethod
    def _one_line(cls, token: SecretStr | None) -> SecretStr | None:
        text = token.get_secret_value() if token else "-"
        if not (text and text.isascii() and text.isprintable()):
            raise ValueError("a token is one line of ASCII")
        return token

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.base,)

    @property
    def base(self) -> str:
        """The address without a slash at its end."""
        return self.url.rstrip("/")

    @property
    def display_url(self) -> str:
        """The address for sentences."""
        return public_url(self.base)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request to the API."""
        version = {} if self.version is None else {"Pretalx-Version": self.version}
        token = {} if self.token is None else {"Authorization": f"Token {self.token.get_secret_value()}"}
        return {"Accept": "application/json", "User-Agent": "vidd", **token, **version}
