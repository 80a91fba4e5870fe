"""An app at X, by whose bearer token vidd reads public posts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration


class Account(ProxiedAccount):
    """An app of X's developer console. Each post that vidd reads costs of the app's plan."""

    kind: Literal["x"] = Field("x", description="The kind of account.")
    token: SecretStr = Field(description="The app's bearer token (App-only).")
    api_url: str = Field("https://api.x.com", pattern=r"^https?://[^\s@?#]+$", description="The address of the API.")
    fields: Literal["tweet", "post"] = Field(
        "tweet",
        description="How vidd names things when it asks: tweet.fields, or post.fields of the API description since "
        "August 2026. vidd reads the answers of both.",
    )
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    timeout: Duration = Field(60.0, gt=0, description="Longest wait for the next bytes of an answer.")

    @field_validator("token")
    @classmethod
    def _one_line(cls, token: SecretStr) -> SecretStr:
        text = token.get_secret_value().strip().removeprefix("Bearer ").strip()
        if not (text and text.isascii() and text.isprintable() and " " not in text):
            raise ValueError("a bearer token is one word of ASCII")
        return SecretStr(text)

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.base,)

    @property
    def base(self) -> str:
        """The address without a slash at its end."""
        return self.api_url.rstrip("/")

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {self.token.get_secret_value()}",
            "User-Agent": "vidd",
        }
