"""An account of kind `youtube`: a channel with its quota."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from vidd.integrations.google.account import GoogleAccount


class Account(GoogleAccount):
    """A channel at YouTube and the person who signed in for it."""

    kind: Literal["youtube"] = Field("youtube", description="A YouTube channel.")
    channel: str | None = Field(None, description="The channel's id (UC…); another one behind the token is refused.")
    daily: int = Field(10_000, ge=1, description="Units of quota a day.")
    daily_uploads: int | None = Field(
        100, ge=1, description="Uploads a day; none for projects whose uploads are paid from the units."
    )
    costs: dict[str, int] = Field(
        default_factory=dict,
        description='Units by method where they are not the public ones: {"videos.insert" = 1600}.',
    )
    day: str = Field("America/Los_Angeles", description="Time zone at whose midnight the quota is given anew.")
    api_url: str = Field(
        "https://youtube.googleapis.com", pattern=r"^https?://[^\s@]+$", description="Address of the service."
    )

    @field_validator("day")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError):
            raise ValueError(f"there is no time zone {value!r}") from None
        return value

    @model_validator(mode="after")
    def _check_person(self) -> Account:
        if self.service_account is not None:
            raise ValueError("YouTube gives service accounts no channel: sign a person in")
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        return *super().targets, self.api_url
