"""Parses e-mail addresses as people type them into sheets and settings; no I/O.

`email.utils` is of no use here: since Python 3.11.10 one empty or broken part of a list loses all the others, and before
`parseaddr` takes the name of `ada@home.org <ada@example.org>` for the address.
"""

from __future__ import annotations

import re

_ADDRESS = re.compile(r'[^\s@<>()\[\]",:;\\]+@[^\s@<>()\[\]",:;\\]+')
_QUOTED = re.compile(r'"((?:\\[^\r\n]|[^"\\\r\n])*)"')
_WITH_NAME = re.compile(rf"((?:{_QUOTED.pattern}|[^<>@,;\"])*)<([^<>]+)>")
_WITH_REMARK = re.compile(r"([^\s<>()]+)\s*\(([^<>()]*)\)")
# A quote or bracket that nobody closes is a character like any other.
_LISTED = re.compile(rf"(?:{_QUOTED.pattern}|\([^()\r\n]*\)|[^,;\r\n])+")
_MAX_LENGTH = 254


def parse_address(text: str) -> tuple[str, str] | None:
    """The name and the address in `Ada <ada@example.org>`, `ada@example.org (Ada)` or `ada@example.org`, or None.

    A text with a line break or another control character is no address, because it would end up in a mail's header.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        return None
    text = text.strip()
    name, address = "", text
    if found := _WITH_NAME.fullmatch(text):
        name = _QUOTED.sub(lambda quoted: re.sub(r"\\(.)", r"\1", quoted[1]), found[1]).strip()
        address = found[3].strip()
    elif found := _WITH_REMARK.fullmatch(text):
        address, name = found[1], found[2].strip()
    if not _ADDRESS.fullmatch(address) or len(address) > _MAX_LENGTH:
        return None
    return name, address


def split_addresses(text: str) -> list[str]:
    """The parts of a list of addresses with commas, semicolons or line breaks between them; empty parts are left out."""
    return [part for part in (found[0].strip() for found in _LISTED.finditer(text)) if part]
