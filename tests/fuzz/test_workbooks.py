"""Cells written into workbooks of all shapes: the cells say what was written, and everything else is as it was."""

import csv
import io
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from builders.workbooks import SHEET, TEXTS, Case, contents, edits_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidd.integrations.sheet.backends import xlsx

# What openpyxl warns of, vidd leaves alone.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning:openpyxl")]

FIXTURES = sorted((Path(__file__).parents[1] / "data" / "workbooks").glob("*.xlsx"))
CELL = re.compile(rb"<(\w+:)?c\b(?:[^>]*/>|[^>]*[^/>]>.*?</\1?c>|>.*?</\1?c>)", re.DOTALL)


def parts(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def cells(content):
    return {
        (grid.tab, number, column): text
        for grid in xlsx.grids(content)
        for number, row in enumerate(grid.rows, start=1)
        for column, text in enumerate(row)
        if text
    }


def without_cells(data, numbered):
    """The worksheet's XML in its canonical form without these cells, by row and column."""
    root = ET.fromstring(data, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))
    number = 0
    for row in (row for row in root.iter() if str(row.tag).endswith("}row")):
        number = int(row.get("r", number + 1))
        row.attrib.pop("spans", None)
        column, previous = 0, None
        for cell in list(row):
            if not str(cell.tag).endswith("}c"):
                previous = cell
                continue
            reference = re.match("[A-Z]+", cell.get("r", ""))
            column = _column(reference[0]) if reference else column + 1
            if (number, column - 1) in numbered:
                # The space after a cell is its neighbour's.
                if previous is not None:
                    previous.tail = (previous.tail or "") + (cell.tail or "")
                else:
                    row.text = (row.text or "") + (cell.tail or "")
                row.remove(cell)
            else:
                previous = cell
    return ET.canonicalize(ET.tostring(root), strip_text=False)


def _column(letters):
    return sum((ord(letter) - 64) * 26**at for at, letter in enumerate(reversed(letters)))


def check(content, edits):
    new, left = xlsx.patch(content, edits)
    assert all(edit in edits for edit in left)
    done = [edit for edit in edits if edit not in left]
    expected = cells(content)
    for edit in done:
        expected[edit.tab, edit.row, edit.column] = edit.text
    assert cells(new) == expected

    old_parts, new_parts = parts(content), parts(new)
    assert list(old_parts) == list(new_parts)
    changed = {name for name in old_parts if old_parts[name] != new_parts[name]}
    assert len(changed) <= len({edit.tab for edit in done})
    places = {(edit.row, edit.column) for edit in done}
    for name in changed:
        assert without_cells(old_parts[name], places) == without_cells(new_parts[name], places)
        if len(done) == 1:
            _check_bytes(old_parts[name], new_parts[name])
    return new, done


def _check_bytes(old, new):
    """One cell was written: before it and after it is the same, but for the `spans` and the end of its row's tag."""
    old = re.sub(rb"\sspans=\"[^\"]*\"", b"", old)
    new = re.sub(rb"\sspans=\"[^\"]*\"", b"", new)
    for written in CELL.finditer(new):
        before, after = new[: written.start()], new[written.end() :]
        row_was_closed = re.fullmatch(rb"</(?:\w+:)?row>", after[: after.find(b">") + 1])
        middle = old[len(before) : len(old) - len(after)]
        if old.startswith(before) and old.endswith(after) and (not middle or CELL.fullmatch(middle)):
            return
        closed = re.sub(rb"\s*>$", b"/>", before)
        if row_was_closed and old.startswith(closed[:-2]) and old.endswith(after[after.find(b">") + 1 :]):
            return
    pytest.fail("more than a cell differs")


@st.composite
def cases(draw):
    content = draw(contents())
    sheets = {name: data for name, data in parts(content).items() if SHEET.search(name)}
    return Case(content, draw(edits_of(content)), sheets)


@given(cases())
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_workbook_of_openpyxl_keeps_all_but_the_cells_that_are_written(case):
    check(case.content, case.edits)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
@given(data=st.data())
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
def test_workbooks_of_libreoffice_keep_all_but_the_cells_that_are_written(path, data):
    content = path.read_bytes()
    check(content, data.draw(edits_of(content)))


@pytest.mark.skipif(not shutil.which("soffice"), reason="needs Debian package: libreoffice-calc")
@given(data=st.data())
@settings(max_examples=1, suppress_health_check=list(HealthCheck))
def test_libreoffice_reads_what_was_written_and_all_other_cells_as_before(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("libreoffice")
    # Which tabs and carriage returns a CSV file of LibreOffice can hold is not what is tested here.
    made = [data.draw(contents()) for _ in range(20)] + [path.read_bytes() for path in FIXTURES]
    texts = TEXTS.filter(lambda text: len(text) < 1000)
    written = {}
    for number, content in enumerate(made):
        new, done = check(content, data.draw(edits_of(content, texts)))
        (directory / f"{number}-old.xlsx").write_bytes(content)
        (directory / f"{number}-new.xlsx").write_bytes(new)
        written[number] = done
    read = libreoffice_cells(directory)
    for number, done in written.items():
        expected = dict(read[f"{number}-old"])
        for edit in done:
            expected[edit.tab, edit.row, edit.column] = edit.text
        assert read[f"{number}-new"] == expected


def libreoffice_cells(directory):
    """The text of every cell that is not empty, as LibreOffice exports it: by workbook; tab, row and column."""
    # Every tab in a file of its own, UTF-8, quoted where needed, values and not what formats show of them.
    form = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false,false,false,-1"
    command = ["soffice", "--headless", f"-env:UserInstallation={(directory / 'profile').as_uri()}"]
    books = sorted(directory.glob("*.xlsx"))
    out = directory / "csv"
    subprocess.run(
        [*command, "--convert-to", form, "--outdir", out, *books], check=True, capture_output=True, timeout=300
    )
    found = {book.stem: {} for book in books}
    for file in out.glob("*.csv"):
        number, state, tab = file.stem.split("-", 2)
        with file.open(newline="", encoding="utf-8") as lines:
            for row, fields in enumerate(csv.reader(lines), start=1):
                for column, text in enumerate(fields):
                    if text:
                        found[f"{number}-{state}"][tab, row, column] = text
    return found
