import io
import json
import re
from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest
from builders.web import HEALTHY, NOON, TOKEN, FakeControl, a_job, open_port
from openapi_spec_validator import validate

from vidd.cli.render import job_page
from vidd.model.audit import Audit, Finding
from vidd.model.event import Progressed
from vidd.model.job import IllegalMove, State
from vidd.model.media import Artifact, Outcome, StepRecord
from vidd.model.publication import Publication, PublicationState, Receipt
from vidd.ports import SourceRoute
from vidd.web import response_models
from vidd.web.openapi import SCHEMAS, document
from vidd.web.server import ROUTES, make_app

FRONTS = (SourceRoute("POST", "/api/tell/{id}", None, "Tells.", {"type": "object"}),)
MEANT = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def control():
    return FakeControl()


@pytest.fixture
async def ask(control):
    async with open_port(control) as (_, url), aiohttp.ClientSession(url, headers=MEANT) as session:

        async def asking(method, path, **more):
            async with session.request(method, path, **more) as response:
                text = await response.text()
                document = json.loads(text) if text and "json" in response.content_type else text
                return response.status, document, response

        yield asking


def a_full_job(control):
    job = a_job(State.PUBLISHED, location="https://user:word@host/a.mp4?X-Amz-Signature=abc", facts={"etag": "1"})
    control.store.put(job)
    made = Outcome((Artifact("talk", "talk.mp4", 12),), {"title": "T"})
    control.store.records[job.id] = [StepRecord(job.id, "trim", "trim", "f", made, 1.5)]
    control.store.sendings[job.id] = [
        Publication(
            job.id,
            "library",
            "s3",
            NOON,
            state=PublicationState.DONE,
            token={"upload": "https://session"},
            receipt=Receipt("https://library/a.mp4"),
        )
    ]
    return job


async def test_a_checked_file_is_shown_with_its_record_a_line_and_what_the_jobs_policy_makes_of_it(control, ask):
    job = a_full_job(control).evolve(settings={"check": {"black": "refuse", "black_for": 5.0}})
    control.store.put(job)
    record = {"id": "1", "duration": 60.0, "black": [[10.0, 20.0]], "loudness": []}
    talk = Artifact("talk", "talk.mp4", 1_200_000, facts={"check": record})
    control.store.records[job.id] = [StepRecord(job.id, "trim", "trim", "f", Outcome((talk,)), 1.5)]
    _, answer, _ = await ask("GET", f"/api/jobs/{job.id}")
    assert answer["steps"][0]["artifacts"][0]["check"] == {
        **record,
        "summary": "1.2 MB",
        "findings": [{"kind": "black", "does": "refuse", "sentence": "The video is black from 0:10 to 0:20 (10 s)."}],
    }
    lines = job_page(answer).splitlines()
    assert "    talk: talk.mp4, 1.2 MB" in lines
    assert "      refuse: The video is black from 0:10 to 0:20 (10 s)." in lines


async def test_a_job_is_listed_with_its_state_in_words_and_the_link_of_its_receipt(control, ask):
    job = a_full_job(control)
    status, answer, _ = await ask("GET", "/api/jobs")
    assert status == 200
    assert answer["jobs"][0]["id"] == job.id
    assert answer["jobs"][0]["meaning"] == "Every required publisher has a receipt."
    assert answer["jobs"][0]["link"] == "https://library/a.mp4"


async def test_signed_locations_and_upload_sessions_are_not_told(control, ask):
    job = a_full_job(control)
    _, answer, response = await ask("GET", f"/api/jobs/{job.id}")
    assert answer["location"] == "https://host/a.mp4?…"
    assert "session" not in await response.text()


