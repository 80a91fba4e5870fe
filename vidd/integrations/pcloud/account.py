"""A pCloud account: region, and the token of an app or user and password (docs.pcloud.com)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration

_HOSTS = {"us": "https://api.pcloud.com", "eu": "https://eapi.pcloud.com"}


class Account(ProxiedAccount):
    """A pCloud account, by the token of an app, or by user and password."""

    kind: Literal["pcloud"] = Field("pcloud", description="The kind of account.")
    region: Literal["us", "eu"] = Field(
        "us", description="Where the account was made: its files are in one region only."
    )
    token: SecretStr | None = Field(None, description="Access token of an app (OAuth 2.0).")
    user: str | None = Field(None, min_length=1, description="E-mail address, in place of a token.")
    password: SecretStr | None = Field(None, description="Password; it is never sent, only a digest of it.")
    url: str | None = Field(
        None, pattern=r"^https?://[^\s@/]+$", description="Address of the API, in place of the region's."
    )
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    read_timeout: Duration = Field(120.0, gt=0, description="Longest wait for the next bytes of a call.")

    @field_validator("token")
    @classmethod
    def _one_line(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        token = value.get_secret_value().strip()
        if not token or not token.isascii() or not token.isprintable():
            raise ValueError("a token is one line of ASCII")
        return SecretStr(token)

    @model_validator(mode="after")
    def _some_login(self) -> Account:
        if (self.user is None) is not (self.password is None):
            raise ValueError("user and password come together: give both or neither")
        if (self.token is None) is (self.user is None):
            raise ValueError("give either a token, or user and password")
        return self

    @property
    def base_url(self) -> str:
        """The address of the API."""
        return self.url or _HOSTS[self.region]

    @property
    def targets(self) -> tuple[str, ...]:
        """The address of the API; its answers name the content servers."""
        return (self.base_url,)
