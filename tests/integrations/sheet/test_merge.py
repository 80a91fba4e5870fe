"""A cell that both vidd and people write, as a table."""

import asyncio

import pytest
from builders.mail import Sent, job
from builders.sheet import csv_file

from vidd.aio.batcher import Batcher
from vidd.errors import Refused
from vidd.integrations.sheet import publisher as sheet_publisher
from vidd.integrations.sheet.merge import CellRecord, Verdict, merge_cell
from vidd.model.publication import Receipt
from vidd.model.talk import Status, TalkStatus

OWN = {"uploaded", "published"}


@pytest.mark.parametrize(
    ("written", "theirs", "ours", "verdict"),
    [
        (None, "", "published", Verdict(write="published", stands="published")),
        (None, "uploaded", "published", Verdict(write="published", stands="published")),
        (None, "on hold", "published", Verdict(conflict="published")),
        (None, "published", "published", Verdict(stands="published")),
        ("uploaded", "uploaded", "published", Verdict(write="published", stands="published")),
        ("uploaded", " ", "published", Verdict(write="published", stands="published")),
        ("uploaded", "-", "published", Verdict(write="published", stands="published")),
        ("uploaded", "on hold", "uploaded", Verdict()),
        ("uploaded", "on hold", "published", Verdict(conflict="published")),
        ("processing", "uploaded", "published", Verdict(conflict="published")),
        ("uploaded", "published", "published", Verdict(stands="published")),
        ("uploaded", "on hold", None, Verdict()),
    ],
)
def test_a_persons_word_stays_and_only_news_are_a_conflict(written, theirs, ours, verdict):
    assert merge_cell(CellRecord(written, (), ours), theirs, OWN, "-") == verdict


def test_what_may_have_been_written_before_a_crash_is_record_for_vidds_own():
    record = CellRecord("uploaded", (), "processing").begin_write()
    after = CellRecord.from_text(record.to_text())
    assert merge_cell(CellRecord(after.written, after.attempted, "published"), "processing").write == "published"
    assert record.finish_write(Verdict(stands="processing")) == CellRecord("processing", (), "processing")
    assert record.finish_write(Verdict(conflict="processing")) == CellRecord("uploaded", (), "processing")


async def test_in_a_file_a_persons_word_stays_too_and_the_receipt_says_what_vidd_would_write(tmp_path):
    path = csv_file(tmp_path / "p.csv", "uuid,status,link\nt-1,,\n")
    sent = Sent(tmp_path, kind="sheet", receipts={"s3": Receipt(url="https://video")}, job=job())
    options = sheet_publisher.Options(path=path)
    await sheet_publisher.follow(options, [TalkStatus("t-1", Status.PROCESSING)], sent.context().tools)
    csv_file(path, path.read_text().replace("processing", "on hold"))
    receipt = await sheet_publisher.publish(options, sent.context())
    assert path.read_text() == "uuid,status,link\nt-1,on hold,https://video\n"
    assert receipt.facts["kept"] == {"status": "published"}
    assert receipt.facts["notes"] == ["The cell under status is a person's and stays; vidd would write: published"]


async def test_each_wish_has_its_own_answer_and_all_come_from_one_go():
    goes = []

    async def work(wishes):
        goes.append(list(wishes))
        await asyncio.sleep(0)
        return [Refused("No.") if wish == 2 else wish * 10 for wish in wishes]

    together = Batcher(work)
    results = await asyncio.gather(*(together.ask(wish) for wish in range(5)), return_exceptions=True)
    assert [str(result) if isinstance(result, Refused) else result for result in results] == [0, 10, "No.", 30, 40]
    assert goes == [[0], [1, 2, 3, 4]]