async def test_a_job_is_found_by_the_end_of_its_id_where_no_other_ends_so(control, ask):
    first, second = a_job(id="0aaaaaaaa1234"), a_job(id="0bbbbbbbb1234")
    control.store.put(first, second)
    assert (await ask("GET", "/api/jobs/a1234"))[1]["id"] == first.id
    for ambiguous in ("1234", "234", "0aaaa"):
        status, problem, _ = await ask("GET", f"/api/jobs/{ambiguous}")
        assert (status, "more than one id ends so" in problem["detail"]) == (404, True)


async def test_jobs_are_found_by_state_pipeline_talk_and_number(control, ask):
    control.store.put(a_job(State.READY), a_job(State.WAITING, talk="t1"), a_job(State.REFUSED, pipeline="cms"))
    found = {}
    for query in ("state=waiting,refused", "state=waiting&state=ready", "pipeline=cms", "talk=t1", "limit=1"):
        _, answer, _ = await ask("GET", f"/api/jobs?{query}")
        found[query] = [job["state"] for job in answer["jobs"]]
    assert found == {
        "state=waiting,refused": ["refused", "waiting"],
        "state=waiting&state=ready": ["waiting", "ready"],
        "pipeline=cms": ["refused"],
        "talk=t1": ["waiting"],
        "limit=1": ["refused"],
    }


async def test_progress_is_shown_with_the_job_that_makes_it(control, ask):
    job = a_job(State.WORKING)
    control.store.put(job)
    control.parts[job.id] = [Progressed(job.id, "trim", 3.0, 12.0, "s", 1.5)]
    _, answer, _ = await ask("GET", f"/api/jobs/{job.id[-12:]}")
    assert answer["progress"] == [
        {"part": "trim", "done": 3.0, "total": 12.0, "unit": "s", "fraction": 0.25, "speed": 1.5}
    ]


async def test_a_waiting_job_says_what_for_and_until_when(control, ask):
    job = a_job(State.WAITING, reason="The quota is used up.", until=NOON + timedelta(hours=1))
    control.store.put(job)
    _, answer, _ = await ask("GET", f"/api/jobs/{job.id}/explain")
    assert answer["because"] == "The quota is used up."
    assert answer["next_try"] == "2026-11-21T13:00:00.000Z"
    assert f"vidd retry {job.id} tries now" in answer["sentence"]


async def test_the_same_idempotency_key_is_the_same_job(ask):
    asked = {"json": {"location": "/in/a.mp4"}, "headers": {"Idempotency-Key": "k1"}}
    first, again = await ask("POST", "/api/jobs", **asked), await ask("POST", "/api/jobs", **asked)
    assert (first[0], again[0]) == (201, 200)
    assert first[1]["id"] == again[1]["id"]
    assert first[2].headers["Location"] == f"/api/jobs/{first[1]['id']}"
    other = await ask("POST", "/api/jobs", json={"location": "/in/b.mp4"}, headers={"Idempotency-Key": "k1"})
    assert other[0] == 422
    assert "another key" in other[1]["detail"]


async def test_a_person_moves_jobs_and_the_daemon(control, ask):
    refused, held, other = a_job(State.REFUSED), a_job(State.HELD), a_job(State.HELD)
    control.store.put(refused, held, other)
    for path, body in (
        (f"jobs/{refused.id}/retry", {"fresh_settings": True}),
        (f"jobs/{held.id}/approve", None),
        (f"jobs/{other.id}/reject", {"reason": "wrong cut"}),
        (f"jobs/{refused.id}/priority", {"priority": 7}),
        (f"jobs/{refused.id}/cancel", {}),
        ("pause", None),
        ("wake", {"source": "recordings"}),
    ):
        status, _, _ = (
            await ask("POST", f"/api/{path}", json=body) if body is not None else await ask("POST", f"/api/{path}")
        )
        assert status == 200, path
    states = {job.id: job.state for job in control.store.shelf.values()}
    assert states == {refused.id: State.CANCELLED, held.id: State.PUBLISHING, other.id: State.CANCELLED}
    assert control.store.shelf[other.id].reason == "wrong cut"
    assert control.store.shelf[refused.id].priority == 7
    assert (control.paused, control.woken) == (True, ["recordings"])
    await ask("POST", "/api/resume")
    assert control.paused is False


