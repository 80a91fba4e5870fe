"""Option types of the kinds that encode: bit rates, lengths in pixels or percent, levels, colours, segments."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from vidd.settings.types import Duration

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kM]?)")
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(px|%|)")
_SHORTEST_SEGMENT = 1.0
_MOST_PIXELS = 16384
_LEVEL = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(LUFS|LU|dBTP|dB|)", re.IGNORECASE)


def parse_bit_rate(value: Any) -> Any:
    """Bits per second, from "2M", "128k" or a number."""
    if not isinstance(value, str):
        return value
    match = _RATE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no bit rate; write it like 128k or 2M")
    return round(float(match[1]) * {"": 1, "k": 1000, "M": 1_000_000}[match[2]])


BitRate = Annotated[int, BeforeValidator(parse_bit_rate), Field(ge=8000, le=500_000_000), PlainSerializer(int)]


def parse_length(value: Any) -> Any:
    """A length in its normal form, "50px" or "7%", from such a text or a number of pixels."""
    match = _LENGTH.fullmatch(str(value).strip()) if isinstance(value, str | int | float) else None
    if match is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is no length; write it like 50px, or 7% of the frame's height")
    if float(match[1]) > (100 if match[2] == "%" else _MOST_PIXELS):
        raise ValueError(f"{value!r} is larger than any frame: {_MOST_PIXELS} px or 100% at most")
    return f"{float(match[1]):g}{match[2] or 'px'}"


def pixels(length: str, height: int) -> float:
    """A length in pixels, for a frame of this height."""
    return float(length[:-1]) * height / 100 if length.endswith("%") else float(length.removesuffix("px"))


def parse_level(value: Any) -> Any:
    """A level or a difference of levels, from "-23 LUFS", "1 LU", "-1 dBTP" or a number."""
    if not isinstance(value, str):
        return value
    match = _LEVEL.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no level; write it like -23 LUFS, 1 LU or -1 dBTP")
    return float(match[1])


def check_segment(seconds: float) -> float:
    """A segment's length in seconds. Segments shorter than a second cost more than they save after a kill."""
    if 0 < seconds < _SHORTEST_SEGMENT:
        raise ValueError(f"a segment is {_SHORTEST_SEGMENT:g}s or longer; 0s for one piece")
    return seconds


Segment = Annotated[Duration, AfterValidator(check_segment)]
Length = Annotated[str, BeforeValidator(parse_length)]
Level = Annotated[float, BeforeValidator(parse_level), PlainSerializer(float)]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
