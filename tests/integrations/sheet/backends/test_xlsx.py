import re
import zipfile
from pathlib import Path

import openpyxl
import pytest
from builders.mail import LINK, Sent, job
from builders.sheet import aged, parts, rich_workbook, with_parts
from builders.workbooks import BORDER, in_sheets, prefixed, rewritten, strict, with_extension
from openpyxl.styles import PatternFill

from vidd.errors import RetryLater
from vidd.integrations.sheet import publisher
from vidd.integrations.sheet.backends import xlsx
from vidd.integrations.sheet.table import CellEdit

# What openpyxl warns of, vidd leaves alone.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:openpyxl")
URL = LINK["library"].url
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
FIXTURE = Path(__file__).parents[3] / "data" / "workbooks" / "programme.xlsx"


def book(path, change=lambda sheet: None):
    made = openpyxl.Workbook()
    made.active.append(["uuid", "title", "status", "link"])
    made.active.append(["t-1", "One", None, None])
    made.active.append(["t-2", "Two", None, None])
    change(made.active)
    made.save(path)
    return aged(path)


def bordered(sheet):
    for row in sheet["A1:D3"]:
        for cell in row:
            cell.border = BORDER


def with_sheet(path, rows, root="", name="worksheet"):
    data = f'<{name} xmlns="{MAIN}"{root}><sheetData>{rows}</sheetData></{name}>'
    return with_parts(book(path), {"xl/worksheets/sheet1.xml": data.encode()})


async def publish(path, talk="t-1"):
    notice = Sent(path.parent, kind="sheet", receipts=LINK, job=job(talk=talk))
    await publisher.publish(publisher.Options(path=path), notice.context())


def rows(path):
    return xlsx.grids(path.read_bytes())[0].rows


async def test_the_empty_bordered_cell_that_ends_a_row_is_written(tmp_path):
    path = book(tmp_path / "p.xlsx", bordered)
    assert re.search(rb'<c r="D2" [^>]*/></row>', parts(path)["xl/worksheets/sheet1.xml"])
    await publish(path)
    assert rows(path)[1] == ("t-1", "One", "published", URL)
    assert openpyxl.load_workbook(path).active["D2"].border.left.style == "thin"


async def test_a_workbook_that_libreoffice_saved_is_written_in_every_tab(tmp_path):
    path = tmp_path / "p.xlsx"
    path.write_bytes(FIXTURE.read_bytes())
    for talk in ("t1", "t3", "u2"):
        await publish(aged(path), talk)
    said = {
        row[0]: row[5:7]
        for grid in xlsx.grids(path.read_bytes())
        for row in grid.rows
        if row[0] in {"t1", "t2", "t3", "u2"}
    }
    assert said == {talk: ("published", URL) if talk != "t2" else () for talk in said}
    assert len(said) == 4


async def test_a_formula_in_an_extension_is_no_formula_of_a_cell(tmp_path):
    path = book(tmp_path / "p.xlsx", bordered)
    path.write_bytes(rewritten(path.read_bytes(), in_sheets(with_extension)))
    await publish(aged(path), "t-2")
    assert rows(path)[2] == ("t-2", "Two", "published", URL)


async def test_the_anchor_of_a_button_is_no_row(tmp_path):
    anchor = '<controls xmlns:xdr="urn:x"><control><from><xdr:row r="2">9</xdr:row></from></control></controls>'
    path = book(tmp_path / "p.xlsx")
    data = parts(path)["xl/worksheets/sheet1.xml"].replace(b"</worksheet>", anchor.encode() + b"</worksheet>")
    await publish(with_parts(path, {"xl/worksheets/sheet1.xml": data}))
    assert rows(path)[1][2] == "published"
    assert anchor.encode() in parts(path)["xl/worksheets/sheet1.xml"]


async def test_a_new_cell_looks_like_its_row_or_its_column(tmp_path):
    def change(sheet):
        sheet.delete_cols(3, 2)
        sheet.row_dimensions[2].fill = PatternFill("solid", fgColor="00FF00")
        sheet.column_dimensions["D"].border = BORDER

    path = book(tmp_path / "p.xlsx", change)
    await publish(path, "t-1")
    await publish(path, "t-2")
    sheet = openpyxl.load_workbook(path).active
    assert [cell.value for cell in sheet[2]] == ["t-1", "One", "published", URL]
    assert (sheet["C2"].fill.fgColor.rgb, sheet["D2"].fill.fgColor.rgb) == ("0000FF00", "0000FF00")
    assert (sheet["C3"].border.left.style, sheet["D3"].border.left.style) == (None, "thin")