async def test_several_jobs_are_taken_up_again_and_one_that_cannot_be_keeps_back_no_other(control, ask):
    first, second, working = a_job(State.REFUSED), a_job(State.UNSURE), a_job(State.WORKING)
    control.store.put(first, second, working)
    retry = control.retry

    async def unless_it_works(job_id, **how):
        if job_id == working.id:
            raise IllegalMove("It is working and needs no retry.")
        return await retry(job_id, **how)

    control.retry = unless_it_works
    asked = {"jobs": [first.id, "zzzz", working.id, second.id], "fresh_settings": True}
    status, answer, _ = await ask("POST", "/api/retry", json=asked)
    assert status == 200
    assert [job["id"] for job in answer["retried"]] == [first.id, second.id]
    assert [refusal["job"] for refusal in answer["not_retried"]] == ["zzzz", working.id]
    assert "There is no job 'zzzz'" in answer["not_retried"][0]["why"]
    assert control.store.shelf[first.id].settings == {"fresh": True, "replace": False}
    hold_to_document(answer, "/api/retry", "post")


async def test_all_jobs_in_a_state_are_taken_up_again_the_oldest_first(control, ask):
    refused = [a_job(State.REFUSED) for _ in range(3)]
    other = a_job(State.REFUSED, pipeline="timeline")
    told, untold = a_job(State.PUBLISHED), a_job(State.PUBLISHED, reason="Published, but not told: mail: no.")
    control.store.put(*refused, other, told, untold)
    _, answer, _ = await ask("POST", "/api/retry", json={"states": ["refused"], "pipeline": "talks"})
    assert [job["id"] for job in answer["retried"]] == [job.id for job in refused]
    assert control.store.shelf[other.id].state is State.REFUSED
    _, answer, _ = await ask("POST", "/api/retry", json={"states": ["published", "refused"]})
    assert [job["id"] for job in answer["retried"]] == [other.id, untold.id]
    assert answer["not_retried"] == []


@pytest.mark.parametrize(
    ("verb", "body", "reason"),
    [
        ("resolve", {"published": "https://youtu.be/x"}, "None: https://youtu.be/x"),
        ("resolve", {"again": True, "name": "youtube"}, "youtube: None"),
        ("resend", {"names": ["mail", "hook"]}, "mail hook"),
        ("resend", None, ""),
        ("retract", None, None),
        (
            "rework",
            {"step": "analyse", "set": {"analyse.limit": "8h"}, "extra": ["--removeshadows"]},
            "analyse: {'analyse.limit': '8h'} ['--removeshadows']",
        ),
        ("rework", {"undo": True}, "undo"),
    ],
)
async def test_a_person_says_what_became_of_it_or_asks_for_more(control, ask, verb, body, reason):
    job = a_job(State.UNSURE)
    control.store.put(job)
    status, answer, _ = await ask("POST", f"/api/jobs/{job.id}/{verb}", **({"json": body} if body else {}))
    assert (status, answer["state"], answer["reason"]) == (200, "ready", reason)


async def test_dead_letters_are_shown_with_their_reason(control, ask):
    control.store.letters = [(NOON, "recordings", "no JSON", "<xml>")]
    _, answer, _ = await ask("GET", "/api/dead-letters")
    assert answer["dead_letters"] == [
        {"at": "2026-11-21T12:00:00.000Z", "source": "recordings", "reason": "no JSON", "body": "<xml>"}
    ]


