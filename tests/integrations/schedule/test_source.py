import json
from datetime import timedelta

import pytest
from builders.mail import HeldInlet, tools, watching
from integrations.schedule.test_schedule_xml import FRAB
from peers.schedules import EVENT_ID, Schedules
from pydantic import SecretStr, ValidationError

from vidd.errors import Refused
from vidd.integrations.schedule import source as schedule_source
from vidd.model.talk import Speaker
from vidd.settings.secret import Account as Secret

pytestmark = pytest.mark.peer


@pytest.fixture
def far():
    far = Schedules()
    far.locations = {"1": "Centre Stage", "2": "Side Stage"}
    far.attendances = {
        "a-1": {"first_name": "Ada", "last_name": "Lovelace"},
        "a-2": {"first_name": "Alan", "last_name": "Turing"},
    }
    far.timeslots = {
        "17": {
            "title": "Loops", "description": "How.", "starts": "2026-11-20T10:00:00Z", "ends": "2026-11-20T10:30:00Z",
            "location": "1", "attendances": ["a-1", "a-2"],
        },
        "18": {
            "title": "Knots", "description": "Why.", "starts": "2026-11-20T11:00:00Z", "ends": "2026-11-20T11:30:00Z",
            "location": "2", "attendances": ["a-1"],
        },
    }  # fmt: skip
    with far.serving(None):
        yield far


def watch(context, **options):
    return watching(schedule_source.watch(schedule_source.Options(**options), context), context)


def titles(context):
    return [talk.title for talk in context.readings[-1]]


@pytest.mark.parametrize(
    ("validators", "header"), [(("ETag", "Last-Modified"), "If-None-Match"), (("Last-Modified",), "If-Modified-Since")]
)
async def test_an_unchanged_schedule_is_not_sent_again_and_shows_its_age(far, tmp_path, validators, header):
    far.put("/schedule.xml", FRAB, validators=validators)
    context = HeldInlet(tmp_path)
    async with watch(context, url=f"{far.url}/schedule.xml"):
        await context.look(300)
        assert titles(context) == ["Loops & more", "Secrets", "Night"]
        assert (len(context.readings), context.standing, context.pauses) == (2, "up", [300.0, 300.0])
        assert [call.status for call in far.calls] == [200, 304]
        assert header in far.calls[1].headers
        far.put(
            "/schedule.xml",
            FRAB.replace("Night", "Dawn"),
            validators=validators,
            changed="Fri, 20 Nov 2026 13:00:00 GMT",
        )
        await context.look(300)
        assert titles(context) == ["Loops & more", "Secrets", "Dawn"]


async def test_a_server_that_knows_no_states_is_asked_in_full(far, tmp_path):
    far.put("/schedule.xml", FRAB, validators=())
    context = HeldInlet(tmp_path)
    async with watch(context, url=f"{far.url}/schedule.xml"):
        await context.look(300)
        assert [call.status for call in far.calls] == [200, 200]
        assert context.readings[0] == context.readings[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<schedule><day>", "is no XML"),
        (b"<schedule/>", "has no talk any more"),
        (b" " * (16 * 2**20 + 1), "more than 16 MiB"),
    ],
)
async def test_a_schedule_that_cannot_be_used_leaves_the_last_good_copy(far, tmp_path, content, words):
    far.put("/schedule.xml", FRAB)
    context = HeldInlet(tmp_path)
    async with watch(context, url=f"{far.url}/schedule.xml"):
        far.put("/schedule.xml", content)
        await context.look(300)
        assert words in context.standing
        assert context.standing.endswith("vidd goes on with the 3 talks that it read last.")
        await context.look(300)
        assert words in context.standing
        assert len(context.readings) == 1
        far.put("/schedule.xml", FRAB)
        await context.look(300)
        assert context.standing == "up"
        assert len(context.readings) == 2


async def test_a_schedule_that_is_empty_after_a_restart_does_not_empty_the_programme(far, tmp_path):
    far.put("/schedule.xml", FRAB)
    first = HeldInlet(tmp_path)
    async with watch(first, url=f"{far.url}/schedule.xml"):
        pass
    far.put("/schedule.xml", "<schedule/>")
    context = HeldInlet(tmp_path)
    context.tools = first.tools
    async with watch(context, url=f"{far.url}/schedule.xml"):
        assert "has no talk any more" in context.standing
        await context.look(300)
        assert "has no talk any more" in context.standing
        assert context.readings == []


@pytest.mark.parametrize(
    ("status", "headers", "words", "rest"),
    [
        (503, {}, "answered 503", 60.0),
        (429, {"Retry-After": "900"}, "answered 429", 900.0),
        (404, {}, "There is nothing", 60.0),
        (403, {}, "does not allow", 60.0),
    ],
)
async def test_a_server_that_refuses_is_said_and_left_alone_for_as_long_as_it_asks(
    far, tmp_path, status, headers, words, rest
):
    far.put("/schedule.xml", FRAB)
    context = HeldInlet(tmp_path)
    async with watch(context, url=f"{far.url}/schedule.xml"):
        far.misstep("GET", "schedule", "status", status=status, headers=headers)
        await context.look(300)
        assert words in context.standing
        assert context.pauses[-1] == rest
        await context.look(10)
        assert len(far.calls) == 2
        assert context.pauses[-1] == rest - 10
        await context.look(rest)
        assert (context.standing, len(far.calls)) == ("up", 3)


