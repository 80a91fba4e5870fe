"""An e-mail address, as people type it into sheets and settings."""

from __future__ import annotations

import re
from email.utils import parseaddr

_SHAPE = re.compile(r'[^\s@<>()\[\]",:;\\]+@[^\s@<>()\[\]",:;\\]+')
_NAMED = re.compile(r"[^<>]*<[^<>]+>")
_LONGEST = 254


def parse_address(text: str) -> tuple[str, str] | None:
    """(name, address) of `ada@example.org` or `Ada <ada@example.org>`; None where it is no address.

    A line break or another control character anywhere makes it none: it would end up in a header.
    """
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        return None
    name, address = parseaddr(text.strip()) if _NAMED.fullmatch(text.strip()) else ("", text.strip())
    if not _SHAPE.fullmatch(address) or len(address) > _LONGEST:
        return None
    return name, address
