"""The handlers of `/api/…`: jobs, dead letters, and what a person or a program can do about them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from vidd.errors import Fault
from vidd.model.job import IllegalMove, Job, State
from vidd.model.job_query import JobQuery
from vidd.ports import Conflict
from vidd.web.control_port import CONTROL, ControlApi
from vidd.web.notes import notes_of
from vidd.web.problem import Problem
from vidd.web.request_models import (
    EmptyRequest,
    PriorityRequest,
    RejectRequest,
    ResendRequest,
    ResolveRequest,
    RetryJobsRequest,
    RetryRequest,
    ReworkRequest,
    SubmitRequest,
    WakeRequest,
    body_of,
    idempotency_key,
    job_named,
    job_of,
    limit_of,
    states_of,
    time_of,
)
from vidd.web.serializers import job_json, link_of, moment, publication_json, step_json
from vidd.web.talks import TALKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.ports import Store

_SCANNED = 1000
"""Jobs that a search for a name reads at a time."""
_STATES_WITH_LINK = frozenset({State.PUBLISHING, State.PUBLISHED, State.WAITING})


def json_response(document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.json_response(text=json.dumps(document, default=str), status=status, headers=headers)


async def render_job(request: web.Request, job: Job) -> dict[str, Any]:
    """A job as lists show it, with its progress, link and talk."""
    return (await render_jobs(request, [job]))[0]


async def render_jobs(request: web.Request, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Jobs as lists show them, with their progress, links and talks."""
    control, talks, found = request.app[CONTROL], await request.app[TALKS].of(jobs), []
    progress = control.progress()
    for job in jobs:
        link = link_of(await control.store.publications(job.id)) if job.state in _STATES_WITH_LINK else None
        parts, talk = progress.get(job.id, ()), talks.get(job.id)
        found.append(job_json(job, progress=parts, link=link, talk=talk, eta=control.eta(job.id)))
    return found


async def list_jobs(request: web.Request) -> web.Response:
    """`GET /api/jobs`: jobs, newest first; `next` is the path of the next page."""
    limit, query = limit_of(request, 100), await query_of(request)
    # One more than asked for tells whether there is a next page.
    jobs = await _find(request.app[CONTROL].store, query, request.query.get("name"), limit + 1)
    page, more = jobs[:limit], len(jobs) > limit
    following = str(request.rel_url.update_query(after=page[-1].id)) if more else None
    return json_response({"jobs": await render_jobs(request, page), "limit": limit, "next": following})


async def query_of(request: web.Request) -> JobQuery:
    """The conditions of a request for jobs. Raises Problem 422."""
    given, control = request.query, request.app[CONTROL]
    after = given.get("after")
    return JobQuery(
        states=states_of(request),
        pipeline=given.get("pipeline"),
        talk=given.get("talk"),
        words=await request.app[TALKS].words(given.get("text", ""), control.programmes()),
        changed_since=time_of(request, "changed_since"),
        after=(await job_named(control, after)).id if after is not None else None,
    )


async def _find(store: Store, query: JobQuery, name: str | None, limit: int) -> list[Job]:
    if name is None:
        return await store.page(query, limit)
    found: list[Job] = []
    while page := await store.page(query, _SCANNED):
        found += [job for job in page if name in {job.name, job.name.rpartition(".")[0], job.facts.get("id")}]
        if len(found) >= limit or len(page) < _SCANNED:
            break
        query = replace(query, after=page[-1].id)
    return found[:limit]


async def show_job(request: web.Request) -> web.Response:
    """`GET /api/jobs/{id}`: a job with its steps, publications and history."""
    control, job = request.app[CONTROL], await job_of(request)
    publications, steps = await control.store.publications(job.id), await control.store.steps(job.id)
    programme = job.settings.get("programme")
    talk = await control.store.talk(programme, job.talk) if programme and job.talk else None
    progress, link = control.progress().get(job.id, ()), link_of(publications)
    return json_response(
        {
            **job_json(job, progress=progress, link=link, talk=talk, eta=control.eta(job.id)),
            "key": job.key,
            "facts": dict(job.facts),
            "steps": [step_json(step, job.settings) for step in steps],
            "publications": [publication_json(publication) for publication in publications],
            "notes": notes_of(talk, steps, publications),
            "history": [
                {"at": moment(at), "state": state, "reason": reason}
                for at, state, reason in await control.store.history(job.id)
            ],
        }
    )


async def explain_job(request: web.Request) -> web.Response:
    """`GET /api/jobs/{id}/explain`."""
    job = await job_of(request)
    explanation = await request.app[CONTROL].explain(job)
    return json_response(
        {
            "job": job.id,
            "state": job.state,
            "waiting_for": explanation.waiting_for,
            "because": explanation.because,
            "since": moment(explanation.since),
            "next_try": moment(explanation.next_try),
            "then": explanation.then,
            "eta": moment(explanation.eta),
            "unblock": list(explanation.unblock),
            "sentence": explanation.sentence,
        }
    )


async def show_log(request: web.Request) -> web.Response:
    """`GET /api/jobs/{id}/log`: the end of the output of a job's programs."""
    job, most = await job_of(request), limit_of(request, 65536, name="bytes", most=16 << 20)
    text, whole = await request.app[CONTROL].log(job.id, most)
    return json_response({"job": job.id, "text": text, "whole": whole})


async def list_dead_letters(request: web.Request) -> web.Response:
    """`GET /api/dead-letters`, newest first."""
    limit = limit_of(request, 100)
    letters = await request.app[CONTROL].store.dead_letters(limit)
    listed = [
        {"at": moment(at), "source": source, "reason": reason, "body": body} for at, source, reason, body in letters
    ]
    return json_response({"dead_letters": listed, "limit": limit})


