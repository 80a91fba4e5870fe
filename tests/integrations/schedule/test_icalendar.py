import pytest

from vidd.errors import Refused
from vidd.integrations.programme.scheduled_talk import talks_of
from vidd.integrations.schedule.icalendar import read_icalendar
from vidd.integrations.schedule.options import ScheduleOptions
from vidd.model.talk import Speaker

ZONE = """BEGIN:VTIMEZONE
TZID:Berlin at home
BEGIN:STANDARD
DTSTART:19701025T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
END:VTIMEZONE
"""
EVENT = """BEGIN:VEVENT
UID:pretalx-loops-ABCDEF@pretalx.example.org
SUMMARY:Loops - and more - Ada Lovelace\\, Alan Turing
DTSTAMP:20261101T000000Z
DTSTART;TZID=Europe/Berlin:20261120T100000
DTEND;TZID=Europe/Berlin:20261120T103000
LOCATION:Main
DESCRIPTION:How to\\ngo round.
CATEGORIES:Weaving,Threads
URL:https://example.org/talk
END:VEVENT
"""


def calendar(*events, head=""):
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//", *head.split("\n"), *events, "END:VCALENDAR"]
    return "\r\n".join(line for part in lines for line in part.split("\n") if line) + "\r\n"


def read(text, **options):
    options = ScheduleOptions(**{"path": "p.ics", **options})
    content = text if isinstance(text, bytes) else text.encode()
    found = read_icalendar(
        content, "p.ics", ids=options, zone=options.zone, speakers_after=options.speakers_after
    )  # fmt: skip
    return talks_of(found, "p.ics")


def test_an_event_is_a_talk():
    (talk,) = read(calendar(EVENT), id_pattern=r"-([A-Z]+)@", speakers_after=" - ")
    assert (talk.id, talk.title, talk.description) == ("ABCDEF", "Loops - and more", "How to\ngo round.")
    assert talk.speakers == (Speaker("Ada Lovelace"), Speaker("Alan Turing"))
    assert (talk.stage, talk.keywords) == ("Main", ("Weaving", "Threads"))
    assert (talk.facts["starts"], talk.facts["ends"]) == ("2026-11-20T10:00:00+01:00", "2026-11-20T10:30:00+01:00")
    assert talk.facts["url"] == "https://example.org/talk"


def test_without_settings_the_id_is_the_uid_and_names_are_those_of_attendees():
    event = EVENT.replace(
        "URL:", "ATTENDEE;CN=Ada Lovelace:invalid:nomail\nATTENDEE;CN=Alan Turing:mailto:a@x.org\nURL:"
    )
    (talk,) = read(calendar(event))
    assert talk.id == "pretalx-loops-ABCDEF@pretalx.example.org"
    assert talk.speakers == (Speaker("Ada Lovelace"), Speaker("Alan Turing"))


@pytest.mark.parametrize(
    ("start", "head", "options", "starts"),
    [
        ("DTSTART:20261120T090000Z", "", {}, "2026-11-20T09:00:00+00:00"),
        ("DTSTART:20261120T100000", "X-WR-TIMEZONE:Europe/Berlin", {}, "2026-11-20T10:00:00+01:00"),
        ("DTSTART:20261120T100000", "", {"time_zone": "Europe/Dublin"}, "2026-11-20T10:00:00+00:00"),
        ("DTSTART;TZID=Berlin at home:20261120T100000", ZONE, {}, "2026-11-20T10:00:00+01:00"),
        ("DTSTART;VALUE=DATE:20261120", "", {}, ""),
    ],
)
def test_the_zone_of_a_time(start, head, options, starts):
    event = EVENT.replace("DTSTART;TZID=Europe/Berlin:20261120T100000", start).replace(
        "DTEND;TZID=Europe/Berlin:20261120T103000", "DURATION:PT30M"
    )
    (talk,) = read(calendar(event, head=head), **options)
    assert talk.facts["starts"] == starts


def test_a_time_without_any_zone_is_noted():
    (talk,) = read(calendar(EVENT.replace(";TZID=Europe/Berlin", "")))
    assert talk.facts["starts"] == ""
    assert "has no zone: set `time_zone`" in talk.facts["notes"][0]


def test_an_event_that_repeats_is_one_talk_at_the_time_of_the_first():
    again = EVENT.replace("DTSTAMP", "RECURRENCE-ID;TZID=Europe/Berlin:20261121T100000\nDTSTAMP")
    (talk,) = read(calendar(EVENT.replace("URL:", "RRULE:FREQ=DAILY;COUNT=3\nURL:"), again))
    assert talk.facts["starts"] == "2026-11-20T10:00:00+01:00"
    assert "the event repeats" in talk.facts["notes"][0]
    assert talk.fault is None


def test_a_cancelled_event_is_excluded():
    (talk,) = read(calendar(EVENT.replace("URL:", "STATUS:CANCELLED\nURL:")))
    assert (talk.excluded, talk.why_excluded) == (True, "the calendar says that it was cancelled")


def test_two_events_of_one_uid_are_a_fault():
    (talk,) = read(calendar(EVENT, EVENT.replace("Loops", "Knots")))
    assert "twice, for 'Loops - and more - Ada Lovelace, Alan Turing' in Main" in talk.fault
    assert "'Knots" in talk.fault


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no iCalendar|no calendar"),
        (b"<html></html>", "is no iCalendar"),
        (calendar(EVENT)[:200].encode(), "is no iCalendar"),
        (calendar(EVENT.replace("Ada", "Hélène")).encode("cp1252"), "is not UTF-8"),
    ],
)
def test_what_is_no_calendar_is_refused(content, words):
    with pytest.raises(Refused, match=words):
        read(content)


def test_a_start_that_is_no_time_leaves_the_talk_without_one():
    (talk,) = read(calendar(EVENT.replace("20261120T100000", "tomorrow")))
    assert (talk.facts["starts"], talk.fault) == ("", None)
