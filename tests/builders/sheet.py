"""Workbooks with everything in them that must survive a writing of two cells."""

from __future__ import annotations

import io
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment
from openpyxl.formatting.rule import CellIsRule
from openpyxl.styles import Font, PatternFill
from openpyxl.worksheet.datavalidation import DataValidation


def aged(path: Path, seconds: float = 60.0) -> Path:
    """The file, as if it stood still for so long."""
    when = datetime.now(UTC).timestamp() - seconds
    os.utime(path, (when, when))
    return path


def csv_file(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return aged(path)


def rich_workbook(path: Path) -> Path:
    """Two tabs of talks with formulas, formats, a comment, a chart, a validation, merged cells and a hidden tab."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Day 1"
    sheet.append(["Programme of the first day"])
    sheet.merge_cells("A1:C1")
    sheet.append(["UUID", "Title", "Minutes", "Status", "Total"])
    sheet.append(["t-1", "Loops & <more>", 30, None, "=SUM(C3:C4)"])
    sheet.append(["t-2", "Ünïcode 🎬", 45.5, "uploaded", None])
    sheet.append([1234.0, "A number for an id", None, None, datetime(2026, 11, 20, tzinfo=UTC).replace(tzinfo=None)])
    sheet["B3"].font = Font(bold=True, color="FF0000")
    sheet["D4"].fill = PatternFill("solid", fgColor="00FF00")
    sheet["B4"].comment = Comment("ask her", "Ada")
    sheet.conditional_formatting.add("C3:C9", CellIsRule(operator="greaterThan", formula=["40"], font=Font(bold=True)))
    validation = DataValidation(type="list", formula1='"uploaded,published"')
    sheet.add_data_validation(validation)
    validation.add("D3:D9")
    chart = BarChart()
    chart.add_data(Reference(sheet, min_col=3, min_row=2, max_row=4), titles_from_data=True)
    sheet.add_chart(chart, "H2")
    other = book.create_sheet("Day 2")
    other.append(["uuid", "status", "link"])
    other.append(["u-1", '=IF(1,"by formula","")', None])
    hidden = book.create_sheet("Old")
    hidden.append(["uuid", "status"])
    hidden.append(["t-1", "published"])
    hidden.sheet_state = "hidden"
    book.save(path)
    return aged(path)


def parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def with_parts(path: Path, changed: dict[str, bytes]) -> Path:
    """The same workbook with some parts replaced or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**parts(path), **changed}.items():
            archive.writestr(name, data)
    path.write_bytes(out.getvalue())
    return aged(path)