BAD = [
    ("GET", "/nowhere", {}, 404),
    ("GET", "/api/jobs/zzzz", {}, 404),
    ("GET", "/api/jobs/..%2f..%2fetc", {}, 404),
    ("GET", "/api/jobs/%00", {}, 404),
    ("GET", "/api/jobs/zzzz/explain", {}, 404),
    ("GET", "/api/jobs?state=running", {}, 422),
    ("GET", "/api/jobs?limit=0", {}, 422),
    ("GET", "/api/jobs?limit=1001", {}, 422),
    ("GET", "/api/jobs?limit=%D9%A1", {}, 422),
    ("GET", "/api/dead-letters?limit=-1", {}, 422),
    ("DELETE", "/api/jobs", {}, 405),
    ("POST", "/health", {}, 405),
    ("PUT", "/api/jobs/zzzz", {}, 405),
    ("HEAD", "/api/events", {}, 405),
    ("POST", "/api/retry", {}, 422),
    ("POST", "/api/retry", {"json": {"jobs": ["a"], "states": ["refused"]}}, 422),
    ("POST", "/api/retry", {"json": {"states": ["lost"]}}, 422),
    ("POST", "/api/jobs", {"json": {}}, 422),
    ("POST", "/api/jobs", {}, 422),
    ("POST", "/api/jobs", {"json": []}, 422),
    ("POST", "/api/jobs", {"json": {"location": 3}}, 422),
    ("POST", "/api/jobs", {"json": {"location": ""}}, 422),
    ("POST", "/api/jobs", {"json": {"location": "a\nb"}}, 422),
    ("POST", "/api/jobs", {"json": {"location": "a", "priority": "high"}}, 422),
    ("POST", "/api/jobs", {"json": {"location": "a", "priority": 10**30}}, 422),
    ("POST", "/api/jobs", {"json": {"location": "a", "colour": "red"}}, 422),
    ("POST", "/api/jobs", {"json": {"location": "a", "pipeline": "none"}}, 422),
    ("POST", "/api/jobs", {"json": {"location": "a", "facts": {"x": float("nan")}}}, 422),
    ("POST", "/api/jobs", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", "/api/jobs", {"data": b"\xff\xfe{}", "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", "/api/jobs", {"data": b"[" * 200_000, "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", "/api/jobs", {"data": b'{"location":"\\ud800"}', "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", "/api/jobs", {"data": b"location=a"}, 415),
    ("POST", "/api/jobs", {"data": {"location": "a"}}, 415),
    ("POST", "/api/jobs", {"json": {"location": "a"}, "headers": {"Idempotency-Key": "a b"}}, 400),
    ("POST", "/api/jobs", {"json": {"location": "a"}, "headers": {"Idempotency-Key": "k" * 201}}, 400),
    (
        "POST",
        "/api/jobs",
        {"data": b" " * (1024 * 1024 - 1) + b"{}", "headers": {"Content-Type": "application/json"}},
        413,
    ),
    ("POST", "/api/jobs/zzzz/retry", {}, 404),
    ("POST", "/api/jobs/READY/retry", {"json": {"fresh_settings": "yes"}}, 422),
    ("POST", "/api/jobs/READY/retry", {"json": [1]}, 422),
    ("POST", "/api/jobs/PUBLISHED/cancel", {}, 409),
    ("POST", "/api/jobs/READY/resolve", {}, 422),
    ("POST", "/api/jobs/READY/resolve", {"json": {"published": "https://youtu.be/x", "again": True}}, 422),
    ("POST", "/api/jobs/READY/resend", {"json": {"names": "mail"}}, 422),
    ("POST", "/api/jobs/READY/rework", {"json": {"extra": "--removeshadows"}}, 422),
    ("POST", "/api/jobs/READY/rework", {"json": {"undo": True, "step": "x"}}, 422),
    ("GET", "/api/jobs/READY/log?bytes=0", {}, 422),
    ("POST", "/api/jobs/READY/approve", {}, 409),
    ("POST", "/api/jobs/READY/priority", {}, 422),
    ("POST", "/api/jobs/READY/priority", {"json": {"priority": 1001}}, 422),
    ("POST", "/api/jobs/READY/reject", {}, 422),
    ("POST", "/api/jobs/READY/reject", {"json": {"reason": "  "}}, 422),
    ("POST", "/api/jobs/READY/cancel", {"json": {"really": True}}, 422),
    ("POST", "/api/pause", {"data": b"{]", "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", "/api/resume", {"json": {"x": 1}}, 422),
    ("POST", "/api/wake", {"json": {"source": "nobody"}}, 422),
    ("POST", "/api/wake", {"json": {"source": 7}}, 422),
]


@pytest.mark.slow
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad[0]} {bad[1]} {str(bad[2])[:60]}")
async def test_what_cannot_be_done_is_a_problem_document_with_a_sentence(control, ask, bad):
    method, path, body, status = bad
    for state in (State.READY, State.PUBLISHED):
        job = a_job(state)
        control.store.put(job)
        path = path.replace(state.upper(), job.id)
    before = dict(control.store.shelf)
    if len(body.get("data", "")) > 100_000:
        body["data"] = io.BytesIO(body["data"])
    found, answer, response = await ask(method, path, **body)
    assert found == status
    assert response.content_type == "application/problem+json"
    assert control.store.shelf == before
    if method != "HEAD":
        assert answer["status"] == status
        assert answer["title"]
        assert answer["detail"].endswith(".")


async def test_a_body_of_unsaid_length_is_limited_as_well(ask):
    async def endless():
        for _ in range(20):
            yield b" " * 65536

    status, _, _ = await ask("POST", "/api/jobs", data=endless(), headers={"Content-Type": "application/json"})
    assert status == 413


async def test_a_method_that_is_not_taken_names_those_that_are(ask):
    _, answer, response = await ask("DELETE", "/api/jobs")
    assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD", "POST"}
    assert "DELETE" in answer["detail"]


async def test_a_defect_tells_a_reference_and_nothing_of_the_inside(control, ask, capsys):
    async def broken(*_):
        raise KeyError("the inside")

    control.store.page = broken
    status, answer, _ = await ask("GET", "/api/jobs")
    assert status == 500
    assert "inside" not in json.dumps(answer)
    assert answer["reference"] in capsys.readouterr().out


def an_audit(source="uploads", pipeline="cms"):
    audit = Audit(source, "cms", pipeline)
    published = a_job(State.PUBLISHED, pipeline="cms").entry
    audit.processed.extend([Finding("a", (published,)), Finding("b", (published,))])
    audit.duplicate.append(Finding("b", (published, published), "Twice."))
    audit.missing.append(Finding("c", why="No job."))
    return audit


async def test_an_audit_tells_totals_and_what_is_not_as_it_should_be(control, ask):
    control.audits = [an_audit(), an_audit("other", "talks")]
    status, found, _ = await ask("GET", "/api/audit")
    counts = {name: found[name] for name in ("seen", "processed", "duplicate", "missing", "under_way")}
    assert (status, found["ok"]) == (200, False)
    assert counts == {"seen": 4, "processed": 4, "duplicate": 2, "missing": 2, "under_way": 0}
    _, found, _ = await ask("GET", "/api/audit?source=uploads&pipeline=cms")
    (source,) = found["sources"]
    assert source["lists"]["missing"] == [{"name": "c", "why": "No job.", "jobs": []}]
    assert [job["state"] for job in source["lists"]["duplicate"][0]["jobs"]] == ["published", "published"]
    status, problem, _ = await ask("GET", "/api/audit?source=nobody")
    assert status == 422
    assert "No such source" in problem["detail"]


async def test_every_route_is_in_the_openapi_document_and_vice_versa():
    told = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    app = make_app(FakeControl())
    there = {(route.method, route.resource.canonical) for route in app.router.routes() if route.method != "HEAD"}
    assert told == there == {(route.method, route.path) for route in ROUTES}


async def test_the_openapi_document_is_one_and_every_reference_in_it_leads_somewhere():
    told = document(FRONTS)
    validate(told)
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(told)))
    assert named == set(SCHEMAS)


