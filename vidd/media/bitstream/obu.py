"""Splits AV1 into its units (OBUs), and reads and writes a track's header (av1C). Pure.

AV1 Bitstream & Decoding Process Specification, 5.3 (headers of units), 5.9.2 (frames), 4.10.5 (leb128); AV1 Codec ISO
Media File Format Binding, 2.3 (av1C) and 2.4 (samples). A unit is here without its length, and its header says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidd.media.bitstream.nal import BadUnits

if TYPE_CHECKING:
    from collections.abc import Iterable

SEQUENCE, DELIMITER = 1, 2
_FRAME_HEADER, _FRAME = 3, 6
_HAS_SIZE, _EXTENDED = 2, 4
_KEY_SHOWN = 0b0001  # show_existing_frame 0, frame_type 0 (KEY_FRAME), show_frame 1
_FIXED = 4
"""Bytes of an av1C before its units."""


def split(data: bytes) -> list[bytes]:
    """The units of a sample of MP4 or Matroska."""
    found, at = [], 0
    while at < len(data):
        head = data[at]
        body = at + 1 + bool(head & _EXTENDED)
        if head & 128 or body > len(data):
            raise BadUnits("a unit has no header")
        size = len(data) - body
        start = body
        if head & _HAS_SIZE:
            size, start = _leb128(data, body)
        if start + size > len(data):
            raise BadUnits("a unit is longer than its packet")
        found.append(bytes([head & ~_HAS_SIZE]) + data[at + 1 : body] + data[start : start + size])
        at = start + size
    return found


def to_sample(parts: Iterable[bytes]) -> bytes:
    """Units with their lengths, as a sample or a part of one."""
    made = []
    for part in parts:
        body = 1 + bool(part[0] & _EXTENDED)
        made.append(bytes([part[0] | _HAS_SIZE]) + part[1:body] + _length(len(part) - body) + part[body:])
    return b"".join(made)


def kind(parts: Iterable[bytes]) -> str:
    """The kind of keyframe: idr (shown at once, and decoding starts anew) or other."""
    for part in parts:
        body = 1 + bool(part[0] & _EXTENDED)
        if part[0] & _EXTENDED and part[1] >> 3 & 3:
            return "other"  # layers of several sizes
        if part[0] >> 3 & 15 in {_FRAME_HEADER, _FRAME}:
            return "idr" if len(part) > body and part[body] >> 4 == _KEY_SHOWN else "other"
    return "other"


def units_of_header(header: bytes) -> list[bytes]:
    """The units in an av1C; BadUnits if it is none."""
    if len(header) < _FIXED or header[0] != 0x81:
        raise BadUnits("the track's header is no av1C")
    return split(header[_FIXED:])


def av1c(own: bytes, others: Iterable[bytes], sequence: Iterable[bytes]) -> bytes:
    """A track's header with this sequence (that of what is copied), and the highest level and tier of all parts.

    It may hold only one sequence; the keyframes of each part bring their own.
    """
    headers = [own, *others]
    level = max(header[1] & 31 for header in headers)
    tier = max(header[2] & 128 for header in headers)
    return bytes([own[0], own[1] & 0xE0 | level, own[2] & 127 | tier, 0]) + to_sample(sequence)


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for number in range(8):
        if at >= len(data):
            break
        byte, at = data[at], at + 1
        value |= (byte & 127) << 7 * number
        if not byte & 128:
            return value, at
    raise BadUnits("a unit's length does not end")


def _length(size: int) -> bytes:
    made = bytearray()
    while size > 127:
        made.append(size & 127 | 128)
        size >>= 7
    return bytes([*made, size])
