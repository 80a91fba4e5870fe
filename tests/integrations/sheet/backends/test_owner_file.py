import pytest
from builders.mail import LINK, Sent, job
from builders.sheet import aged, csv_file, rich_workbook

from vidd.errors import FaultCode, RetryLater
from vidd.integrations.sheet import publisher

LIBREOFFICE = b",ada,studio-2,01.12.2026 08:29,file:///home/ada/.config/libreoffice/4;"
NAMED = b"Ada\\, Countess of Lovelace,ada,studio-2,01.12.2026 08:29,file:///home/ada;"
_ANSI = b"\x0cAda Lovelace".ljust(55)
EXCEL = _ANSI + len("Ada Lovelacé").to_bytes(2, "little") + "Ada Lovelacé".encode("utf-16-le").ljust(108, b"\0")


async def publish(path):
    notice = Sent(path.parent, kind="sheet", receipts=LINK, job=job(talk="t-1"))
    return await publisher.publish(publisher.Options(path=path), notice.context())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (".~lock.{}#", LIBREOFFICE, r"^ada \(at studio-2\) has the sheet '{}' open in LibreOffice"),
        (".~lock.{}#", NAMED, r"^Ada, Countess of Lovelace \(at studio-2\) has"),
        (".~lock.{}#", b"", "^Somebody has the sheet"),
        (".~lock.{}#", b"\xff\x00;;,,\\", r"^�\\x00 has the sheet"),
        ("~${}", EXCEL, "^Ada Lovelacé has the sheet '{}' open in Excel"),
        ("~${}", b"\x03Ada", "^Somebody has the sheet"),
    ],
)
@pytest.mark.parametrize("sheet", ["p.csv", "p.xlsx"])
async def test_a_sheet_that_is_open_is_written_once_it_is_closed(tmp_path, sheet, name, content, words):
    path = tmp_path / sheet
    path = rich_workbook(path) if sheet == "p.xlsx" else csv_file(path, "uuid,status\nt-1,\n")
    before = path.read_bytes()
    owner_file = tmp_path / name.format(sheet)
    owner_file.write_bytes(content)
    with pytest.raises(RetryLater, match=words.format(sheet.replace(".", r"\."))) as fault:
        await publish(path)
    assert path.read_bytes() == before
    assert (fault.value.code, fault.value.counts) == (FaultCode.BUSY, False)
    assert owner_file.name in fault.value.sentence
    owner_file.unlink()
    await publish(aged(path))
    assert path.read_bytes() != before


async def test_a_sheet_that_says_so_already_waits_for_nobody(tmp_path):
    path = csv_file(tmp_path / "p.csv", "uuid,status,link\nt-1,,\n")
    await publish(path)
    (tmp_path / ".~lock.p.csv#").write_bytes(LIBREOFFICE)
    before = path.read_bytes()
    await publish(path)
    assert path.read_bytes() == before
