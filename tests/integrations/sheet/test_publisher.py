import asyncio
import csv
import io
import os
import random
import re
import stat

import openpyxl
import pytest
from builders.mail import LINK, Sent, job, tools
from builders.sheet import aged, csv_file, parts, rich_workbook, with_parts

from vidd.errors import Refused, RetryLater
from vidd.integrations.sheet import publisher as sheet_publisher
from vidd.integrations.sheet.backends import csv as backends_csv
from vidd.integrations.sheet.backends import file, xlsx
from vidd.integrations.sheet.table import CellEdit
from vidd.model.talk import Status, TalkStatus

URL = "https://video.example.org/t-1"


def sent(tmp_path, talk_id="t-1", **changes):
    return Sent(tmp_path, kind="sheet", **{"receipts": LINK, "job": job(talk=talk_id), **changes})


async def publish(path, talk="t-1", given=None, **changes):
    return await sheet_publisher.publish(
        sheet_publisher.Options(path=path, **changes), sent(path.parent, talk, **(given or {})).context()
    )


def names(folder):
    return [path.name for path in folder.iterdir()]


async def follow(path, *standings, **changes):
    await sheet_publisher.follow(
        sheet_publisher.Options(path=path, **changes), standings, sent(path.parent).context().tools
    )


CSV = "uuid,title,status,link\nt-1,One,,\nt-2,Two,,\n"


async def test_the_row_of_the_talk_says_published_and_where(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    receipt = await publish(path)
    assert path.read_text() == f"uuid,title,status,link\nt-1,One,published,{URL}\nt-2,Two,,\n"
    assert receipt.facts["row"] == 2
    assert names(tmp_path) == ["p.csv"]


@pytest.mark.parametrize(
    ("urls", "options", "cells"),
    [
        ({"folder": "file:///a"}, {}, ["file:///a", None]),
        ({"folder": "file:///a"}, {"link_of": "youtube"}, [None, "file:///a"]),
        ({"folder": "file:///a"}, {"library_of": "folder"}, ["file:///a", "file:///a"]),
        ({"youtube": "https://y", "folder": "file:///a"}, {}, ["https://y", "file:///a"]),
        ({"s3": "https://s", "folder": "file:///a"}, {}, ["https://s", None]),
    ],
    ids=["the link is it already", "the link is of another", "named", "two", "the link is the first of them"],
)
def test_the_library_link_is_written_where_the_link_is_another(urls, options, cells):
    status = TalkStatus("t-1", Status.PUBLISHED, next(iter(urls.values())), urls)
    texts = sheet_publisher.Options(path="p.csv", **options).cell_texts(status)
    assert [text for _, text in texts] == ["published", *cells]


async def test_columns_that_are_missing_are_added_at_the_right(tmp_path):
    path = csv_file(tmp_path / "p.csv", "uuid,title\r\nt-1,One\r\nt-2,Two,a remark beyond the headings\r\n")
    await publish(path, "t-2")
    assert path.read_bytes() == (
        f"uuid,title,,status,link\r\nt-1,One\r\nt-2,Two,a remark beyond the headings,published,{URL}\r\n".encode()
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\ufeffuuid;status\r\nt-1;\r\n", "\ufeffuuid;status;link\r\nt-1;published;{url}\r\n"),
        ("uuid\tstatus\tlink\nt-1\t\t", "uuid\tstatus\tlink\nt-1\tpublished\t{url}"),
        ('"uuid","status","link"\r"t-1","",""\r', '"uuid","status","link"\r"t-1","published","{url}"\r'),
        (
            'uuid,status,link,"a ""note"""\nt-1,uploaded,,"two\nlines, one cell"\n',
            'uuid,status,link,"a ""note"""\nt-1,published,{url},"two\nlines, one cell"\n',
        ),
        (
            "Programme 2026\n\nTalk-ID,Status,Link,Remark\nt-1 ,,,  spaces stay\n",
            "Programme 2026\n\nTalk-ID,Status,Link,Remark\nt-1 ,published,{url},  spaces stay\n",
        ),
    ],
)
async def test_every_other_byte_stays(tmp_path, before, after):
    path = csv_file(tmp_path / "p.csv", before)
    await publish(path)
    assert path.read_bytes().decode() == after.format(url=URL)


