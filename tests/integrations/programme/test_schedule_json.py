import json

import pytest

from vidd.errors import Refused
from vidd.integrations.programme.schedule_json import read_schedule_json, text_of
from vidd.integrations.programme.scheduled_talk import talks_of
from vidd.model.talk import Speaker

EVENT = {
    "guid": "g-1", "id": 42, "code": "ABCDEF", "title": "Loops", "date": "2026-11-20T10:00:00+01:00", "duration": "00:30",
    "room": "Saal 1", "persons": [{"id": 1, "public_name": "Ada"}, {"id": 2, "name": "Alan"}, {"id": 3}],
    "language": "de", "links": [{"title": "Slides", "url": "https://x.org"}, {"title": "none"}], "do_not_record": False,
}  # fmt: skip


def read(*events, zone="Europe/Berlin", id_field="id", day=None):
    conference = {"time_zone_name": zone, "days": [day or {"rooms": {"Saal 1": list(events)}}]}
    content = json.dumps({"schedule": {"conference": conference}}).encode()
    return talks_of(read_schedule_json(content, "schedule.json", id_field=id_field, zone=None), "schedule.json")


@pytest.mark.parametrize(("field", "found"), [("id", "42"), ("guid", "g-1"), ("code", "ABCDEF")])
def test_an_event_is_a_talk_by_the_id_that_the_settings_name(field, found):
    (talk,) = read(EVENT, id_field=field)
    assert (talk.id, talk.title, talk.stage, talk.speakers) == (
        found,
        "Loops",
        "Saal 1",
        (Speaker("Ada"), Speaker("Alan")),
    )
    assert talk.facts["links"] == [{"title": "Slides", "url": "https://x.org"}]
    assert (talk.facts["starts"], talk.facts["ends"]) == ("2026-11-20T10:00:00+01:00", "2026-11-20T10:30:00+01:00")


@pytest.mark.parametrize(
    ("zone", "starts", "noted"),
    [("Europe/Berlin", "2026-11-20T10:00:00+01:00", False), (None, "", True), ("Europe/Nowhere", "", True)],
)
def test_a_time_without_a_zone_has_that_of_the_conference_or_is_noted(zone, starts, noted):
    (talk,) = read({**EVENT, "date": "2026-11-20T10:00:00"}, zone=zone)
    assert talk.facts["starts"] == starts
    assert ("has no zone" in str(talk.facts["notes"])) is noted


def test_an_id_that_two_events_have_is_a_fault_with_both_named():
    (talk,) = read(EVENT, {**EVENT, "title": "Knots"})
    assert "twice, for 'Loops' in Saal 1 at 2026-11-20 10:00 and 'Knots' in Saal 1" in talk.fault


def test_talks_without_an_id_are_left_out_unless_that_is_all_of_them():
    assert [talk.id for talk in read(EVENT, {"title": "Lunch"})] == ["42"]
    with pytest.raises(Refused, match=r"None of the 1 talks of schedule\.json has the id"):
        read({"title": "Lunch"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{}", "has no schedule.conference.days"),
        (b"[]", "has no schedule.conference.days"),
        (b'{"schedule": ', "is no JSON"),
        ('{"schedule": "é"}'.encode("latin-1"), "is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_schedule_is_refused(content, words):
    with pytest.raises(Refused, match=words):
        read_schedule_json(content, "schedule.json", id_field="id", zone=None)


@pytest.mark.parametrize(
    ("value", "text"),
    [({"de": "Schleifen", "en": "Loops"}, "Loops"), ({"de": "Schleifen"}, "Schleifen"), ({"en": " "}, ""), (None, ""), (5, "5"),
     (True, "true"), (["a"], "")],
)  # fmt: skip
def test_a_text_in_several_languages_is_the_english_one_or_the_first(value, text):
    assert text_of(value) == text