@pytest.mark.parametrize("path", ["/api/jobs/{id}", "/api/jobs/{id}/retry"])
def test_the_openapi_document_says_that_a_job_is_found_by_the_end_of_its_id(path):
    [operation] = document()["paths"][path].values()
    assert "the end of it" in operation["parameters"][0]["description"]


def hold_to_document(answer, path, method="get"):
    """The answer has the members, and just those, of the model that the document names."""
    operation = document()["paths"][path][method]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    model = getattr(response_models, schema["$ref"].rpartition("/")[2])
    assert json.loads(model.model_validate_json(json.dumps(answer)).model_dump_json(by_alias=True)) == answer, path


async def test_answers_have_just_the_members_that_the_openapi_document_names(control, ask):
    job = a_full_job(control)
    made = control.store.records[job.id][0].outcome.artifacts[0]
    checked = replace(made, facts={"check": {"id": "1", "duration": 60.0, "black": [], "loudness": []}})
    control.store.records[job.id] = [StepRecord(job.id, "trim", "trim", "f", Outcome((made, checked)), 1.5)]
    control.parts[job.id] = [Progressed(job.id, "trim", 1.0, 2.0, "s")]
    control.store.letters = [(NOON, "recordings", "no JSON", "<xml>")]
    control.audits = [an_audit()]
    for path in (
        "/api/jobs",
        f"/api/jobs/{job.id}",
        f"/api/jobs/{job.id}/explain",
        f"/api/jobs/{job.id}/log",
        "/api/dead-letters",
        "/api/audit",
        "/api/history",
        "/health",
        "/livez",
    ):
        _, answer, _ = await ask("GET", path)
        hold_to_document(answer, path.replace(job.id, "{id}"))


