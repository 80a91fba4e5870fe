"""An AppView of Bluesky's network, which vidd asks as anybody may."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration


class Account(ProxiedAccount):
    """An AppView of Bluesky's network. It needs no password: vidd reads what is for everybody."""

    kind: Literal["bluesky"] = Field("bluesky", description="The kind of account.")
    url: str = Field(
        "https://public.api.bsky.app",
        pattern=r"^https?://[^\s@?#/]+/?$",
        description="The address of the AppView that vidd asks.",
    )
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    timeout: Duration = Field(60.0, gt=0, description="Longest wait for the next bytes of an answer.")

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.url,)
