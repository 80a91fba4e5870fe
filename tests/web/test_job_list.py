import asyncio
import json
from datetime import timedelta

import aiohttp
import pytest
from builders.web import NOON, FakeControl, a_job, open_port
from typer.testing import CliRunner

from vidd.__main__ import app
from vidd.model.job import State
from vidd.model.talk import Programme, Speaker, Talk

TALKS = [
    Talk("t1", "Größe und Maß", speakers=(Speaker("Zoë Grace", "zoe@x.example"),), stage="Main Hall"),
    Talk("t2", "Smaller things", speakers=(Speaker("Ada"), Speaker("Grace")), stage="Side Stage"),
]


@pytest.fixture
def control():
    control = FakeControl()
    control.store.rows["programme"] = TALKS
    control.store.programmes["programme"] = Programme("programme", NOON, 2)
    return control


@pytest.fixture
async def port(control):
    async with open_port(control) as (port, url):
        port.url = url
        yield port


async def read(port, path):
    async with aiohttp.ClientSession() as session, session.get(port.url + path) as response:
        return response.status, json.loads(await response.text())


def put(control, *jobs):
    control.store.put(*jobs)
    return [job.id for job in jobs]


def of_talk(talk, **more):
    return a_job(talk=talk, settings={"programme": "programme"}, **more)


async def test_every_job_is_listed_once_page_by_page_with_its_filters_though_jobs_arrive(port, control):
    ids = put(control, *[a_job(State.HELD, name=f"{number}.mp4") for number in range(7)], a_job(State.READY))[:-1]
    found, path = [], "/api/jobs?state=held&limit=3"
    while path:
        status, page = await read(port, path)
        assert status == 200
        found += [job["id"] for job in page["jobs"]]
        path = page["next"]
        put(control, a_job(State.HELD))
    assert found == ids[::-1]


@pytest.mark.parametrize("count", [2, 3])
async def test_the_last_page_has_no_next_one(port, control, count):
    put(control, *[a_job() for _ in range(count)])
    _, page = await read(port, "/api/jobs?limit=3")
    assert (len(page["jobs"]), page["next"]) == (count, None)


@pytest.mark.parametrize(
    "query", ["after=nowhere", "after=", "changed_since=yesterday", "changed_since=2026-11-21", "limit=1001", "limit=0"]
)
async def test_a_query_that_cannot_be_meant_is_refused(port, query):
    status, problem = await read(port, f"/api/jobs?{query}")
    assert status in {404, 422}
    assert problem["detail"]


async def test_a_job_is_listed_with_the_title_the_speakers_and_the_stage_of_its_talk(port, control):
    put(control, of_talk("t2"), of_talk("gone"), a_job())
    _, page = await read(port, "/api/jobs")
    assert [(job["title"], job["speakers"], job["stage"]) for job in page["jobs"]] == [
        (None, [], None),
        (None, [], None),
        ("Smaller things", ["Ada", "Grace"], "Side Stage"),
    ]
    _, job = await read(port, f"/api/jobs/{page['jobs'][2]['id']}")
    assert (job["title"], job["stage"]) == ("Smaller things", "Side Stage")
    assert "zoe@x.example" not in json.dumps(page)


async def test_another_reading_of_the_programme_shows_at_once(port, control):
    put(control, of_talk("t2"))
    await read(port, "/api/jobs")
    control.store.rows["programme"] = [Talk("t2", "Renamed")]
    control.store.programmes["programme"] = Programme("programme", NOON + timedelta(seconds=1), 1)
    _, page = await read(port, "/api/jobs?text=renamed")
    assert [job["title"] for job in page["jobs"]] == ["Renamed"]


async def test_jobs_are_found_by_title_speaker_stage_name_and_id_without_case_and_accents(port, control):
    first, second, third = put(control, of_talk("t1", name="a.mp4"), of_talk("t2", name="B.MP4"), a_job(name="c.mov"))
    expected = {
        "grosse": {first},
        "GRACE": {first, second},
        "zoe grace": {first},
        "grace side": {second},
        "side b.mp4": {second},
        "mov": {third},
        third[-6:]: {third},
        "grace mov": set(),
        "": {first, second, third},
    }
    found = {}
    for text in expected:
        _, page = await read(port, f"/api/jobs?text={text}")
        found[text] = {job["id"] for job in page["jobs"]}
    assert found == expected


async def test_what_changed_since_a_time_is_listed_alone(port, control):
    _, new = put(control, a_job(), a_job(changed=NOON + timedelta(hours=1)))
    _, page = await read(port, "/api/jobs?changed_since=2026-11-21T14:00:00%2B01:00")
    assert [job["id"] for job in page["jobs"]] == [new]


async def test_a_name_is_looked_for_beyond_a_thousand_jobs(port, control):
    (wanted,) = put(control, a_job(name="cm8ek.mp4"))
    put(control, *[a_job(name=f"{number}.mp4") for number in range(1001)])
    _, page = await read(port, "/api/jobs?name=cm8ek")
    assert ([job["id"] for job in page["jobs"]], page["next"]) == ([wanted], None)


async def test_vidd_jobs_lists_more_than_a_thousand_and_finds_by_title(port, control):
    put(control, *[a_job() for _ in range(1100)], of_talk("t2"))

    async def lines(*options):
        arguments = ["jobs", *options, "--state-dir", str(port.path.parent)]
        found = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        return found.stdout.splitlines()

    assert len(set(await lines("--limit", "2000"))) == 1101
    assert len(await lines("--limit", "1001")) == 1001
    (line,) = await lines("--text", "smaller")
    assert line.endswith("ready       keynote.mp4  Smaller things")
