"""Finds out who has a file open in LibreOffice or Excel, by the file that those programs put beside it."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from vidd.display_text import printable
from vidd.errors import FaultCode, RetryLater

_PAUSE = 60.0
_LONGEST = 4096
# Excel's: the name in the ANSI code page in a field of 55 bytes, then its length and the name in UTF-16.
_EXCEL_NAME = 55


def wait_until_closed(path: Path) -> None:
    """Raise RetryLater, with the person's name, while somebody has the file open: that program would save over vidd's change."""
    for program, owner_file, read in (
        ("LibreOffice", path.with_name(f".~lock.{path.name}#"), _libreoffice_user),
        ("Excel", path.with_name(f"~${path.name}"), _excel_user),
    ):
        with suppress(OSError), owner_file.open("rb") as file:
            who = printable(read(file.read(_LONGEST)), 80).strip() or "Somebody"
            raise RetryLater(
                f"{who} has the sheet {path.name!r} open in {program}, which would save over what vidd writes: vidd waits "
                f"until it is closed. If nobody has it open any more, delete {owner_file.name!r} beside it.",
                after=_PAUSE,
                counts=False,
                code=FaultCode.BUSY,
            )


def _libreoffice_user(content: bytes) -> str:
    """The person's name, else the login, with the computer's name: fields 1 to 3, in which a backslash escapes."""
    fields = re.findall(r"((?:[^\\,;]|\\.)*)[,;]", content.decode(errors="replace"), re.DOTALL)
    name, login, host = (re.sub(r"\\(.)", r"\1", field) for field in (*fields, "", "", "")[:3])
    who = name or login
    return f"{who} (at {host})" if who and host else who


def _excel_user(content: bytes) -> str:
    """The name that the person gave Excel."""
    length = int.from_bytes(content[_EXCEL_NAME : _EXCEL_NAME + 2], "little")
    start = _EXCEL_NAME + 2
    return content[start : start + 2 * length].decode("utf-16-le", errors="replace")
