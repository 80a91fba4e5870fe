"""An account of kind `facebook`: a page and its access token."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration

_URL = r"^https?://[^\s@]+$"


class Account(ProxiedAccount):
    """A Facebook page and its access token."""

    kind: Literal["facebook"] = Field("facebook", description="The kind of account.")
    token: SecretStr = Field(description="The page's access token; `vidd accounts facebook` lists them.")
    page: str | None = Field(None, pattern=r"^\d+$", description="The page's id, digits only.")
    app_secret: SecretStr | None = Field(
        None, description="Secret of the app that issued the token; where it is set, vidd signs every call with it."
    )
    version: str = Field("v26.0", pattern=r"^v\d+\.\d+$", description="Version of the Graph API.")
    url: str = Field("https://graph.facebook.com", pattern=_URL, description="Address of the Graph API.")
    video_url: str = Field(
        "https://graph-video.facebook.com", pattern=_URL, description="Address that videos are uploaded to."
    )
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    read_timeout: Duration = Field(120.0, gt=0, description="Longest silence in the middle of a call.")

    @field_validator("token")
    @classmethod
    def _strip(cls, value: SecretStr) -> SecretStr:
        token = value.get_secret_value().strip()
        if not token.isascii() or not token.isprintable():
            raise ValueError("a token is one line of ASCII")
        return SecretStr(token)

    @property
    def targets(self) -> tuple[str, ...]:
        return self.url, self.video_url
