import email
import email.policy
import re
import unicodedata
from collections import Counter

import openpyxl
import pytest
from builders.mail import HeldInlet, Sent, tools, watching
from builders.sheet import aged, csv_file

from vidd.errors import Refused
from vidd.integrations.mail import publisher as mail_publisher
from vidd.integrations.sheet import source
from vidd.integrations.sheet.addresses import Columns, read_directory
from vidd.integrations.sheet.backends.csv import grids
from vidd.integrations.sheet.table import Grid
from vidd.model.serialization import talk_from_json, talk_to_json
from vidd.model.talk import Speaker, Talk

PEOPLE = """Full Name,Email,cc
Ada Lovelace,ada@example.org,"pa@example.org; ""Press, The"" <press@example.org>"
Dr. Chloé Žižek,chloe@example.org,
John Smith,john@example.org,
Robert Dylan,bob@example.org,
Nobody Athome,,
"""


def directory(text=PEOPLE, **columns):
    return read_directory(grids(text.encode()), Columns(**columns), "speakers.csv")


def talk(*names, talk_id="t-1", **changes):
    speakers = tuple(name if isinstance(name, Speaker) else Speaker(name) for name in names)
    return Talk(id=talk_id, speakers=speakers, **{"facts": {"row": "row 2", "notes": []}, **changes})


def complete(*names, people=PEOPLE, others=()):
    """The speakers with their addresses, the notes, and the sentences of those without."""
    completed = directory(people).complete([talk(*names), *others])
    (first, *_) = completed.talks
    return first.speakers, first.facts["notes"], first.facts["unreachable"]


@pytest.mark.parametrize(
    "name",
    [
        "Chloé Žižek", "chloe zizek", "  CHLOE   ŽIŽEK ", "Prof. Dr. Chloé Žižek, PhD", "Chloé Žižek (Example Ltd)",
        unicodedata.normalize("NFD", "Chloé Žižek"),
    ],
)  # fmt: skip
def test_the_same_name_counts_whatever_its_case_spaces_accents_and_titles(name):
    (speaker,), notes, unreachable = complete(name)
    assert (speaker.name, speaker.email, notes, unreachable) == (name, "chloe@example.org", [], {})


def test_copies_go_to_those_that_the_row_names_and_to_further_addresses():
    (ada, eve), _, _ = complete("Ada Lovelace", "Eve", people=PEOPLE + "Eve,eve@example.org; eve@home.org,\n")
    assert ada == Speaker("Ada Lovelace", "ada@example.org", ("pa@example.org", "press@example.org"))
    assert eve == Speaker("Eve", "eve@example.org", ("eve@home.org",))


def test_an_address_in_the_programme_itself_comes_first():
    given = Speaker("Ada Lovelace", "ada@home.org")
    assert complete(given)[0] == (given,)


@pytest.mark.parametrize(
    ("name", "other"),
    [("Jon Smith", "John Smith"), ("Smith, John", "John Smith"), ("Ada K. Lovelace", "Ada Lovelace"), ("Chloe Zizzek", "Dr. Chloé Žižek")],
)  # fmt: skip
def test_the_only_similar_name_is_taken_and_shown(name, other):
    (speaker,), (note,), unreachable = complete(name)
    assert speaker.email in PEOPLE
    assert speaker.name == name
    assert note.startswith(f"'{name}' is taken for '{other}' of the addresses (row ")
    assert unreachable == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Bob Dylan", "speakers.csv has no address of 'Bob Dylan'; near are 'Robert Dylan', and vidd does not guess"),
        ("J. Smith", "near are 'John Smith'"),
        ("Grace Hopper", "speakers.csv has no address of 'Grace Hopper': correct the name or add a row"),
        ("山田太郎", "has no address of '山田太郎'"),
        ("...", "has no address of '...'"),
    ],
)
def test_a_name_that_is_not_near_enough_is_not_guessed(name, words):
    (speaker,), notes, unreachable = complete(name)
    assert (speaker, notes) == (Speaker(name), [])
    assert words in unreachable[name]


def test_two_similar_names_are_not_guessed_and_both_named():
    (speaker,), _, unreachable = complete("Jon Smith", people=PEOPLE + "Joan Smith,joan@example.org,\n")
    assert speaker.email is None
    assert re.search("near are 'Jo(hn|an) Smith' and 'Jo(hn|an) Smith'", unreachable["Jon Smith"])


def test_a_row_that_belongs_to_another_speaker_is_no_similar_name():
    (speaker,), _, unreachable = complete("Jon Smith", others=[talk("John Smith", talk_id="t-2")])
    assert speaker.email is None
    assert "near are 'John Smith'" in unreachable["Jon Smith"]


def test_two_speakers_who_are_near_to_one_row_both_get_nothing():
    speakers, _, unreachable = complete("Jon Smith", "Joan Smith")
    assert [speaker.email for speaker in speakers] == [None, None]
    assert unreachable.keys() == {"Jon Smith", "Joan Smith"}


