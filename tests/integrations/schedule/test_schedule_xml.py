import pytest

from vidd.errors import Refused
from vidd.integrations.programme.scheduled_talk import talks_of
from vidd.integrations.schedule.options import ScheduleOptions
from vidd.integrations.schedule.schedule_xml import read_schedule_xml
from vidd.model.talk import Speaker

FRAB = """<?xml version="1.0" encoding="utf-8"?>
<schedule>
  <generator name="frab" version="0.9"/>
  <version>1.2</version>
  <conference>
    <title>Loops</title><acronym>loops</acronym><start>2026-12-27</start><end>2026-12-28</end><days>2</days>
    <timeslot_duration>00:05</timeslot_duration><time_zone_name>Europe/Berlin</time_zone_name>
  </conference>
  <day index="1" date="2026-12-27" start="2026-12-27T10:00:00+01:00" end="2026-12-28T04:00:00+01:00">
    <room name="Saal 1" guid="r-1">
      <event guid="g-42" id="42" code="ABCDEF">
        <room>Saal 1</room><title>Loops &amp; more</title><subtitle>An introduction</subtitle><type>lecture</type>
        <date>2026-12-27T11:00:00+01:00</date><start>11:00</start><duration>00:30</duration>
        <abstract>In short.</abstract><slug>loops-42</slug><track>Weaving</track><language>de</language>
        <description>At length.</description>
        <persons><person id="7">Ada  Lovelace</person><person id="8">Alan Turing</person><person id="9"/></persons>
        <recording><license>CC-BY</license><optout>false</optout></recording>
        <links><link href="https://example.org/slides">Slides</link><link/></links>
        <url>https://example.org/talk/42</url>
      </event>
      <event id="43"><title>Secrets</title><start>23:30</start><duration>01:00</duration>
        <recording><optout>true</optout></recording></event>
      <event id="44"><title>Night</title><start>00:15</start><duration>00:45</duration>
        <date>2026-12-28T00:15:00+01:00</date></event>
    </room>
  </day>
</schedule>
"""

PENTABARF = """<schedule><conference><day_change>09:00:00</day_change></conference>
<day date="2008-12-27" index="1"><room name="A"><event id="1"><title>Early</title><start>08:30</start>
<duration>00:55</duration></event><event id="2"><title>First</title><start>09:00</start></event></room></day></schedule>
"""


def read(text, **options):
    options = ScheduleOptions(**{"path": "schedule.xml", **options})
    content = text if isinstance(text, bytes) else text.encode()
    return talks_of(read_schedule_xml(content, "schedule.xml", ids=options, zone=options.zone), "schedule.xml")


def test_a_talk_of_frab_has_everything_that_the_schedule_says():
    first, secret, night = read(FRAB)
    assert (first.id, first.title, first.description) == ("42", "Loops & more", "In short.\n\nAt length.")
    assert first.speakers == (Speaker("Ada Lovelace"), Speaker("Alan Turing"))
    assert (first.stage, first.excluded, first.fault) == ("Saal 1", False, None)
    assert first.facts == {
        "row": "'Loops & more' in Saal 1 at 2026-12-27 11:00", "notes": [], "unusable": [], "columns": {},
        "starts": "2026-12-27T11:00:00+01:00", "ends": "2026-12-27T11:30:00+01:00", "language": "de",
        "track": "Weaving", "subtitle": "An introduction", "abstract": "In short.", "url": "https://example.org/talk/42",
        "links": [{"title": "Slides", "url": "https://example.org/slides"}],
    }  # fmt: skip
    assert secret.excluded
    assert secret.why_excluded == "its speakers do not want it recorded"
    assert (secret.facts["starts"], secret.facts["ends"]) == ("2026-12-27T23:30:00+01:00", "2026-12-28T00:30:00+01:00")
    assert (night.facts["starts"], night.facts["ends"]) == ("2026-12-28T00:15:00+01:00", "2026-12-28T01:00:00+01:00")


@pytest.mark.parametrize(("field", "found"), [("id", "42"), ("guid", "g-42"), ("code", "ABCDEF"), ("slug", "loops-42")])
def test_the_settings_say_which_field_is_the_id(field, found):
    assert found in {talk.id for talk in read(FRAB, id=field)}


def test_a_pattern_takes_the_id_out_of_a_field():
    assert [talk.id for talk in read(FRAB, id="slug", id_pattern=r"-(\d+)$")] == ["42"]
    with pytest.raises(Refused, match=r"None of the 3 talks .* correct `id` or `id_pattern`"):
        read(FRAB, id="slug", id_pattern="nothing")


