"""Splits H.264 and HEVC into NAL units, reads them bit by bit, and renames their parameter sets. Pure.

ITU-T H.264 and H.265, sections 7.3 (syntax) and annex B (byte stream); ISO/IEC 14496-15 (avcC, hvcC).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_START = re.compile(b"\0\0\1")


class BadUnits(Exception):
    """The bytes do not follow the standard, or use a rare part of it; the text says which."""


def split_by_start_code(data: bytes) -> list[bytes]:
    """The units between start codes."""
    at = [match.end() for match in _START.finditer(data)]
    ends = [begin - 3 for begin in at[1:]] + [len(data)]
    # Zeros before the next start code belong to it and not to the unit.
    return [unit for begin, end in zip(at, ends, strict=True) if (unit := data[begin:end].rstrip(b"\0"))]


def split_by_length(data: bytes, size: int) -> list[bytes]:
    """The units of a sample of MP4 or Matroska, where a length of `size` bytes precedes each unit."""
    units, at = [], 0
    while at < len(data):
        end = at + size + int.from_bytes(data[at : at + size], "big")
        if end > len(data):
            raise BadUnits("a unit is longer than its packet")
        units.append(data[at + size : end])
        at = end
    return units


def to_sample(units: Iterable[bytes]) -> bytes:
    """Units as a sample of MP4, with lengths of four bytes."""
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def unescape(unit: bytes) -> bytes:
    """Remove the bytes that keep start codes out of a unit (7.4.1)."""
    return unit.replace(b"\0\0\3", b"\0\0")


_NEEDS_ESCAPE = re.compile(rb"\0\0(?=[\0-\3])")


def escape(payload: bytes) -> bytes:
    """Insert the bytes that keep start codes out of a unit (7.4.1)."""
    unit = _NEEDS_ESCAPE.sub(b"\0\0\3", payload)
    return unit + b"\3" if unit.endswith(b"\0\0") else unit


class Bits:
    """Reads a unit bit by bit, without its escapes; `skip` bytes are left out."""

    def __init__(self, unit: bytes, skip: int) -> None:
        payload = unescape(unit)[skip:]
        self._bits = int.from_bytes(payload, "big")
        self._all = self._left = len(payload) * 8

    @property
    def position(self) -> int:
        """How many bits were read."""
        return self._all - self._left

    def text(self, start: int, end: int) -> str:
        """Some of the bits, as a text of zeros and ones."""
        size = end - start
        return f"{self._bits >> (self._all - end) & ((1 << size) - 1):0{size}b}" if size else ""

    def read(self, count: int) -> int:
        """That many bits as a number; BadUnits if there are too few."""
        self._left -= count
        if self._left < 0:
            raise BadUnits("a unit ends too early")
        return (self._bits >> self._left) & ((1 << count) - 1)

    def read_ue(self) -> int:
        """ue(v), an Exp-Golomb number (9.1)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                raise BadUnits("a number is too long")
        return (1 << zeros) - 1 + self.read(zeros)

    def read_se(self) -> int:
        """se(v)."""
        code = self.read_ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def exp_golomb(value: int) -> str:
    """ue(v) of a number, as a string of zeros and ones."""
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


# A nine-bit id in the place of the one-bit 0 moves everything after it by one byte, so that slice data, which is
# aligned to bytes, need not be found.
LONG_IDS = range(15, 31)


def rename_hevc(unit: bytes, vps: int, sps: int, pps: int) -> bytes:
    """A unit of an encoder whose parameter sets all have the id 0, with these ids (`pps` from LONG_IDS)."""
    kind = unit[0] >> 1 & 63
    if kind < 32:
        return _rename_slice(unit, kind, pps)
    payload = unescape(unit[2:])
    if kind == 32:
        payload = bytes([vps << 4 | payload[0] & 15]) + payload[1:]
    elif kind == 33:
        if payload[0] >> 1 & 7:
            raise BadUnits("the encoder made temporal layers")
        text = bit_text(unit[2:])
        payload = to_bytes(f"{vps:04b}" + text[4:104] + _replace_id(text[104:], sps))
    elif kind == 34:
        text = bit_text(unit[2:])
        if text[:2] != "11":
            raise BadUnits("the encoder named its sets otherwise than 0")
        payload = to_bytes(exp_golomb(pps) + exp_golomb(sps) + text[2:])
    else:
        return unit
    return unit[:2] + escape(payload)


def _rename_slice(unit: bytes, kind: int, pps: int) -> bytes:
    payload = unescape(unit[2:])
    # first_slice_segment_in_pic_flag, for IRAP pictures no_output_of_prior_pics_flag, slice_pic_parameter_set_id
    before = 2 if 16 <= kind <= 23 else 1
    first = payload[0]
    if not first >> (7 - before) & 1 or pps not in LONG_IDS:
        raise BadUnits("the encoder named its picture parameters otherwise than 0")
    head = f"{first:08b}"
    start = head[:before] + exp_golomb(pps) + head[before + 1 :]
    return unit[:2] + escape(int(start, 2).to_bytes(2, "big") + payload[1:])


def bit_text(unit: bytes) -> str:
    """The bits of a unit as a string of zeros and ones, without escapes, stop bit and the zeros after it."""
    payload = unescape(unit)
    return f"{int.from_bytes(payload, 'big'):0{8 * len(payload)}b}".rstrip("0")[:-1]


def _replace_id(text: str, value: int) -> str:
    if text[0] != "1":
        raise BadUnits("the encoder named its sequence otherwise than 0")
    return exp_golomb(value) + text[1:]


def to_bytes(text: str) -> bytes:
    """A string of zeros and ones as bytes, with a stop bit and zeros after it."""
    text += "1"
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def kind_h264(units: Iterable[bytes]) -> str:
    """The kind of keyframe: idr, recovery, refresh (the frame is complete only some frames later) or other."""
    slices, recovery = False, "other"
    for unit in units:
        match unit[0] & 31:
            case 5:
                return "idr"
            case 1:
                slices = True
            case 6:
                recovery = _recovery(unit) or recovery
    return recovery if slices else "other"


def _recovery(unit: bytes) -> str | None:
    for kind, payload in _messages(unescape(unit[1:])):
        if kind == 6 and payload:
            # recovery_frame_cnt is ue(v): a first bit of 1 is the number 0
            return "recovery" if payload[0] & 128 else "refresh"
    return None


def _messages(payload: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(payload) and payload[at:] != b"\x80":
        numbers = []
        for _ in range(2):
            value = 0
            while at < len(payload) and payload[at] == 255:
                value, at = value + 255, at + 1
            if at >= len(payload):
                return
            numbers.append(value + payload[at])
            at += 1
        yield numbers[0], payload[at : at + numbers[1]]
        at += numbers[1]


def kind_hevc(units: Iterable[bytes]) -> str:
    """The kind of keyframe: idr, bla, cra or other."""
    for unit in units:
        kind = unit[0] >> 1 & 63
        if kind < 32:
            return {16: "bla", 17: "bla", 18: "bla", 19: "idr", 20: "idr", 21: "cra"}.get(kind, "other")
    return "other"


# An end of sequence: decoding starts anew after it (H.265 7.4.2.4.4, 8.1.3: NoRaslOutputFlag is 1).
END_OF_SEQUENCE_HEVC = bytes([36 << 1, 1])
