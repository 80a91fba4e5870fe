"""Parses an e-mail address as people type it into sheets and settings; no I/O."""

from __future__ import annotations

import re
from email.utils import parseaddr

_ADDRESS = re.compile(r'[^\s@<>()\[\]",:;\\]+@[^\s@<>()\[\]",:;\\]+')
_WITH_NAME = re.compile(r"[^<>]*<[^<>]+>")
_MAX_LENGTH = 254


def parse_address(text: str) -> tuple[str, str] | None:
    """The name and the address in `Ada <ada@example.org>` or `ada@example.org`; None if `text` holds no address.

    A text with a line break or another control character is no address, because it would end up in a mail's header.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        return None
    name, address = parseaddr(text.strip()) if _WITH_NAME.fullmatch(text.strip()) else ("", text.strip())
    if not _ADDRESS.fullmatch(address) or len(address) > _MAX_LENGTH:
        return None
    return name, address