def test_pentabarf_says_the_day_and_a_clock_and_the_day_changes_when_it_says():
    early, first = read(PENTABARF, time_zone="Europe/Berlin")
    assert (early.facts["starts"], early.facts["ends"]) == ("2008-12-28T08:30:00+01:00", "2008-12-28T09:25:00+01:00")
    assert (first.facts["starts"], first.facts["ends"]) == ("2008-12-27T09:00:00+01:00", "")


def test_a_time_without_any_zone_is_noted_and_the_talk_goes_on():
    early, _ = read(PENTABARF)
    assert (early.facts["starts"], early.fault) == ("", None)
    assert "has no zone: set `time_zone`" in early.facts["notes"][0]


@pytest.mark.parametrize(
    ("part", "instead", "words"),
    [
        ("<duration>00:30</duration>", "<duration>soon</duration>", "'soon' is no duration"),
        ("<date>2026-12-27T11:00:00+01:00</date>", "<date>2026-13-27T11:00</date>", "is no time"),
    ],
)
def test_a_time_that_cannot_be_read_is_noted(part, instead, words):
    first = read(FRAB.replace(part, instead))[0]
    assert words in first.facts["notes"][0]
    assert (first.title, first.fault) == ("Loops & more", None)


@pytest.mark.parametrize(
    ("part", "instead", "words"),
    [
        ('date="2008-12-27"', 'date="some day"', "'some day' is no day"),
        ("<start>08:30</start>", "<start>25:30</start>", "'25:30' is no time"),
        ("<start>08:30</start>", "<start>early</start>", "'early' is no time"),
    ],
)
def test_a_day_or_clock_that_is_none_is_noted(part, instead, words):
    early, _ = read(PENTABARF.replace(part, instead), time_zone="Europe/Berlin")
    assert words in early.facts["notes"][0]


@pytest.mark.parametrize("zone", ["Europe/Nowhere", ""])
def test_where_the_conference_names_no_zone_the_offset_of_the_day_counts(zone):
    text = FRAB.replace("Europe/Berlin", zone).replace("<date>2026-12-27T11:00:00+01:00</date>", "")
    assert read(text)[0].facts["starts"] == "2026-12-27T11:00:00+01:00"
    broken = read(text.replace('start="2026-12-27T10:00:00+01:00"', 'start="in the morning"'))
    assert "has no zone" in broken[0].facts["notes"][0]


def test_an_id_that_two_talks_have_is_refused_with_both_named_and_the_others_go_on():
    talks = {talk.id: talk for talk in read(FRAB.replace('id="43"', 'id="42"'))}
    assert talks.keys() == {"42", "44"}
    assert talks["42"].fault == (
        "The schedule has the id '42' twice, for 'Loops & more' in Saal 1 at 2026-12-27 11:00 and 'Secrets' in Saal 1 at "
        "2026-12-27 23:30: give them ids of their own there, since vidd does not guess which talk is meant."
    )
    assert talks["44"].fault is None


def test_a_flag_against_recording_that_is_neither_true_nor_false_is_a_fault():
    assert "'perhaps' as the flag against recording" in read(FRAB.replace(">false<", ">perhaps<"))[0].fault


BOMB = '<!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]><schedule>&c;</schedule>'
OUTSIDE = '<!DOCTYPE s [<!ENTITY a SYSTEM "file:///etc/passwd">]><schedule>&a;</schedule>'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BOMB, "declares entities of its own"),
        (OUTSIDE, "declares entities of its own"),
        ("", "no XML|is empty"),
        ("<schedule><day>", "is no XML in the encoding that it declares"),
        ("<html><body/></html>", "its root is <html>"),
        (FRAB.replace("Ada", "Hélène").encode("cp1252"), r"is no XML in the encoding that it declares \(line 16"),
        (FRAB.replace("utf-8", "klingon"), "an encoding that vidd does not know|no XML"),
        ("<schedule>" + "<a/>" * 500_001 + "</schedule>", "more than 500000 elements"),
    ],
    ids=["bomb", "outside", "empty", "half", "page", "encoding", "unknown encoding", "elements"],
)
def test_what_is_no_schedule_is_refused_with_what_to_do(content, words):
    with pytest.raises(Refused, match=words):
        read(content)


def test_other_encodings_are_read_as_they_declare_themselves():
    text = FRAB.replace("Ada", "Hélène").replace("utf-8", "iso-8859-1")
    assert read(text.encode("iso-8859-1"))[0].speakers[0] == Speaker("Hélène Lovelace")
    assert read(FRAB.replace("utf-8", "utf-16").encode("utf-16"))[0].title == "Loops & more"