async def test_a_workbook_of_the_strict_variant_is_read_and_written(tmp_path):
    path = book(tmp_path / "p.xlsx", bordered)
    path.write_bytes(rewritten(path.read_bytes(), strict))
    before = parts(path)
    await publish(aged(path))
    assert rows(path)[1] == ("t-1", "One", "published", URL)
    after = parts(path)
    assert {name for name in after if after[name] != before[name]} == {"xl/worksheets/sheet1.xml"}
    assert MAIN.encode() not in after["xl/worksheets/sheet1.xml"]


@pytest.mark.parametrize("fill", [b"<fill/>", b"<fill></fill>"])
async def test_a_fill_without_a_pattern_is_as_good_as_none(tmp_path, fill):
    path = rich_workbook(tmp_path / "p.xlsx")
    styles = parts(path)["xl/styles.xml"].replace(b'<fill><patternFill patternType="gray125" /></fill>', fill)
    assert fill in styles
    await publish(with_parts(path, {"xl/styles.xml": styles}))
    assert parts(path)["xl/styles.xml"] == styles
    assert rows(path)[2][3] == "published"


async def test_a_workbook_whose_parts_have_other_names_is_written(tmp_path):
    path = book(tmp_path / "p.xlsx")
    before = parts(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in before.items():
            archive.writestr(
                name.replace("workbook.xml", "workbook2.xml"), data.replace(b"workbook.xml", b"workbook2.xml")
            )
    await publish(aged(path))
    assert rows(path)[1][2] == "published"


@pytest.mark.parametrize(
    "text", ["_x0041_", "a_x000D_b", "line\r\nbreak", "=1+1", "  ", "]]>", "a&amp;b", "\tx\n", "🎬" * 100, "x" * 32767]
)
def test_a_text_is_read_as_it_was_written(tmp_path, text):
    content = book(tmp_path / "p.xlsx").read_bytes()
    new, left = xlsx.patch(content, [CellEdit("Sheet", 2, 2, text)])
    assert (xlsx.grids(new)[0].text(2, 2), left) == (text, ())


def test_what_a_program_wrote_as_an_escape_is_the_character_that_people_see(tmp_path):
    cells = "".join(
        f'<c r="{reference}" t="inlineStr"><is><t>{text}</t></is></c>'
        for reference, text in [
            ("A1", "uuid"),
            ("B1", "two_x000D_\nlines"),
            ("C1", "_x005F_x0041_"),
            ("D1", "a_x0001_b"),
        ]
    )
    path = with_sheet(tmp_path / "p.xlsx", f'<row r="1">{cells}</row>')
    assert rows(path) == (("uuid", "two\r\nlines", "_x0041_", "ab"),)


UNNAMED = (
    '<row><c t="inlineStr"><is><t>uuid</t></is></c><c/></row>'
    '<row><c t="inlineStr"><is><t>t-1</t></is></c><c s="0"/></row>'
)
COMMENTED = (
    '<row r="1"><c r="A1" t="inlineStr"><is><t><![CDATA[uuid]]></t></is></c></row><!-- <row r="2"/> --><row/><row r="3">'
    '<c r="A3" t="inlineStr"><is><t>t-1</t></is></c><!-- </row> --><c r="B3"\n s="0"\n/><!-- </c> --></row>'
)
QUOTED = (
    '<row r="1" spans="1:2"><c r="A1" t="inlineStr"><is><r><t>uu</t></r><r><t>id</t></r></is></c></row><row r=\'2\'/>'
    "<row r='3' spans='1:1'><c r='A3' t='inlineStr'><is><t>t-1</t></is></c><c r='C3'/></row >"
)


@pytest.mark.parametrize("sheet_rows", [UNNAMED, COMMENTED, QUOTED])
async def test_rows_and_cells_without_names_comments_and_quotes_of_both_kinds_are_written(tmp_path, sheet_rows):
    path = with_sheet(tmp_path / "p.xlsx", sheet_rows)
    await publish(path)
    found = rows(path)
    assert (found[0], found[-1]) == (("uuid", "status", "link"), ("t-1", "published", URL))


async def test_prefixed_names_with_a_bordered_end_are_written_in_their_own_way(tmp_path):
    path = book(tmp_path / "p.xlsx", bordered)
    path.write_bytes(rewritten(path.read_bytes(), in_sheets(prefixed)))
    await publish(aged(path))
    assert rows(path)[1] == ("t-1", "One", "published", URL)
    assert b"<x:is><x:t xml:space" in parts(path)["xl/worksheets/sheet1.xml"]


async def test_an_encrypted_member_is_a_sentence(tmp_path):
    path = book(tmp_path / "p.xlsx")
    content = bytearray(path.read_bytes())
    for header in (match.start() for match in re.finditer(b"PK\x01\x02", bytes(content))):
        content[header + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(RetryLater, match="locked by a password"):
        await publish(aged(path))
