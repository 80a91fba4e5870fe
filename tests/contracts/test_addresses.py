"""What every programme promises of its sheet of addresses: the same matches, the same sentences, whatever the programme's kind."""

import email
import email.policy
import os
import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import openpyxl
import pytest
from builders.mail import HeldInlet, Sent, tools, watching
from builders.sheet import aged, csv_file
from contracts.programme_cases import CASES

from vidd.integrations.mail import publisher as mail_publisher
from vidd.model.talk import Speaker
from vidd.pipelines.registry import model_of, source_module

pytestmark = pytest.mark.peer

OWN = {"pretalx"}
"""The programmes that have the speakers' addresses themselves."""
LACKING = sorted(CASES.keys() - OWN)


class Programme:
    """A programme by its case, with a sheet of addresses beside it."""

    def __init__(self, case, directory):
        self.case, self.people = case, directory / "speakers.csv"
        self.module = source_module(case.kind)
        given = {**case.options, "addresses": {"path": str(self.people)}}
        self.options = model_of("sources", case.kind).model_validate(given)
        self.context = HeldInlet(directory)
        self.context.tools = tools(directory, now=datetime.now(UTC), **case.accounts)

    def watching(self):
        return watching(self.module.watch(self.options, self.context), self.context)

    @property
    def speakers(self):
        return next(talk for talk in self.context.readings[-1] if talk.id == "LOOPS1").speakers


@asynccontextmanager
async def programme(name, directory):
    async with CASES[name](directory) as case:
        case.show("Loops")
        yield Programme(case, directory)


def test_every_kind_of_programme_has_a_sheet_of_addresses():
    for kind in {name.partition(" ")[0] for name in CASES}:
        assert "addresses" in model_of("sources", kind).model_fields


@pytest.mark.parametrize("name", CASES)
async def test_a_speaker_has_the_address_of_the_programme_and_else_that_of_the_sheet(tmp_path, name):
    async with programme(name, tmp_path) as given:
        csv_file(given.people, "Name,Email,cc\nADA,ada@home.org,pa@home.org\n")
        found = Speaker("Ada", "ada@example.org") if name in OWN else Speaker("Ada", "ada@home.org", ("pa@home.org",))
        async with given.watching():
            assert (given.speakers, given.context.noted, given.context.standing) == ((found,), None, "up")
        said = await given.module.check(given.options, given.context.tools)
        assert said.endswith(f"; {0 if name in OWN else 1} speakers found in the sheet of addresses")


@pytest.mark.parametrize("name", LACKING)
async def test_whom_the_sheet_lacks_is_shown_until_a_row_is_added_there(tmp_path, name):
    async with programme(name, tmp_path) as given:
        csv_file(given.people, "Name,Email\nGrace,grace@example.org\n")
        shown = "Without an address: 'Ada'."
        async with given.watching():
            assert (given.speakers, given.context.noted, given.context.standing) == ((Speaker("Ada"),), shown, "up")
            assert (await given.module.check(given.options, given.context.tools)).endswith(f"addresses. {shown}")
            csv_file(given.people, "Name,Email\nAda,ada@example.org\n")
            await given.context.look(60)
            assert (given.speakers, given.context.noted) == ((Speaker("Ada", "ada@example.org"),), None)


@pytest.mark.parametrize("name", LACKING)
async def test_addresses_that_cannot_be_read_leave_the_programme_as_it_was(tmp_path, name):
    async with programme(name, tmp_path) as given, given.watching():
        context = given.context
        assert context.readings == []
        assert re.search(r"There is no sheet .*speakers\.csv", context.standing)
        assert "goes on with" not in context.standing
        csv_file(given.people, "Name,Email\nAda,ada@example.org\n")
        await context.look(3600)
        assert (given.speakers, context.standing) == ((Speaker("Ada", "ada@example.org"),), "up")
        csv_file(given.people, "Nmae,Email\nAda,ada@example.org,more\n")
        given.case.show("Loops, anew")
        await context.look(3600)
        assert "has no column 'full name' (is 'nmae' meant to be it?)" in context.standing
        assert [talk.title for talk in context.readings[-1] if talk.id == "LOOPS1"] == ["Loops"]
        csv_file(given.people, "Name,Email\nAda,ada@example.org,mended\n")
        await context.look(3600)
        assert (given.context.readings[-1][0].title, context.standing) == ("Loops, anew", "up")


@pytest.mark.parametrize("name", LACKING)
async def test_a_sheet_of_addresses_that_is_being_written_is_read_once_it_stands_still(tmp_path, name):
    async with programme(name, tmp_path) as given:
        csv_file(given.people, "Name,Email\n")
        late = datetime.now(UTC).timestamp() + 3600
        os.utime(given.people, (late, late))
        async with given.watching():
            assert given.context.readings == []
            csv_file(given.people, "Name,Email\nAda,ada@example.org\n")
            os.utime(given.people, (late, late))
            await given.context.look()
            if not given.context.readings:
                await given.context.look()
            assert given.speakers == (Speaker("Ada", "ada@example.org"),)


@pytest.mark.parametrize("name", ["pretalx (export)", "schedule (schedule.xml)"])
async def test_where_nothing_has_changed_no_name_is_looked_up_again(tmp_path, name):
    async with programme(name, tmp_path) as given:
        csv_file(given.people, "Name,Email\nAda,ada@example.org\n")
        async with given.watching():
            await given.context.look(300)
            first, second = given.context.readings
            assert all(talk is other for talk, other in zip(first, second, strict=True))


async def test_a_speaker_of_schedule_xml_who_is_in_an_xlsx_gets_the_mail(tmp_path):
    (tmp_path / "schedule.xml").write_text(
        '<schedule><day date="2026-11-20"><room name="Main"><event id="LOOPS1"><title>Loops</title><persons>'
        "<person>Ada Lovelace</person><person>Jon Smith</person></persons></event></room></day></schedule>"
    )
    book = openpyxl.Workbook()
    for row in (
        ["Full Name", "Email", "cc"],
        ["Dr. Ada Lovelace", "ada@example.org"],
        ["John Smith", "john@example.org"],
    ):
        book.active.append(row)
    book.save(tmp_path / "speakers.xlsx")
    aged(tmp_path / "speakers.xlsx")
    given = {"path": "schedule.xml", "addresses": {"path": "speakers.xlsx"}}
    context = HeldInlet(tmp_path)
    source = source_module("schedule")
    async with watching(source.watch(source.Options.model_validate(given), context), context):
        (loops,) = context.readings[-1]
    (note,) = loops.facts["notes"]
    assert note.startswith("'Jon Smith' is taken for 'John Smith' of the addresses (row 3 of the tab 'Sheet')")
    await mail_publisher.publish(mail_publisher.Options(), Sent(tmp_path, kind="mail", talk=loops).context())
    mails = [
        email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        for file in (tmp_path / "outbox").iterdir()
    ]
    told = sorted(mail["To"].addresses[0].addr_spec for mail in mails)
    assert told == ["ada@example.org", "john@example.org"]