async def test_any_csv_keeps_all_its_other_cells():
    rolls = random.Random(7)
    letters = ["a", "ü", "🎬", " ", '"', ",", ";", "\n", "\r\n", "=", "'", "-", "\t"]
    for _ in range(400):
        delimiter, end = rolls.choice(",;\t"), rolls.choice(["\n", "\r\n"])
        rows = [
            ["uuid", "status", *["column"] * rolls.randint(1, 4)],
            *[
                ["".join(rolls.choices(letters, k=rolls.randint(0, 6))) for _ in range(rolls.randint(1, 7))]
                for _ in range(6)
            ],
        ]
        out = io.StringIO(newline="")
        quoting = rolls.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
        before = out.getvalue().encode()
        row, column = rolls.randint(2, 7), rolls.randint(0, 9)
        text = "".join(rolls.choices(letters, k=4))
        after, left = backends_csv.patch(before, [CellEdit("", row, column, text)])
        assert left == ()
        wanted = [list(row) for row in backends_csv.grids(before)[0].rows]
        assert wanted == [row or [""] for row in rows]
        wanted[row - 1] += [""] * (column + 1 - len(wanted[row - 1]))
        wanted[row - 1][column] = text
        assert [list(row) for row in backends_csv.grids(after)[0].rows] == wanted
        kept = before.split(end.encode())
        assert after.startswith(kept[0])
        parsed = list(csv.reader(io.StringIO(after.decode(), newline=""), delimiter=delimiter))
        assert [row or [""] for row in parsed] == wanted


