"""What cards look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CardSize = Literal["1080p", "4:5", "9:16"]
Theme = Literal["light", "dark"]

SIZES: Mapping[CardSize, tuple[int, int]] = {"1080p": (1920, 1080), "4:5": (1080, 1350), "9:16": (1080, 1920)}
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Look:
    """How all cards of a timeline look.

    mark: what the network is called, which each card names.
    time_zone: the IANA name of the time zone that dates are shown in.
    """

    size: CardSize
    theme: Theme
    mark: str
    time_zone: str
