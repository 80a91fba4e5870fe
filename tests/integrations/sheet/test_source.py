import codecs
from dataclasses import replace
from datetime import time, timedelta

import openpyxl
import pytest
from builders.mail import NOON, HeldInlet, watching
from builders.sheet import aged, csv_file, rich_workbook

from vidd.errors import Refused
from vidd.integrations.sheet import source as sheet_source
from vidd.integrations.sheet.backends.csv import grids
from vidd.integrations.sheet.programme import Columns, read_talks
from vidd.model.talk import Speaker


def watch(context, **changes):
    return watching(sheet_source.watch(sheet_source.Options(**{"path": "p.csv", **changes}), context), context)


def talks(text, **columns):
    return read_talks(grids(text.encode()), Columns(**columns))


def talk(headings, row, **columns):
    (found,) = talks(f"uuid,{headings}\nt-1,{row}\n", **columns)
    return found


CSV = (
    "uuid,title,description,speakers,e-mails,stage,channel,exclude,priority,Day\n"
    't-1,Loops,"How, and why",Ada Lovelace; Alan Turing,ada@example.org; alan@example.org,Main,a,,5,Monday\n'
    "t-2,Secrets,,,,,,YES,,\n"
    ",just a line between,,,,,,,,\n"
)


async def test_the_programme_is_read_with_all_its_columns(tmp_path):
    csv_file(tmp_path / "p.csv", CSV)
    context = HeldInlet(tmp_path)
    async with watch(context):
        first, second = context.readings[-1]
    assert (first.id, first.title, first.description) == ("t-1", "Loops", "How, and why")
    assert first.speakers == (Speaker("Ada Lovelace", "ada@example.org"), Speaker("Alan Turing", "alan@example.org"))
    assert (first.stage, first.channel, first.priority, first.excluded, first.fault) == ("Main", "a", 5, False, None)
    assert first.facts == {"row": "row 2", "notes": [], "unusable": [], "columns": {"Day": "Monday"}}
    assert second.excluded
    assert (context.standing, context.quiet) == ("up", 1)


@pytest.mark.parametrize(
    ("speakers", "emails", "read"),
    [
        ("A, B", "a@x.org,b@x.org", [("A", "a@x.org"), ("B", "b@x.org")]),
        ("Lovelace, Ada; Turing, Alan", "a@x.org", [("Lovelace, Ada", "a@x.org"), ("Turing, Alan", None)]),
        ("A\nB\r\nC", "a@x.org;;c@x.org", [("A", "a@x.org"), ("B", None), ("C", "c@x.org")]),
        ("A;B", ";b@x.org", [("A", None), ("B", "b@x.org")]),
        ("", "a@x.org", [("", "a@x.org")]),
        ("A", "Ada L. <a@x.org>", [("A", "a@x.org")]),
        ("", "", []),
    ],
)
def test_speakers_and_their_addresses_are_paired_by_their_order(speakers, emails, read):
    read_talk = talk("speakers,emails", f'"{speakers}","{emails}"')
    assert [(who.name, who.email) for who in read_talk.speakers] == read


def test_numbered_columns_are_speakers_too():
    read_talk = talk("Speaker 1,E-Mail 1,Speaker_2,Speaker Email 2", "A,a@x.org,B,b@x.org")
    assert read_talk.speakers == (Speaker("A", "a@x.org"), Speaker("B", "b@x.org"))


@pytest.mark.parametrize("bad", ["a@x.org\tBcc: b", "nobody", "a b@x.org", "a@b@c", "<a@x.org", "a@x\x7f.org"])
def test_what_is_no_address_is_dropped_and_noted(bad):
    read_talk = talk("speakers,emails", f'"A;B","{bad};b@x.org"')
    assert [who.email for who in read_talk.speakers] == [None, "b@x.org"]
    assert "is no e-mail address" in read_talk.facts["notes"][0]
    assert read_talk.fault is None