async def test_nothing_is_written_where_the_row_says_so_already(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    await publish(path)
    before = path.stat()
    await publish(path)
    assert path.stat().st_ino == before.st_ino


async def test_rows_are_found_by_id_however_the_sheet_was_sorted(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    await publish(path)
    header, *rows = path.read_text().splitlines()
    csv_file(path, "\n".join([header, "t-0,Zero,,", *reversed(rows)]) + "\n")
    await publish(path, "t-2")
    assert path.read_text().splitlines()[2] == f"t-2,Two,published,{URL}"


async def test_a_row_that_is_gone_is_refused(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    with pytest.raises(Refused, match=r"'t-9' has no row in p\.csv any more"):
        await publish(path, "t-9")
    assert path.read_text() == CSV


async def test_two_rows_of_one_talk_are_refused_with_both(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV + "t-1,Again,,\n")
    with pytest.raises(Refused, match="row 2 and row 4"):
        await publish(path)


async def test_a_sheet_without_an_id_column_is_refused_with_the_headings_found(tmp_path):
    path = csv_file(tmp_path / "p.csv", "name,title\nt-1,One\n")
    with pytest.raises(Refused, match=r"no column 'uuid'.*'name', 'title'"):
        await publish(path)


async def test_a_sheet_that_is_gone_is_again_later(tmp_path):
    with pytest.raises(RetryLater, match="There is no sheet"):
        await publish(tmp_path / "p.csv")


async def test_a_job_without_a_talk_has_no_row(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    with pytest.raises(Refused, match="belongs to no talk"):
        await sheet_publisher.publish(sheet_publisher.Options(path=path), sent(tmp_path, None, talk=None).context())


async def test_mode_owner_and_a_symbolic_link_stay(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
    before = path.stat()
    (tmp_path / "link.csv").symlink_to(path)
    await publish(tmp_path / "link.csv")
    after = path.stat()
    assert (tmp_path / "link.csv").is_symlink()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert "published" in path.read_text()


@pytest.mark.parametrize("how", ["by rename", "in place"])
async def test_what_a_person_saves_between_reading_and_rename_is_not_lost(tmp_path, monkeypatch, how):
    path = csv_file(tmp_path / "p.csv", CSV)
    theirs = CSV.replace("Two", "Two, corrected".join('""'))
    saves = [theirs]
    real = backends_csv.patch

    def save_meanwhile(content, cells):
        if saves:
            new = saves.pop()
            if how == "by rename":
                csv_file(tmp_path / "new", new).rename(path)
            else:
                csv_file(path, new)
        return real(content, cells)

    monkeypatch.setattr(backends_csv, "patch", save_meanwhile)
    await publish(path)
    assert path.read_text() == theirs.replace("t-1,One,,", f"t-1,One,published,{URL}")
    assert names(tmp_path) == ["p.csv"]


async def test_what_a_person_writes_into_the_old_file_at_the_rename_is_taken_up(tmp_path, monkeypatch):
    path = csv_file(tmp_path / "p.csv", CSV)
    handle = os.open(path, os.O_WRONLY)
    theirs = CSV.replace("Two", "Too")
    saves = [theirs]
    real = file.sync

    def save_late(directory):
        real(directory)
        if saves:
            os.pwrite(handle, saves.pop().encode(), 0)
            os.utime(handle, (1, 1))

    monkeypatch.setattr(file, "sync", save_late)
    await publish(path)
    assert path.read_text() == theirs.replace("t-1,One,,", f"t-1,One,published,{URL}")
    os.close(handle)


async def test_a_sheet_that_changes_all_the_time_is_again_later(tmp_path, monkeypatch):
    path = csv_file(tmp_path / "p.csv", CSV)
    real = backends_csv.patch

    def save_meanwhile(content, cells):
        csv_file(tmp_path / "new", CSV).rename(path)
        return real(content, cells)

    monkeypatch.setattr(backends_csv, "patch", save_meanwhile)
    with pytest.raises(RetryLater, match="is being changed all the time"):
        await publish(path)
    assert path.read_text() == CSV


async def test_forty_talks_published_at_once_all_stand_in_the_sheet(tmp_path):
    talks = [f"t-{number}" for number in range(40)]
    path = csv_file(tmp_path / "p.csv", "uuid,status,link\n" + "".join(f"{talk},,\n" for talk in talks))
    one_daemon = tools(tmp_path)
    async with asyncio.timeout(60):
        await asyncio.gather(*(publish(path, talk, given={"tools": one_daemon}) for talk in talks))
    assert path.read_text().count("published") == 40


async def test_reconcile_reads_the_cell(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    tried = sent(tmp_path)
    assert await sheet_publisher.reconcile(sheet_publisher.Options(path=path), tried.context()) is None
    receipt = await publish(path)
    assert await sheet_publisher.reconcile(sheet_publisher.Options(path=path), tried.context()) == receipt


async def test_all_rows_follow_how_their_talks_stand(tmp_path):
    path = csv_file(tmp_path / "p.csv", "uuid,status\nt-1,\nt-2,\nt-3,asked her\nt-4,failed\nt-5,\nt-5,\n")
    await follow(
        path,
        TalkStatus("t-1", Status.PUBLISHED, URL),
        TalkStatus("t-4", Status.PROCESSING),
        TalkStatus("t-9", Status.FAILED),
    )
    assert path.read_text() == (
        f"uuid,status,link\nt-1,published,{URL}\nt-2,not uploaded\nt-3,asked her\nt-4,processing\nt-5,\nt-5,\n"
    )
    before = path.stat().st_ino
    await follow(path, TalkStatus("t-1", Status.PUBLISHED, URL), TalkStatus("t-4", Status.PROCESSING))
    assert path.stat().st_ino == before


async def test_a_leftover_of_a_crash_is_in_nobodys_way(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    (tmp_path / ".p.csv.vidd-part").write_text("half of someth" * 99)
    await publish(path)
    assert names(tmp_path) == ["p.csv"]
    assert path.read_text() == f"uuid,title,status,link\nt-1,One,published,{URL}\nt-2,Two,,\n"


# Workbooks


async def test_a_workbook_keeps_every_part_but_the_one_sheet_byte_for_byte(tmp_path):
    path = rich_workbook(tmp_path / "p.xlsx")
    before = parts(path)
    await publish(path)
    after = parts(path)
    assert list(after) == list(before)
    assert [name for name in after if after[name] != before[name]] == ["xl/worksheets/sheet1.xml"]


async def test_a_workbook_keeps_formulas_formats_comments_charts_and_values(tmp_path):
    path = rich_workbook(tmp_path / "p.xlsx")
    before = openpyxl.load_workbook(path)
    await publish(path, "t-2")
    after = openpyxl.load_workbook(path)
    for tab in before.sheetnames:
        for row in before[tab].iter_rows():
            for cell in row:
                now = after[tab][cell.coordinate]
                if (tab, cell.coordinate) != ("Day 1", "D4"):
                    assert now.value == cell.value
                for look in ("font", "fill", "border", "alignment", "number_format"):
                    assert repr(getattr(now, look)) == repr(getattr(cell, look))
    sheet_now = after["Day 1"]
    assert sheet_now["D4"].value == "published"
    assert sheet_now["D4"].fill.fgColor.rgb == "0000FF00"
    assert (sheet_now["F2"].value, sheet_now["F4"].value) == ("link", URL)
    assert sheet_now["B4"].comment.text == "ask her"
    assert len(sheet_now._charts) == 1
    assert sheet_now.data_validations.dataValidation
    assert [str(range_) for range_ in sheet_now.merged_cells.ranges] == ["A1:C1"]
    assert len(list(sheet_now.conditional_formatting)) == 1


async def test_results_of_formulas_are_still_there_for_the_next_reading(tmp_path):
    path = rich_workbook(tmp_path / "p.xlsx")
    data = parts(path)["xl/worksheets/sheet1.xml"]
    with_parts(
        path, {"xl/worksheets/sheet1.xml": data.replace(b"<v></v>", b"<v>75.5</v>").replace(b"<v />", b"<v>75.5</v>")}
    )
    assert openpyxl.load_workbook(path, data_only=True)["Day 1"]["E3"].value == 75.5
    await publish(path)
    assert openpyxl.load_workbook(path, data_only=True)["Day 1"]["E3"].value == 75.5


@pytest.mark.filterwarnings("ignore:Sparkline:UserWarning")
async def test_what_vidd_does_not_know_in_a_workbook_stays(tmp_path):
    path = rich_workbook(tmp_path / "p.xlsx")
    data = parts(path)["xl/worksheets/sheet1.xml"]
    strange = (
        b'<extLst><ext uri="{05C60535-1F16-4fd2-B633-F4F36F0B64E0}" xmlns:x14="http://schemas.microsoft.com/office/'
        b'spreadsheetml/2009/9/main"><x14:sparklineGroups a="1 > 0"/></ext></extLst><!-- row <c> --></worksheet>'
    )
    with_parts(path, {"xl/worksheets/sheet1.xml": data.replace(b"</worksheet>", strange), "xl/threaded.bin": b"\0\1"})
    await publish(path)
    assert parts(path)["xl/worksheets/sheet1.xml"].endswith(strange)
    assert parts(path)["xl/threaded.bin"] == b"\0\1"


async def test_a_number_with_a_point_nought_is_the_id_that_people_see(tmp_path):
    path = rich_workbook(tmp_path / "p.xlsx")
    data = parts(path)["xl/worksheets/sheet1.xml"]
    with_parts(path, {"xl/worksheets/sheet1.xml": data.replace(b"<v>1234</v>", b"<v>1234.0</v>")})
    assert (await publish(path, "1234")).facts == {"row": 5, "tab": "Day 1"}


async def test_a_workbook_that_lies_about_its_size_is_read_whole(tmp_path):
    path = rich_workbook(tmp_path / "p.xlsx")
    data = re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:A2"', parts(path)["xl/worksheets/sheet1.xml"])
    with_parts(path, {"xl/worksheets/sheet1.xml": data})
    assert (await publish(path, "t-2")).facts["row"] == 4


async def test_a_formula_in_the_way_is_not_overwritten(tmp_path):
    path = rich_workbook(tmp_path / "p.xlsx")
    with pytest.raises(Refused, match="row 2 of the tab 'Day 2' of the sheet a formula stands where vidd writes"):
        await publish(path, "u-1")
    await follow(path, TalkStatus("u-1", Status.FAILED, "x"), TalkStatus("t-1", Status.FAILED))
    after = openpyxl.load_workbook(path)
    assert after["Day 2"]["B2"].value == '=IF(1,"by formula","")'
    assert (after["Day 1"]["D3"].value, after["Day 1"]["D4"].value) == ("failed", "uploaded")
    assert after["Old"]["B2"].value == "published"


async def test_a_workbook_without_cell_names_is_counted(tmp_path):
    path = rich_workbook(tmp_path / "p.xlsx")
    data = re.sub(rb'(<(?:c|row)) r="[A-Z]*\d+"', rb"\1", parts(path)["xl/worksheets/sheet2.xml"])
    with_parts(path, {"xl/worksheets/sheet2.xml": data.replace(b"<f>", b"<x>").replace(b"</f>", b"</x>")})
    await publish(path, "u-1")
    assert xlsx.grids(path.read_bytes())[1].rows == (("uuid", "status", "link"), ("u-1", "published", URL))


async def test_a_workbook_with_prefixed_names_and_empty_rows_is_written_in_its_own_way(tmp_path):
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    data = (
        f'<?xml version="1.0" encoding="utf-8"?><x:worksheet xmlns:x="{main}"><x:sheetData>'
        '<x:row r="1" spans="1:1"><x:c r="A1" t="inlineStr"><x:is><x:t>uuid</x:t></x:is></x:c></x:row><x:row r="2"/>'
        '<x:row r="4"><x:c r="A4" t="inlineStr"><x:is><x:t>t-1</x:t></x:is></x:c><x:c r="B4" s="0"/></x:row>'
        "</x:sheetData></x:worksheet>"
    )
    path = with_parts(rich_workbook(tmp_path / "p.xlsx"), {"xl/worksheets/sheet1.xml": data.encode()})
    await publish(path)
    assert xlsx.grids(path.read_bytes())[0].rows == (
        ("uuid", "status", "link"),
        (),
        (),
        ("t-1", "published", URL),
    )
    assert b"spans" not in parts(path)["xl/worksheets/sheet1.xml"]
    assert b"<x:is><x:t xml:space" in parts(path)["xl/worksheets/sheet1.xml"]


@pytest.mark.parametrize("size", [0, 100, -300])
async def test_half_a_workbook_is_again_later(tmp_path, size):
    path = rich_workbook(tmp_path / "p.xlsx")
    path.write_bytes(path.read_bytes()[:size])
    aged(path)
    with pytest.raises(RetryLater, match=r"p\.xlsx: The workbook cannot be read"):
        await publish(path)


async def test_a_tab_that_is_not_there_is_refused_with_those_there_are(tmp_path):
    path = rich_workbook(tmp_path / "p.xlsx")
    with pytest.raises(Refused, match="no tab 'Day 3', it has Day 1, Day 2"):
        await publish(path, tab="Day 3")
    await publish(path, tab="Day 1")


async def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(xlsx, "_LARGEST", 1000)
    with pytest.raises(Refused, match="unpacks to more than"):
        await publish(rich_workbook(tmp_path / "p.xlsx"))


async def test_the_check_counts_the_rows(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    assert (
        await sheet_publisher.check(sheet_publisher.Options(path=path), sent(tmp_path).context().tools)
        == "2 talks have a row"
    )
