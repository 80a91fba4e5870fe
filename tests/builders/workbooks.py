"""Workbooks of every shape that spreadsheet programs leave, for property tests."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, time

import openpyxl
from hypothesis import strategies as st
from openpyxl.formatting.rule import CellIsRule
from openpyxl.styles import Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter

from vidd.integrations.sheet.table import CellEdit

SHEET = re.compile(r"xl/worksheets/[^/]+\.xml$")
STRICT = {
    b"http://schemas.openxmlformats.org/spreadsheetml/2006/main": b"http://purl.oclc.org/ooxml/spreadsheetml/main",
    b"http://schemas.openxmlformats.org/officeDocument/2006/relationships": (
        b"http://purl.oclc.org/ooxml/officeDocument/relationships"
    ),
}
_THIN = Side(style="thin")
BORDER = Border(left=_THIN, right=_THIN, top=_THIN, bottom=_THIN)

Change = Callable[[bytes], bytes]


def rewritten(content: bytes, change: Callable[[str, bytes], bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The workbook with every part changed, zipped as DOS programs do."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            member = zipfile.ZipInfo(info.filename, (1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr, member.flag_bits = 0, 0x20, 0x2
            new.writestr(member, change(info.filename, old.read(info)), compress_type=method)
    return out.getvalue()


def in_sheets(change: Change) -> Callable[[str, bytes], bytes]:
    """The change, for worksheets only."""
    return lambda name, data: change(data) if SHEET.search(name) else data


def strict(name: str, data: bytes) -> bytes:
    """A part in the strict variant of the format."""
    if name.endswith((".xml", ".rels")):
        for old, new in STRICT.items():
            data = data.replace(old, new)
    return data


def prefixed(data: bytes) -> bytes:
    """The XML of a worksheet with a prefix at every name."""
    data = re.sub(rb"<(/?)(?!\?|!)([A-Za-z])", rb"<\1x:\2", data)
    return data.replace(b' xmlns="', b' xmlns:x="', 1)


def without_names(data: bytes) -> bytes:
    """Rows and cells without `r`, up to the first row that has a gap; after it they need theirs."""
    rows = re.split(rb"(?=<row[ />])", data)
    done, expected = [rows[0]], 1
    for row in rows[1:]:
        number = int(re.search(rb'<row r="(\d+)"', row)[1])  # type: ignore[index]
        columns = [match.decode() for match in re.findall(rb'<c r="([A-Z]+)\d+"', row)]
        if number == expected and columns == [get_column_letter(at + 1) for at in range(len(columns))]:
            done.append(re.sub(rb'(<(?:row|c)) r="[A-Z]*\d+"', rb"\1", row))
            expected += 1
        else:
            done.append(row)
            expected = 0
    return b"".join(done)


def with_comments(data: bytes) -> bytes:
    """Comments with what looks like cells, between cells and rows."""
    return re.sub(rb"(</c>|</row>|<sheetData>)", rb'\1<!-- <c r="A1"/></row> "\' -->', data)


def with_spaces(data: bytes) -> bytes:
    """Line breaks between the elements, and single quotes."""
    data = re.sub(rb'(<(?:row|c) )r="([A-Z]*\d+)"', rb"\1r='\2'", data)
    return re.sub(rb"(<row|<c |</row>|</sheetData>)", rb"\n  \1", data)


def with_extension(data: bytes) -> bytes:
    """An extension with a formula and a control with a row after the cells, as Excel's and LibreOffice's rules and buttons have them."""
    extension = (
        b'<extLst><ext uri="{78C0D931-6437-407d-A8EE-F0AAD7539E65}" '
        b'xmlns:x14="http://schemas.microsoft.com/office/spreadsheetml/2009/9/main" '
        b'xmlns:xm="http://schemas.microsoft.com/office/excel/2006/main"><x14:conditionalFormattings>'
        b"<x14:conditionalFormatting><x14:cfRule><xm:f>$A$1</xm:f></x14:cfRule><xm:sqref>A1</xm:sqref>"
        b"</x14:conditionalFormatting></x14:conditionalFormattings></ext></extLst>"
    )
    return data.replace(b"</worksheet>", extension + b"</worksheet>")


def unchanged(data: bytes) -> bytes:
    return data


DIALECTS = [unchanged, prefixed, without_names, with_comments, with_spaces, with_extension]

_CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"])
TEXTS = st.one_of(
    st.text(_CHARACTERS, min_size=1, max_size=20),
    st.sampled_from(
        [
            "published", "=1+1", "+A1", "@SUM(A1)", "-2", "'quoted", '"', "a & <b> ]]> c", "  spaces  ", "a\nb\n", "a\tb",
            "_x0041_", "_x005F_x000D_", "Ünïcode 🎬", "https://v.example.org/t?a=1&b=2#c", "1e5", "true", "2026-11-20", "x" * 32767,
        ]
    ),
)  # fmt: skip
_MOMENTS = st.dates(date(1990, 1, 1), date(2100, 1, 1)) | st.times().map(lambda moment: moment.replace(microsecond=0))
_VALUES = st.one_of(
    st.none(),
    st.none(),
    st.integers(-(10**9), 10**9),
    st.booleans(),
    TEXTS.filter(lambda text: text[0] not in "=+-@'"),
    st.just("=A1"),
    st.just(time(9, 30)),
    _MOMENTS,
)


@dataclass(frozen=True)
class Case:
    """A workbook, and cells to write into it."""

    content: bytes = field(repr=False)
    edits: tuple[CellEdit, ...]
    sheets: dict[str, bytes]


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    """A workbook as openpyxl makes it, in one of the dialects."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name in draw(st.lists(st.sampled_from(["Day 1", "Tag & Ort", "Übersicht", "x"]), min_size=1, unique=True)):
        sheet = book.create_sheet(name)
        for values in draw(st.lists(st.lists(_VALUES, min_size=1, max_size=5), min_size=1, max_size=5)):
            sheet.append(values)
        if draw(st.booleans()):
            # Bordered empty cells end the rows.
            for row in sheet.iter_rows(min_row=1, max_row=6, max_col=draw(st.integers(1, 7))):
                for cell in row:
                    cell.border, cell.font = BORDER, Font(bold=True)
        if draw(st.booleans()):
            sheet.merge_cells("A1:B2")
        if draw(st.booleans()):
            sheet.freeze_panes = "B2"
            sheet.conditional_formatting.add("A1:C9", CellIsRule(operator="equal", formula=["1"], font=Font(bold=True)))
            sheet.auto_filter.ref = "A1:C3"
        if draw(st.booleans()):
            sheet.column_dimensions["B"].hidden = True
            sheet.column_dimensions["C"].border = BORDER
            sheet.row_dimensions[2].fill = PatternFill("solid", fgColor="00FF00")
    out = io.BytesIO()
    book.save(out)
    content = rewritten(
        out.getvalue(),
        in_sheets(draw(st.sampled_from(DIALECTS))),
        draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])),
    )
    return rewritten(content, strict) if draw(st.booleans()) else content


@st.composite
def edits_of(draw: st.DrawFn, content: bytes, texts: st.SearchStrategy[str] = TEXTS) -> tuple[CellEdit, ...]:
    """Texts for some cells of rows that the workbook has; a merged or empty cell is one of them."""
    places = [
        (name, row, column)
        for name, rows in rows_of(content).items()
        for row in rows
        for column in range(8)
        # The values under a merged cell are hidden.
        if (row, column) not in {(1, 1), (2, 0), (2, 1)}
    ]
    chosen = draw(st.lists(st.sampled_from(places), min_size=1, max_size=6, unique=True)) if places else []
    return tuple(CellEdit(*place, draw(texts)) for place in chosen)


def rows_of(content: bytes) -> dict[str, list[int]]:
    """The numbers of the rows that each tab has in its XML, by openpyxl's own reader of the tab's part."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(io.BytesIO(rewritten(content, _transitional)))
    return {sheet.title: sorted({row for row, _ in sheet._cells}) for sheet in book.worksheets}


def _transitional(_name: str, data: bytes) -> bytes:
    for old, new in STRICT.items():
        data = data.replace(new, old)
    return data
