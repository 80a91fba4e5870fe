"""Settings that all kinds who encode share, written as people write them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kM]?)")


def parse_bit_rate(value: Any) -> Any:
    """Bits per second, from "2M", "128k" or a number."""
    if not isinstance(value, str):
        return value
    match = _RATE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no bit rate; write it like 128k or 2M")
    return round(float(match[1]) * {"": 1, "k": 1000, "M": 1_000_000}[match[2]])


BitRate = Annotated[int, BeforeValidator(parse_bit_rate), Field(ge=8000, le=500_000_000), PlainSerializer(int)]