@pytest.mark.parametrize(
    ("emails", "read", "unusable"),
    [
        ("a@x.org; b@\nx.org; c@x.org", ["a@x.org", None, "c@x.org"], ["b@\nx.org"]),
        ("a@x.org; b@x.org\nBcc: all@x.org; c@x.org", ["a@x.org", None, "c@x.org"], ["b@x.org\nBcc: all@x.org"]),
        ("a@x.org, b@x,org, c@x.org", ["a@x.org", None, "c@x.org"], ["b@x, org"]),
        ('a@x.org, ""B, Dr."" <b@x.org>, c@x.org', ["a@x.org", "b@x.org", "c@x.org"], []),
        ("a@x.org, nobody, b@x.org, c@x.org", ["a@x.org", None, "b@x.org", "c@x.org"], ["nobody"]),
        ("a@x.org, b@x.org, c@x.org, d@x.org", ["a@x.org", "b@x.org", "c@x.org", "d@x.org"], []),
    ],
)
def test_an_address_that_is_none_leaves_the_others_to_their_speakers(emails, read, unusable):
    read_talk = talk("speakers,emails", f'"A, B, C","{emails}"')
    assert [who.email for who in read_talk.speakers] == read
    assert read_talk.facts["unusable"] == unusable


@pytest.mark.parametrize(
    ("word", "excluded"),
    [("1", True), ("True", True), ("YES", True), ("x", True), ("", False), ("0", False), ("no", False)],
)
def test_words_of_exclusion(word, excluded):
    assert talk("exclude", word).excluded is excluded


def test_a_word_that_is_neither_yes_nor_no_is_not_guessed():
    assert "'perhaps' under exclude is neither yes nor no" in talk("exclude", "perhaps").fault


def test_two_rows_of_one_id_are_a_fault_that_names_both():
    (first, other) = talks("uuid,title\nt-1,a\nt-2,b\nt-1,c\n")
    assert first.id == "t-1"
    assert "row 2 and row 4" in first.fault
    assert (first.title, other.fault) == ("", None)


def test_a_missing_id_column_is_refused_with_the_headings_found():
    with pytest.raises(Refused, match=r"no column 'uuid'.*headings found are 'Name', 'Title'"):
        talks("Name,Title\nt-1,One\n")


def test_headings_may_have_other_names_and_stand_below_a_title():
    (first,) = talks(
        "Programme 2026,,\n,,\nCode,WORKING_TITLE,Vortragende\nt-1,One,A\n",
        id="code",
        title=["x", "working title"],
        speakers="vortragende",
    )
    assert (first.id, first.title, first.speakers) == ("t-1", "One", (Speaker("A"),))


@pytest.mark.parametrize(
    ("start", "end", "read"),
    [("00:01:30", "1:00:00.5", (90.0, 3600.5)), ("000130", "", (90.0, None)), ("", "", (None, None))],
)
def test_times_of_the_cut(start, end, read):
    first = talk("cut start,cut end", f"{start},{end}")
    assert ((first.start, first.end), first.fault) == (read, None)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("1:30", "", "'1:30' under start is no time"),
        ("90", "", "no time"),
        ("00:02:00", "00:01:00", "not after its start"),
    ],
)
def test_times_that_can_be_read_in_two_ways_are_a_fault(start, end, words):
    assert words in talk("cut start,cut end", f"{start},{end}").fault


def test_a_priority_that_is_no_number_is_noted():
    first = talk("priority", "urgent")
    assert (first.priority, first.fault) == (0, None)
    assert "'urgent'" in first.facts["notes"][0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (codecs.BOM_UTF16_LE + "uuid".encode("utf-16-le"), "is UTF-16"),
        ("uuid,title".encode("utf-16-le"), "is UTF-16"),
        ("uuid,title\nt-1,Überraschung\n".encode("cp1252"), "Line 2 of the sheet is not UTF-8"),
        (b'uuid,title\nt-1,"half writ', "In row 2 of the sheet a quote never ends"),
        (b"name,title\nt-1,One\n", "no column 'uuid'"),
        (b"", "no column 'uuid'"),
    ],
)
async def test_a_sheet_that_cannot_be_read_leaves_the_programme_as_it_was(tmp_path, content, words):
    path = csv_file(tmp_path / "p.csv", CSV)
    context = HeldInlet(tmp_path)
    async with watch(context):
        csv_file(path, content)
        await context.look()
        assert words in context.standing
        assert len(context.readings) == 1
        csv_file(path, CSV + "t-3,New,,,,,,,,\n")
        await context.look()
        assert context.standing == "up"
        assert [talk.id for talk in context.readings[-1]] == ["t-1", "t-2", "t-3"]


