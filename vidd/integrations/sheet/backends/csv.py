"""Reads and changes CSV files; a change leaves every byte outside the changed fields as it was."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vidd.errors import Refused, RetryLater
from vidd.integrations.sheet.table import CellEdit, Grid

_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class _Field:
    text: str
    start: int
    end: int
    quoted: bool


def grids(content: bytes, tab: str | None = None) -> tuple[Grid, ...]:
    """The one grid of a CSV file. Raises Refused where it is not UTF-8, RetryLater where a quote never ends."""
    if tab is not None:
        raise Refused(f"A CSV file has no tabs, but the settings ask for the tab {tab!r}: remove `tab`.")
    text = _decode(content)
    rows = (tuple(field.text for field in fields) for fields in _records(text, _delimiter(text)))
    return (Grid("", tuple(rows)),)


def patch(content: bytes, edits: Sequence[CellEdit]) -> tuple[bytes, tuple[CellEdit, ...]]:
    """The file with these edits, and the edits left out: none, since CSV has no formulas."""
    text = _decode(content)
    delimiter = _delimiter(text)
    wanted: dict[int, dict[int, str]] = {}
    for edit in edits:
        wanted.setdefault(edit.row, {})[edit.column] = edit.text
    pieces, done = [], 0
    for number, fields in enumerate(_records(text, delimiter), start=1):
        for column, new in sorted(wanted.get(number, {}).items()):
            if column < len(fields):
                field = fields[column]
                pieces += [text[done : field.start], _encode_field(new, delimiter, quoted=field.quoted)]
                done = field.end
        beyond = {column: new for column, new in wanted.get(number, {}).items() if column >= len(fields)}
        if beyond:
            pieces.append(text[done : fields[-1].end])
            done = fields[-1].end
            for column in range(len(fields), max(beyond) + 1):
                pieces.append(delimiter + _encode_field(beyond.get(column, ""), delimiter, quoted=False))
    pieces.append(text[done:])
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    return mark + "".join(pieces).encode(), ()


def _decode(content: bytes) -> str:
    # Excel's "Unicode text" is UTF-16; without a byte order mark, a NUL in the first bytes gives it away.
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:1024]:
        raise Refused("The sheet is UTF-16 or no text at all: save it as 'CSV UTF-8'.")
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refused(f"Line {line} of the sheet is not UTF-8: save it as 'CSV UTF-8'.") from None


def _delimiter(text: str) -> str:
    """The most frequent delimiter, outside quotes, of the first line that has any."""
    for line in re.sub(r'"[^"]*"', "", text[:65536]).splitlines():
        best = max(_DELIMITERS, key=line.count)
        if best in line:
            return best
    return ","


def _records(text: str, delimiter: str) -> Iterator[list[_Field]]:
    pattern = re.compile(
        rf'(?:"(?P<quoted>[^"]*+(?:""[^"]*+)*+)"(?P<rest>[^{delimiter}\r\n]*)|(?P<plain>[^{delimiter}\r\n]*))'
        rf"(?P<end>{delimiter}|\r\n|\r|\n|\Z)"
    )
    fields: list[_Field] = []
    at = number = 0
    while at < len(text) or fields:
        match = pattern.match(text, at)
        if match is None or (match["quoted"] is None and match["plain"].startswith('"')):
            raise RetryLater(f"In row {number + 1} of the sheet a quote never ends: it may be half written.")
        quoted = match["quoted"] is not None
        shown = match["quoted"].replace('""', '"') + match["rest"] if quoted else match["plain"]
        fields.append(_Field(shown, match.start(), match.start("end"), quoted))
        at = match.end()
        if match["end"] != delimiter:
            yield fields
            fields, number = [], number + 1


def _encode_field(text: str, delimiter: str, *, quoted: bool) -> str:
    if quoted or text != text.strip() or any(character in text for character in (delimiter, '"', "\r", "\n")):
        return '"' + text.replace('"', '""') + '"'
    return text