async def submit_job(request: web.Request) -> web.Response:
    """`POST /api/jobs`: 201 for a new job, 200 for the one that has this key already."""
    key, body = idempotency_key(request), await body_of(request, SubmitRequest)
    job, new = await request.app[CONTROL].submit(
        location=body.location,
        name=body.name,
        pipeline=body.pipeline,
        facts=body.facts,
        priority=body.priority,
        key=key,
    )
    return json_response(
        await render_job(request, job), status=201 if new else 200, headers={"Location": f"/api/jobs/{job.id}"}
    )


async def retry_job(request: web.Request) -> web.Response:
    """`POST /api/jobs/{id}/retry`."""
    job, body = await job_of(request), await body_of(request, RetryRequest)
    control = request.app[CONTROL]
    retried = await control.retry(job.id, fresh_settings=body.fresh_settings, replace=body.replace)
    return json_response(await render_job(request, retried))


async def rework_job(request: web.Request) -> web.Response:
    """`POST /api/jobs/{id}/rework`: rework a job, undo the last rework, or answer what that would do."""
    job, body = await job_of(request), await body_of(request, ReworkRequest)
    control = request.app[CONTROL]
    if body.undo:
        done, outlook = await control.undo(job.id, dry_run=body.dry_run)
    else:
        done, outlook = await control.rework(
            job.id, step=body.step, changes=body.set, extra=body.extra, dry_run=body.dry_run
        )
    return json_response(await render_job(request, done) if outlook is None else outlook)


async def resolve_job(request: web.Request) -> web.Response:
    """`POST /api/jobs/{id}/resolve`: a person has looked what became of an unsure publication."""
    job, body = await job_of(request), await body_of(request, ResolveRequest)
    control = request.app[CONTROL]
    return json_response(
        await render_job(request, await control.commands.resolve(job, published=body.published, name=body.name))
    )


async def resend_job(request: web.Request) -> web.Response:
    """`POST /api/jobs/{id}/resend`."""
    job, body = await job_of(request), await body_of(request, ResendRequest)
    return json_response(await render_job(request, await request.app[CONTROL].commands.resend(job, body.names)))


async def retract_job(request: web.Request) -> web.Response:
    """`POST /api/jobs/{id}/retract`."""
    job, _ = await job_of(request), await body_of(request, EmptyRequest)
    return json_response(await render_job(request, await request.app[CONTROL].commands.retract(job)))


async def cancel_job(request: web.Request) -> web.Response:
    """`POST /api/jobs/{id}/cancel`."""
    job, _ = await job_of(request), await body_of(request, EmptyRequest)
    return json_response(await render_job(request, await request.app[CONTROL].commands.cancel(job)))


async def approve_job(request: web.Request) -> web.Response:
    """`POST /api/jobs/{id}/approve`."""
    job, _ = await job_of(request), await body_of(request, EmptyRequest)
    return json_response(await render_job(request, await request.app[CONTROL].commands.approve(job)))


async def reject_job(request: web.Request) -> web.Response:
    """`POST /api/jobs/{id}/reject`."""
    job, body = await job_of(request), await body_of(request, RejectRequest)
    return json_response(await render_job(request, await request.app[CONTROL].commands.reject(job, body.reason)))


async def prioritize_job(request: web.Request) -> web.Response:
    """`POST /api/jobs/{id}/priority`."""
    job, body = await job_of(request), await body_of(request, PriorityRequest)
    return json_response(await render_job(request, await request.app[CONTROL].commands.prioritize(job, body.priority)))


async def pause(request: web.Request) -> web.Response:
    """`POST /api/pause`."""
    await body_of(request, EmptyRequest)
    return await _pause(request, paused=True)


async def resume(request: web.Request) -> web.Response:
    """`POST /api/resume`."""
    await body_of(request, EmptyRequest)
    return await _pause(request, paused=False)


async def _pause(request: web.Request, *, paused: bool) -> web.Response:
    await set_paused(request.app[CONTROL], paused=paused)
    return json_response({"paused": paused})


async def set_paused(control: ControlApi, *, paused: bool) -> None:
    """Pause or resume the daemon, and announce it."""
    await (control.pause() if paused else control.resume())
    control.hub.send("daemon", lambda: {"paused": paused})


async def wake(request: web.Request) -> web.Response:
    """`POST /api/wake`: let sources look now."""
    body = await body_of(request, WakeRequest)
    await request.app[CONTROL].wake(body.source)
    return json_response({"woken": body.source})


async def retry_jobs(request: web.Request) -> web.Response:
    """`POST /api/retry`: retry several jobs; one that cannot be retried does not stop the others."""
    body, control = await body_of(request, RetryJobsRequest), request.app[CONTROL]
    retried, refused = [], []
    for job_id in body.jobs or await _select_jobs(control, body):
        try:
            job = await job_named(control, job_id)
            job = await control.retry(job.id, fresh_settings=body.fresh_settings)
        except (Problem, Fault, IllegalMove, Conflict) as refusal:
            refused.append({"job": job_id, "why": str(refusal)})
        else:
            retried.append(await render_job(request, job))
    return json_response({"retried": retried, "not_retried": refused})


async def _select_jobs(control: ControlApi, body: RetryJobsRequest) -> list[str]:
    found = await control.store.jobs(states=body.states, pipeline=body.pipeline, limit=body.limit)
    # A published job has something to retry only where it has a reason.
    return [job.id for job in reversed(found) if job.state is not State.PUBLISHED or job.reason]