async def test_a_server_that_is_away_is_said(far, tmp_path):
    far.put("/schedule.xml", FRAB)
    context = HeldInlet(tmp_path)
    async with watch(context, url=f"{far.url}/schedule.xml"):
        far.misstep("GET", "schedule", "drop", times=9)
        await context.look(300)
        assert "The connection was lost" in context.standing


async def test_secret_headers_go_to_the_schedules_own_host_only(far, tmp_path):
    other = Schedules()
    with other.serving(None):
        other.put("/there.xml", FRAB)
        far.redirects["/schedule.xml"] = f"{other.url}/there.xml"
        context = HeldInlet(tmp_path)
        context.tools = tools(tmp_path, key=Secret(value=SecretStr("Bearer s3cret")))
        async with watch(context, url=f"{far.url}/schedule.xml", secret_headers={"Authorization": "key.value"}):
            assert titles(context)[0] == "Loops & more"
        assert far.calls[0].headers["Authorization"] == "Bearer s3cret"
        assert "Authorization" not in other.calls[0].headers


async def test_a_circle_of_redirects_ends(far, tmp_path):
    far.redirects["/schedule.xml"] = "/schedule.xml"
    with pytest.raises(Refused, match="redirects in a circle"):
        await schedule_source.check(schedule_source.Options(url=f"{far.url}/schedule.xml"), tools(tmp_path))
    assert len(far.calls) == 6


async def test_an_answer_that_is_compressed_unasked_is_refused(far, tmp_path):
    far.put("/schedule.xml", b"\x1f\x8b", headers=(("Content-Encoding", "gzip"),))
    with pytest.raises(Refused, match="compressed unasked"):
        await schedule_source.check(schedule_source.Options(url=f"{far.url}/schedule.xml"), tools(tmp_path))


async def test_a_file_is_read_again_when_it_has_changed(tmp_path):
    path = tmp_path / "schedule.xml"
    context = HeldInlet(tmp_path)
    async with watch(context, path="schedule.xml", refresh="10s"):
        assert f"There is no schedule {path}" in context.standing
        path.write_text(FRAB)
        await context.look(60)
        path.write_text(FRAB.replace("Night", "Dawn"))
        await context.look(10)
        assert titles(context) == ["Loops & more", "Secrets", "Dawn"]
        path.write_bytes(FRAB.encode()[:-400])
        await context.look(10)
        assert "is no XML" in context.standing
        assert len(context.readings) == 2


REST = {
    "items": "data", "speakers": "timeslot_participations[].attendance_id", "stage": "timeslot_location_id",
    "speaker_name": "{data.person.first_name} {data.person.last_name}", "stage_name": "data.name",
    "start": "starts_at", "end": "ends_at",
}  # fmt: skip


def rest(far, **changes):
    base = f"{far.url}/v1/conferences/loops-2026"
    return {
        "url": f"{base}/timeslots/", "format": "json", "fields": REST,
        "lookups": {"speakers": f"{base}/attendances/{{id}}", "stage": f"{base}/timeslot_locations/{{id}}"},
        **changes,
    }  # fmt: skip


def is_read(talks):
    loops, knots = talks
    assert (loops.id, loops.title, loops.description, loops.stage) == ("17", "Loops", "How.", "Centre Stage")
    assert loops.speakers == (Speaker("Ada Lovelace"), Speaker("Alan Turing"))
    assert (loops.facts["starts"], loops.facts["ends"]) == ("2026-11-20T10:00:00+00:00", "2026-11-20T10:30:00+00:00")
    assert (knots.stage, knots.speakers) == ("Side Stage", (Speaker("Ada Lovelace"),))


async def test_a_rest_api_that_names_speakers_and_stages_by_id_is_read_by_a_map(far, tmp_path):
    context = HeldInlet(tmp_path)
    async with watch(context, **rest(far)):
        is_read(context.readings[-1])
        assert len(far.called("GET", "attendances")) == 2
        await context.look(300)
        assert len(far.called("GET", "attendances")) == 2
        far.attendances["a-1"]["last_name"] = "King"
        await context.look(timedelta(hours=2).total_seconds())
        assert context.readings[-1][1].speakers == (Speaker("Ada King"),)


async def test_a_speaker_who_is_not_there_is_noted_and_an_api_that_is_away_leaves_the_last_good_copy(far, tmp_path):
    del far.attendances["a-2"]
    context = HeldInlet(tmp_path)
    async with watch(context, **rest(far)):
        loops, _ = context.readings[-1]
        assert loops.speakers == (Speaker("Ada Lovelace"),)
        assert "nothing with the id 'a-2'" in loops.facts["notes"][0]
        far.timeslots["17"]["title"] = "Loops, anew"
        far.misstep("GET", "attendances", "status", status=500, times=9)
        await context.look(300)
        assert "answered 500" in context.standing
        assert len(context.readings) == 1
        far.missteps.clear()
        await context.look(300)
        assert titles(context) == ["Loops, anew", "Knots"]