async def test_every_answer_is_kept_from_frames_sniffing_caches_and_foreign_scripts(control, ask):
    for path in ("/health", "/", "/nowhere", "/metrics"):
        _, _, response = await ask("GET", path)
        assert response.headers["X-Content-Type-Options"] == "nosniff", path
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert "unsafe" not in response.headers["Content-Security-Policy"]
        assert response.headers["Server"] == "vidd"
    assert control.well is HEALTHY


async def test_a_rework_can_be_looked_at_before_it_is_done(control, ask):
    job = a_job(State.PUBLISHED)
    control.store.put(job)
    status, told, _ = await ask("POST", f"/api/jobs/{job.id}/rework", json={"step": "analyse", "dry_run": True})
    assert (status, told["steps"][0]["runs"]) == (200, True)
    assert response_models.Outlook.model_validate(told).from_ == "analyse"
    status, told, _ = await ask("POST", f"/api/jobs/{job.id}/rework", json={"undo": True, "dry_run": True})
    assert (status, told["of"]) == (200, 1)
    assert control.store.shelf[job.id].state is State.PUBLISHED


async def test_what_a_jobs_programs_said_can_be_read_to_its_end(control, ask):
    job = a_job(State.PUBLISHED)
    control.store.put(job)
    _, told, _ = await ask("GET", f"/api/jobs/{job.id}/log")
    assert told == {"job": job.id, "text": "what was said", "whole": True}
    _, told, _ = await ask("GET", f"/api/jobs/{job.id}/log?bytes=4")
    assert told == {"job": job.id, "text": "said", "whole": False}


@pytest.mark.parametrize("name", ["cm8ek.mp4", "cm8ek"])
async def test_jobs_are_found_by_the_name_of_their_file_or_the_id_of_their_source(control, ask, name):
    named, other = (
        a_job(State.PUBLISHED, name="cm8ek.mp4", facts={"id": "cm8ek"}),
        a_job(State.PUBLISHED, name="other.mp4"),
    )
    control.store.put(named, other)
    _, told, _ = await ask("GET", f"/api/jobs?name={name}&limit=1")
    assert [job["id"] for job in told["jobs"]] == [named.id]