def test_two_people_of_one_name_are_not_guessed():
    (ada, john), _, unreachable = complete(
        "Ada Lovelace", "John Smith", people=PEOPLE + "john  smith,js@example.com,\n"
    )
    assert ada.email == "ada@example.org"
    assert john.email == "john@example.org"  # as it is written
    people = PEOPLE + "John Smith,js@example.com,\n"
    (ada, john), _, unreachable = complete("Ada Lovelace", "John Smith", people=people)
    assert (ada.email, john.email) == ("ada@example.org", None)
    assert "'John Smith' is in speakers.csv with several addresses (row 4 and row 7)" in unreachable["John Smith"]
    assert "add a remark in brackets to the name in the others" in unreachable["John Smith"]
    (ada, john), _, unreachable = complete(
        "Ada Lovelace", "John Smith", people=people.replace("h,js", "h (Example Ltd),js")
    )
    assert (john.email, unreachable) == ("john@example.org", {})


def test_the_same_row_twice_is_one_person():
    (john,), _, unreachable = complete(
        "John Smith", people=PEOPLE + "JOHN SMITH,john@example.org,\nJohn Smith,john@example.org,\nJohn Smith,,\n"
    )
    assert (john.email, unreachable) == ("john@example.org", {})


def test_a_row_without_an_address_is_a_person_who_gets_no_mail():
    assert complete("Nobody Athome") == ((Speaker("Nobody Athome"),), [], {})


def test_a_text_that_is_no_address_is_named_with_its_row():
    people = 'Name,E-Mail,CC\nAda,ada at example,\nBob,bob@example.org,"pa@example.org, boss at example"\n'
    (ada, bob), _, unreachable = complete("Ada", "Bob", people=people)
    assert (ada.email, bob.email, bob.cc) == (None, "bob@example.org", ("pa@example.org",))
    assert unreachable == {
        "ada at example": "'ada at example' in row 2 of the addresses is no e-mail address: correct it, then retry.",
        "boss at example": "'boss at example' in row 3 of the addresses is no e-mail address: correct it, then retry.",
    }


def test_texts_that_are_no_addresses_are_shown_and_are_nobody_who_was_found():
    completed = directory("Name,Email\nAda,ada at example\n").complete([talk("Ada")])
    assert (completed.found, completed.sentence) == (0, "No e-mail addresses: 'ada at example'.")


def test_speakers_of_an_excluded_talk_need_no_address():
    completed = directory().complete([talk("Grace Hopper", excluded=True)])
    assert (completed.sentence, completed.talks[0].facts["unreachable"]) == (None, {})


@pytest.mark.parametrize(
    ("headings", "words"),
    [
        ("Full Name,Emial", r"has no column 'email' \(is 'emial' meant to be it\?\); the headings found are 'Full Name', 'Emial'"),
        ("Nmae,Email", r"has no column 'full name' \(is 'nmae' meant to be it\?\)"),
        ("a,b", r"has no column 'full name' and 'email'; the headings found are 'a', 'b'"),
        ("", r"the headings found are none: correct the heading, or name yours under `addresses.columns`"),
    ],
)  # fmt: skip
def test_headings_that_are_misspelt_are_refused_with_what_may_be_meant(headings, words):
    with pytest.raises(Refused, match=words):
        directory(f"{headings}\n")


def test_headings_in_two_tabs_are_no_sheet_of_addresses():
    tabs = [Grid("A", (("Name",), ("Ada",))), Grid("B", (("Email",), ("ada@example.org",)))]
    with pytest.raises(Refused, match="has no column 'full name' and 'email' in one tab"):
        read_directory(tabs, Columns(), "speakers.xlsx")


def test_other_headings_are_named_in_the_settings():
    found = directory("Wer,Wohin\nAda,ada@example.org\n", name="wer", email=["adresse", "wohin"])
    assert found.complete([talk("Ada")]).talks[0].speakers[0].email == "ada@example.org"


def test_a_talk_keeps_its_copies_in_the_store():
    read = talk(Speaker("Ada", "ada@example.org", ("pa@example.org",)))
    assert talk_from_json(talk_to_json(read)) == read
    old = talk_to_json(read)
    del old["speakers"][0]["cc"]
    assert talk_from_json(old).speakers == (Speaker("Ada", "ada@example.org"),)


CSV = "uuid,title,speakers\nt-1,One,Ada Lovelace; Jon Smith\nt-2,Two,Grace Hopper\n"


def watch(context, **changes):
    options = source.Options(**{"path": "p.csv", "addresses": {"path": "speakers.csv"}, **changes})
    return watching(source.watch(options, context), context)