GRAPHQL = {
    "items": "data.conference.schedule.days[].timeslots.edges[].node", "start": "startsAt", "end": "endsAt",
    "speakers": "participants.edges[].node.attendee", "speaker_name": "{firstName} {lastName}", "stage": "location.name",
}  # fmt: skip
QUERY = '{ conference(id: "loops-2026") { schedule { days { timeslots { edges { node { id title } } } } } } }'


async def test_a_graphql_api_is_asked_with_its_header_and_read_by_a_map(far, tmp_path):
    options = {
        "url": f"{far.url}/graphql", "format": "json", "query": QUERY, "headers": {"x-event-id": EVENT_ID},
        "fields": GRAPHQL,
    }  # fmt: skip
    context = HeldInlet(tmp_path)
    async with watch(context, **options):
        is_read(context.readings[-1])
    told = await schedule_source.check(schedule_source.Options(**options), tools(tmp_path))
    assert told == "2 talks, 0 excluded, 0 with a fault"
    with pytest.raises(Refused, match=r"answered the query with errors .*unknown event"):
        await schedule_source.check(schedule_source.Options(**{**options, "headers": {}}), tools(tmp_path))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"data": 5}, None),
        ({"elsewhere": []}, "has no list of talks at 'data'"),
        ("no JSON", "is no JSON"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
async def test_a_document_that_the_map_does_not_fit_is_said(far, tmp_path, document, words):
    far.put("/talks", document if isinstance(document, str) else json.dumps(document))
    options = schedule_source.Options(url=f"{far.url}/talks", format="json", fields={"items": "data"})
    if words is None:
        assert await schedule_source.check(options, tools(tmp_path)) == "0 talks, 0 excluded, 0 with a fault"
        return
    with pytest.raises(Refused, match=words):
        await schedule_source.check(options, tools(tmp_path))


async def test_flags_e_mails_and_durations_are_read_where_the_map_names_them(far, tmp_path):
    far.put("/talks", json.dumps([
        {"id": 1, "title": {"de": "Schleifen", "en": "Loops"}, "who": [{"n": "Ada", "m": "ada@example.org"}, {"n": "B", "m": "?"}],
         "at": "2026-11-20T10:00", "long": 45, "optout": True, "tags": ["a", "b"]},
        {"id": "2", "title": "Knots", "who": [], "optout": "perhaps"},
        "no talk",
    ]))  # fmt: skip
    fields = {
        "speakers": "who[]", "speaker_name": "n", "speaker_email": "m", "start": "at", "duration": "long",
        "do_not_record": "optout", "keywords": "tags[]",
    }  # fmt: skip
    context = HeldInlet(tmp_path)
    async with watch(context, url=f"{far.url}/talks", format="json", fields=fields, time_zone="Europe/Berlin"):
        loops, knots = context.readings[-1]
    assert (loops.id, loops.title, loops.keywords, loops.excluded) == ("1", "Loops", ("a", "b"), True)
    assert loops.speakers == (Speaker("Ada", "ada@example.org"), Speaker("B"))
    assert "'?' is no e-mail address" in loops.facts["notes"][0]
    assert (loops.facts["starts"], loops.facts["ends"]) == ("2026-11-20T10:00:00+01:00", "2026-11-20T10:45:00+01:00")
    assert "'perhaps' as the flag against recording" in knots.fault


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give either url or path"),
        ({"url": "https://x.org/a.xml", "path": "a.xml"}, "give either url or path"),
        ({"url": "https://x.org/schedule"}, "set format"),
        ({"url": "https://x.org/a.json", "format": "json"}, "fields and the format json"),
        ({"path": "a.xml", "headers": {"a": "b"}}, "belong to a url"),
        ({"path": "a.xml", "time_zone": "Europe/Nowhere"}, "no time zone"),
        ({"path": "a.xml", "id_pattern": "("}, "no regular expression"),
        ({"url": "https://x.org/a.xml", "headers": {"a": "b\nc"}}, "no header"),
        ({"path": "a", "format": "json", "fields": {"title": "a..b"}}, "'a..b' is no path"),
        ({"url": "https://x.org/a.xml", "query": "{a}"}, "set the format json"),
    ],
)
def test_settings_that_do_not_fit_are_said(options, words):
    with pytest.raises(ValidationError, match=words):
        schedule_source.Options(**options)


async def test_a_missing_secret_is_said(tmp_path):
    options = schedule_source.Options(url="http://127.0.0.1:1/a.xml", secret_headers={"Authorization": "key.value"})
    with pytest.raises(Refused, match=r"add \[accounts.key\]"):
        await schedule_source.check(options, tools(tmp_path))