async def test_a_sheet_that_vanishes_is_said_and_read_again_when_it_is_back(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    context = HeldInlet(tmp_path)
    async with watch(context, create=False):
        path.unlink()
        await context.look()
        assert "There is no sheet" in context.standing
        csv_file(path, CSV)
        await context.look()
        assert context.standing == "up"


async def test_a_sheet_that_is_replaced_by_deleting_it_first_is_not_made_anew_and_empty(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    context = HeldInlet(tmp_path)
    async with watch(context):
        path.unlink()
        await context.look()
        assert "There is no sheet" in context.standing
        assert not path.exists()


async def test_a_sheet_that_lost_all_its_rows_leaves_the_programme_as_it_was(tmp_path):
    path = csv_file(tmp_path / "p.csv", CSV)
    context = HeldInlet(tmp_path)
    async with watch(context):
        csv_file(path, CSV.splitlines()[0] + "\n")
        await context.look()
        assert "has lost all its rows" in context.standing
        assert [talk.id for talk in context.readings[-1]] == ["t-1", "t-2"]


async def test_a_sheet_that_is_being_saved_is_read_once_it_stands_still(tmp_path):
    context = HeldInlet(tmp_path)
    path = aged(csv_file(tmp_path / "p.csv", CSV), -5)
    async with watch(context, settle="1s"):
        assert (context.readings, context.pauses) == ([], [1.0])
        aged(csv_file(path, CSV + "t-3,,,,,,,,,\n"), -6)
        await context.look(1)
        assert context.readings == []
        await context.look(1)
        assert len(context.readings[-1]) == 3
        assert context.pauses[-1] == 60.0


async def test_an_unchanged_sheet_is_handed_in_again_so_that_it_shows_its_age(tmp_path):
    csv_file(tmp_path / "p.csv", CSV)
    context = HeldInlet(tmp_path)
    async with watch(context):
        await context.look(60)
        assert context.readings[0] == context.readings[1]


async def test_a_sheet_with_the_headings_is_made_where_there_is_none(tmp_path):
    context = HeldInlet(tmp_path)
    async with watch(context, path="in/p.csv"):
        await context.look(2)
        assert context.readings == [[]]
    assert (tmp_path / "in" / "p.csv").read_text().startswith("uuid,title,description,speakers,emails,")


async def test_a_file_that_is_no_sheet_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"'p\.ods' is neither \.csv nor \.xlsx"):
        async with watch(HeldInlet(tmp_path), path="p.ods"):
            pass


READY = "uuid,ready,recording,cut start,cut end,priority,exclude\n"


async def test_rows_that_are_ready_become_arrivals_once(tmp_path):
    (tmp_path / "a b.mp4").touch()
    path = csv_file(
        tmp_path / "p.csv",
        READY
        + "t-1,yes,a b.mp4,00:00:10,00:01:10,4,\nt-2,,b.mp4,,,,\nt-3,yes,s3://bucket/c%20d.mp4,,,,\nt-4,yes,d.mp4,,,,x\n",
    )
    context = HeldInlet(tmp_path)
    async with watch(context, pipeline="talks"):
        await context.look(60)
        assert context.batches == [2]
        first, second = context.arrivals
        assert first.key == "sheet:programme:t-1:a b.mp4"
        assert first.location == (tmp_path / "a b.mp4").as_uri()
        assert first.facts == {"talk": "t-1", "start": 10.0, "end": 70.0}
        assert (first.name, first.priority, first.pipeline) == ("a b.mp4", 4, "talks")
        assert (second.location, second.name) == ("s3://bucket/c%20d.mp4", "c d.mp4")
        csv_file(path, path.read_text().replace("a b.mp4", "again.mp4"))
        await context.look(60)
        assert context.arrivals[-1].key == "sheet:programme:t-1:again.mp4"


async def test_a_row_that_goes_nowhere_is_a_fault_of_its_own_and_the_programme_goes_on(tmp_path):
    path = csv_file(tmp_path / "p.csv", READY + "t-1,yes,a.mp4,,,,\nt-2,,,,,,\n")
    context = HeldInlet(tmp_path)
    async with watch(context):
        ((body, reason),) = context.dead
        assert body == "row 2: a.mp4"
        assert "set pipeline of [sources.programme]" in reason
        assert (context.arrivals, context.standing) == ([], "up")
        csv_file(path, path.read_text() + "t-3,,,,,,\n")
        await context.look(60)
        assert [talk.id for talk in context.readings[-1]] == ["t-1", "t-2", "t-3"]
        assert len(context.dead) == 1


async def test_rows_go_to_the_pipeline_that_the_daemon_found_for_the_sheet(tmp_path):
    csv_file(tmp_path / "p.csv", READY + "t-1,yes,a.mp4,,,,\n")
    context = HeldInlet(tmp_path)
    context.pipeline = "talks"
    async with watch(context):
        assert [arrival.pipeline for arrival in context.arrivals] == ["talks"]


@pytest.mark.parametrize("recording", ["../secret.mp4", "/etc/passwd", "file:///etc/passwd", "ftp://x/y.mp4"])
async def test_a_sheet_cannot_ask_for_files_elsewhere(tmp_path, recording):
    csv_file(tmp_path / "p.csv", READY + f"t-1,yes,{recording},,,,\n")
    context = HeldInlet(tmp_path)
    async with watch(context):
        await context.look(60)
        assert context.arrivals == []
        ((body, reason),) = context.dead
        assert recording in body
        assert "recording" in reason


async def test_a_workbooks_visible_tabs_are_one_programme(tmp_path):
    rich_workbook(tmp_path / "p.xlsx")
    context = HeldInlet(tmp_path)
    async with watch(context, path="p.xlsx"):
        read = context.readings[-1]
    assert [talk.id for talk in read] == ["t-1", "t-2", "1234", "u-1"]
    assert [talk.title for talk in read][:2] == ["Loops & <more>", "Ünïcode 🎬"]
    assert read[2].facts["columns"]["Total"] == "2026-11-20"
    assert read[0].facts["row"] == "row 3 of the tab 'Day 1'"


async def test_times_typed_into_a_workbook_are_times(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["uuid", "cut start", "cut end", "exclude", "When"])
    book.active.append(["t-1", time(0, 1, 30), timedelta(hours=1, minutes=2), True, NOON.replace(tzinfo=None)])
    book.save(tmp_path / "p.xlsx")
    aged(tmp_path / "p.xlsx")
    context = HeldInlet(tmp_path)
    async with watch(context, path="p.xlsx"):
        (talk,) = context.readings[-1]
    assert (talk.start, talk.end, talk.excluded, talk.fault) == (90.0, 3720.0, True, None)
    assert talk.facts["columns"]["When"] == "2026-11-20 12:00:00"


async def test_half_a_workbook_leaves_the_programme_as_it_was(tmp_path):
    path = rich_workbook(tmp_path / "p.xlsx")
    whole = path.read_bytes()
    context = HeldInlet(tmp_path)
    async with watch(context, path="p.xlsx"):
        path.write_bytes(whole[:-100])
        aged(path)
        await context.look(60)
        assert "half written" in context.standing
        assert len(context.readings) == 1


async def test_the_check_says_what_is_in_the_sheet(tmp_path):
    csv_file(tmp_path / "p.csv", CSV + "t-2,again,,,,,,,,\n")
    told = await sheet_source.check(sheet_source.Options(path="p.csv"), HeldInlet(tmp_path).tools)
    assert told == "2 talks, 0 excluded, 1 with a fault"


def test_reading_is_of_the_same_talk_whatever_the_order_of_columns():
    first = talk("title,stage", "Loops,Main")
    (other,) = talks("stage,title,uuid\nMain,Loops,t-1\n")
    assert replace(first, facts={}) == replace(other, facts={})
