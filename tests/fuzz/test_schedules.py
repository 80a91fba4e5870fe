"""Whatever a schedule holds, reading it gives talks or a sentence, and never another error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from integrations.schedule.test_icalendar import EVENT, calendar
from integrations.schedule.test_schedule_xml import FRAB

from vidd.errors import Refused
from vidd.integrations.pretalx.submission import read_submission
from vidd.integrations.programme.schedule_json import read_schedule_json
from vidd.integrations.programme.scheduled_talk import talks_of
from vidd.integrations.schedule.field_map import FieldMap, Lookups, items_of, read_by_map
from vidd.integrations.schedule.icalendar import read_icalendar
from vidd.integrations.schedule.options import ScheduleOptions
from vidd.integrations.schedule.schedule_xml import read_schedule_xml
from vidd.model.serialization import talk_from_json, talk_to_json

OPTIONS = ScheduleOptions(path="p.xml", time_zone="Europe/Berlin")
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def kept(talks):
    """The talks, each of which a store can keep."""
    for talk in talks:
        assert talk_from_json(json.loads(json.dumps(talk_to_json(talk)))) == talk
        assert talk.id
    return talks


def one_of_its_own(fields):
    """An object with these fields, each as it should be or anything else."""
    return st.fixed_dictionaries({}, optional={name: st.just(value) | ANY for name, value in fields.items()})


EVENTS = one_of_its_own({
    "id": 7, "title": "Loops", "persons": [{"public_name": "Ada"}], "date": "2026-11-20T10:00:00+01:00", "duration": "00:30",
    "do_not_record": False, "links": [{"url": "https://x.org", "title": "x"}], "url": "https://x.org", "room": "Main",
})  # fmt: skip
SUBMISSIONS = one_of_its_own({
    "code": "LOOPS1", "title": {"en": "Loops"}, "speakers": [{"name": "Ada", "email": "ada@example.org"}],
    "slots": [{"start": "2026-11-20T10:00:00+01:00", "end": "2026-11-20T10:30:00+01:00", "room": {"name": {"en": "M"}}}],
    "tags": [{"tag": "a"}], "resources": [{"resource": "https://x.org", "id": 1}], "do_not_record": True, "track": {"name": 5},
})  # fmt: skip
MAP = FieldMap(
    items="talks[]", speakers="who[].person", speaker_name="{first} {last}", start="at", duration="long", stage="room.name",
    do_not_record="no", keywords="tags[]", end="until",
)  # fmt: skip


@given(st.lists(EVENTS | ANY, max_size=4), ANY)
def test_any_json_is_a_schedule_or_a_sentence(events, day):
    document = {"schedule": {"conference": {"days": [{"rooms": {"Main": events}}, day], "time_zone_name": day}}}
    for value in (document, day):
        try:
            kept(talks_of(read_schedule_json(json.dumps(value).encode(), "p", id_field="id", zone=None), "p"))
        except Refused as refused:
            assert refused.sentence.endswith(".")


@given(st.lists(SUBMISSIONS, max_size=4))
def test_any_submission_is_a_talk(submissions):
    try:
        kept(talks_of([read_submission(submission) for submission in submissions], "p"))
    except Refused as refused:
        assert "has the id that the settings ask for" in refused.sentence


@given(
    ANY,
    st.lists(
        one_of_its_own({"id": "a", "title": "t", "who": [{"person": {"first": "A"}}], "at": "2026-11-20", "long": 5})
        | ANY
    ),
)
def test_any_json_is_read_by_a_map_or_refused_with_a_sentence(anything, talks):
    for document in (anything, {"talks": talks}, {"talks": anything}):
        try:
            items = items_of(document, MAP, "p")
            kept(talks_of(read_by_map(items, MAP, {}, Lookups(), OPTIONS.zone), "p"))
        except Refused as refused:
            assert refused.sentence.endswith(".")


@st.composite
def damaged(draw, text):
    """The text with a few pieces of it cut out, doubled or replaced."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        text = text[:start] + draw(st.text(max_size=8) | st.just(text[start:end] * 2)) + text[end:]
    return text.encode(draw(st.sampled_from(["utf-8", "utf-16", "cp1252"])), errors="replace")


@given(damaged(FRAB) | st.binary(max_size=200))
def test_any_xml_is_a_schedule_or_a_sentence(content):
    try:
        kept(talks_of(read_schedule_xml(content, "p", ids=OPTIONS, zone=OPTIONS.zone), "p"))
    except Refused as refused:
        assert refused.sentence.endswith(".")


@given(damaged(calendar(EVENT, EVENT.replace("ABCDEF", "GHIJKL"))) | st.binary(max_size=200))
def test_any_calendar_is_a_schedule_or_a_sentence(content):
    try:
        found = read_icalendar(content, "p", ids=OPTIONS, zone=OPTIONS.zone, speakers_after=" - ")
        kept(talks_of(found, "p"))
    except Refused as refused:
        assert refused.sentence.endswith(".")


@pytest.mark.parametrize(
    "line", ["DTSTART:99999999T999999Z", "DURATION:P999999999W", "DTEND:00010101T000000Z", "UID", ":::"]
)
def test_a_line_of_a_calendar_that_makes_no_sense_is_survived(line):
    text = calendar(EVENT.replace("LOCATION:Main", line))
    try:
        kept(talks_of(read_icalendar(text.encode(), "p", ids=OPTIONS, zone=None, speakers_after=None), "p"))
    except Refused as refused:
        assert refused.sentence.endswith(".")
