"""Finds damage in the packets of an H.264 or HEVC stream without decoding them. Pure.

A lost block, a broken copy or a failing disk leaves zeros. A stream cannot contain them: a unit's length is not zero,
and inside a unit two zero bytes are never followed by a byte under three (ITU-T H.264 and H.265, 7.4.1).
"""

from __future__ import annotations

import re

_PADDING = 32
_FORBIDDEN = re.compile(rb"\0\0[\0-\2]")


def length_size(codec: str, extradata: bytes | None) -> int | None:
    """Bytes of a unit's length field; None where the stream has no such fields (ISO/IEC 14496-15, avcC and hvcC)."""
    if not extradata or extradata[0] != 1:
        return None
    if codec == "h264" and len(extradata) > 4:
        return (extradata[4] & 3) + 1
    return (extradata[21] & 3) + 1 if codec == "hevc" and len(extradata) > 21 else None


def damage(data: bytes, size: int) -> str | None:
    """A sentence about the damage in a sample whose units have lengths of `size` bytes; None where it is intact."""
    at = 0
    while at < len(data):
        begin = at + size
        length = int.from_bytes(data[at:begin], "big")
        at = begin + length
        if not length or at > len(data):
            return "its packets are torn"
        found = _FORBIDDEN.search(data, begin, at)
        # A few zeros at a unit's very end are padding that some encoders write.
        if found is not None and (at - found.start() > _PADDING or data[found.start() : at].strip(b"\0")):
            return "its packets have holes"
    return None