async def test_the_source_reads_the_second_sheet_and_shows_what_it_took_and_what_is_missing(tmp_path):
    csv_file(tmp_path / "p.csv", CSV)
    csv_file(tmp_path / "speakers.csv", PEOPLE)
    context = HeldInlet(tmp_path)
    async with watch(context):
        one, two = context.readings[-1]
        assert [speaker.email for speaker in one.speakers] == ["ada@example.org", "john@example.org"]
        assert two.speakers == (Speaker("Grace Hopper"),)
        shown = "Speakers by a similar name: 'Jon Smith' is taken for 'John Smith'. Without an address: 'Grace Hopper'."
        assert (context.standing, context.noted) == ("up", shown)
        # A row that is added there alone is found.
        csv_file(tmp_path / "speakers.csv", PEOPLE + "Jon Smith,jon@example.org,\nGrace Hopper,grace@example.org,\n")
        await context.look(60)
        one, two = context.readings[-1]
        assert [speaker.email for speaker in (*one.speakers, *two.speakers)] == [
            "ada@example.org", "jon@example.org", "grace@example.org",
        ]  # fmt: skip
        assert context.noted is None


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "There is no sheet .*speakers.csv"), ("Nmae,Email\nAda,a@x.org\n", "sheet of addresses speakers.csv has no column 'full name'")],
)  # fmt: skip
async def test_addresses_that_cannot_be_read_leave_the_programme_as_it_was(tmp_path, content, words):
    csv_file(tmp_path / "p.csv", CSV)
    people = csv_file(tmp_path / "speakers.csv", PEOPLE)
    context = HeldInlet(tmp_path)
    async with watch(context):
        people.unlink()
        if content is not None:
            csv_file(people, content)
        csv_file(tmp_path / "p.csv", CSV + "t-3,Three,Eve\n")
        await context.look(60)
        assert len(context.readings) == 1
        assert re.search(words, context.standing)
        csv_file(people, PEOPLE)
        await context.look(60)
        assert (context.standing, len(context.readings[-1])) == ("up", 3)


async def test_the_second_sheet_may_be_a_tab_of_the_programme(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["uuid", "title", "speakers"])
    book.active.append(["t-1", "One", "Ada Lovelace"])
    people = book.create_sheet("People")
    people.append(["Everybody who speaks"])
    people.append(["Full name", "E-mail address", "CC"])
    people.append(["ADA LOVELACE", "ada@example.org", "pa@example.org"])
    book.save(tmp_path / "p.xlsx")
    aged(tmp_path / "p.xlsx")
    context = HeldInlet(tmp_path)
    async with watch(context, path="p.xlsx", addresses={"path": "p.xlsx", "tab": "People"}):
        assert context.readings[-1][0].speakers == (Speaker("Ada Lovelace", "ada@example.org", ("pa@example.org",)),)


async def test_the_check_shows_similar_names_and_whom_the_addresses_lack(tmp_path):
    csv_file(tmp_path / "p.csv", CSV)
    csv_file(tmp_path / "speakers.csv", PEOPLE)
    said = await source.check(source.Options(path="p.csv", addresses={"path": "speakers.csv"}), tools(tmp_path))
    assert said == (
        "2 talks, 0 excluded, 0 with a fault; 2 speakers found in the sheet of addresses. Speakers by a similar name: 'Jon Smith' "
        "is taken for 'John Smith'. Without an address: 'Grace Hopper'."
    )


async def test_a_speaker_gets_a_mail_and_the_copies_say_so_while_the_others_are_named(tmp_path):
    completed = directory().complete([talk("Ada Lovelace", "Chloé Žižek", "Bob Dylan", title="One")])
    tried = Sent(tmp_path, kind="mail", talk=completed.talks[0])
    with pytest.raises(Refused, match="has no address of 'Bob Dylan'; near are 'Robert Dylan'"):
        await mail_publisher.publish(mail_publisher.Options(cc=["team@example.org"]), tried.context())
    mails = [
        email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        for file in (tmp_path / "outbox").iterdir()
    ]
    shown = Counter((mail["To"].addresses[0].addr_spec, len(mail["To"].addresses), mail["Cc"]) for mail in mails)
    copies = "pa@example.org, press@example.org, team@example.org"
    # Ada and two who get a copy of her mail; Chloé; and the team, for whom both are named.
    assert shown == {
        ("ada@example.org", 1, copies): 3,
        ("chloe@example.org", 1, "team@example.org"): 1,
        ("ada@example.org", 2, copies): 1,
    }


def test_many_missing_names_are_counted_and_some_of_them_shown():
    people = "Name,Email\n" + "".join(f"Person Number{number:05},p{number}@example.org\n" for number in range(60))
    completed = directory(people).complete([talk(*(f"Someone Else{number:05}" for number in range(60)))])
    assert len(completed.missing) == 60
    assert completed.sentence.endswith("'Someone Else00019', 40 more.")
