"""`/api/…`: what there is, and what a person or a program can do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from vidd.model.job import Job, State
from vidd.web.control_port import DESK
from vidd.web.notes import notes_of
from vidd.web.request_models import (
    Again,
    Nothing,
    Rejection,
    Resending,
    Resolution,
    Rework,
    Submission,
    Wake,
    body_of,
    idempotency_key,
    job_of,
    limit_of,
    states_of,
)
from vidd.web.serializers import job_json, link_of, moment, publication_json, step_json

if TYPE_CHECKING:
    from collections.abc import Mapping

_HAS_LINK = frozenset({State.PUBLISHING, State.PUBLISHED, State.WAITING})


def answer(document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON."""
    return web.json_response(text=json.dumps(document, default=str), status=status, headers=headers)


async def shown(request: web.Request, job: Job) -> dict[str, Any]:
    """A job as lists show it."""
    control = request.app[DESK]
    link = link_of(await control.store.publications(job.id)) if job.state in _HAS_LINK else None
    return job_json(job, progress=control.progress().get(job.id, ()), link=link)


async def list_jobs(request: web.Request) -> web.Response:
    """Jobs, newest first."""
    limit = limit_of(request, 100)
    name = request.query.get("name")
    jobs = await request.app[DESK].store.jobs(
        states=states_of(request),
        pipeline=request.query.get("pipeline"),
        talk=request.query.get("talk"),
        limit=limit if name is None else None,
    )
    if name is not None:
        jobs = [job for job in jobs if name in {job.name, job.name.rpartition(".")[0], job.facts.get("id")}][:limit]
    return answer({"jobs": [await shown(request, job) for job in jobs], "limit": limit})


async def show_job(request: web.Request) -> web.Response:
    """One job with all that is known of it."""
    control, job = request.app[DESK], await job_of(request)
    publications, steps = await control.store.publications(job.id), await control.store.steps(job.id)
    programme = job.settings.get("programme")
    talk = await control.store.talk(programme, job.talk) if programme and job.talk else None
    return answer(
        {
            **job_json(job, progress=control.progress().get(job.id, ()), link=link_of(publications)),
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
    """What a job waits for."""
    job = await job_of(request)
    told = await request.app[DESK].explain(job)
    return answer(
        {
            "job": job.id,
            "state": job.state,
            "waiting_for": told.waiting_for,
            "because": told.because,
            "since": moment(told.since),
            "next_try": moment(told.next_try),
            "unblock": list(told.unblock),
            "sentence": told.sentence,
        }
    )


async def show_log(request: web.Request) -> web.Response:
    """What a job's programs said, the last of it."""
    job, most = await job_of(request), limit_of(request, 65536, name="bytes", most=16 << 20)
    text, whole = await request.app[DESK].log(job.id, most)
    return answer({"job": job.id, "text": text, "whole": whole})


async def list_dead_letters(request: web.Request) -> web.Response:
    """What could not be understood, newest first."""
    limit = limit_of(request, 100)
    letters = await request.app[DESK].store.dead_letters(limit)
    told = [
        {"at": moment(at), "source": source, "reason": reason, "body": body} for at, source, reason, body in letters
    ]
    return answer({"dead_letters": told, "limit": limit})


async def submit_job(request: web.Request) -> web.Response:
    """Take a recording in: 201 for a new job, 200 for the one that has this key already."""
    key, asked = idempotency_key(request), await body_of(request, Submission)
    job, new = await request.app[DESK].submit(
        location=asked.location,
        name=asked.name,
        pipeline=asked.pipeline,
        facts=asked.facts,
        priority=asked.priority,
        key=key,
    )
    return answer(await shown(request, job), status=201 if new else 200, headers={"Location": f"/api/jobs/{job.id}"})


async def retry_job(request: web.Request) -> web.Response:
    """Take a job up again."""
    job, asked = await job_of(request), await body_of(request, Again)
    control = request.app[DESK]
    retried = await control.retry(job.id, fresh_settings=asked.fresh_settings, replace=asked.replace)
    return answer(await shown(request, retried))


async def rework_job(request: web.Request) -> web.Response:
    """Make another edition of a job's results, or bring back the one before; or say what that would do."""
    job, asked = await job_of(request), await body_of(request, Rework)
    control = request.app[DESK]
    if asked.undo:
        done, outlook = await control.undo(job.id, dry_run=asked.dry_run)
    else:
        done, outlook = await control.rework(
            job.id, step=asked.step, changes=asked.set, extra=asked.extra, dry_run=asked.dry_run
        )
    return answer(await shown(request, done) if outlook is None else outlook)


async def resolve_job(request: web.Request) -> web.Response:
    """A person says what became of an unsure publication."""
    job, asked = await job_of(request), await body_of(request, Resolution)
    control = request.app[DESK]
    return answer(await shown(request, await control.commands.resolve(job, published=asked.published, name=asked.name)))


async def resend_job(request: web.Request) -> web.Response:
    """Send a published job's notices once more."""
    job, asked = await job_of(request), await body_of(request, Resending)
    return answer(await shown(request, await request.app[DESK].commands.resend(job, asked.names)))


async def retract_job(request: web.Request) -> web.Response:
    """Take back what is out."""
    job, _ = await job_of(request), await body_of(request, Nothing)
    return answer(await shown(request, await request.app[DESK].commands.retract(job)))


async def cancel_job(request: web.Request) -> web.Response:
    """Stop a job."""
    job, _ = await job_of(request), await body_of(request, Nothing)
    return answer(await shown(request, await request.app[DESK].commands.cancel(job)))


async def approve_job(request: web.Request) -> web.Response:
    """Let a held job out."""
    job, _ = await job_of(request), await body_of(request, Nothing)
    return answer(await shown(request, await request.app[DESK].commands.approve(job)))


async def reject_job(request: web.Request) -> web.Response:
    """Stop a held job."""
    job, asked = await job_of(request), await body_of(request, Rejection)
    return answer(await shown(request, await request.app[DESK].commands.reject(job, asked.reason)))


async def pause(request: web.Request) -> web.Response:
    """Start nothing new."""
    await body_of(request, Nothing)
    return await _pause(request, paused=True)


async def resume(request: web.Request) -> web.Response:
    """Go on."""
    await body_of(request, Nothing)
    return await _pause(request, paused=False)


async def _pause(request: web.Request, *, paused: bool) -> web.Response:
    control = request.app[DESK]
    await (control.pause() if paused else control.resume())
    control.hub.tell("daemon", lambda: {"paused": paused})
    return answer({"paused": paused})


async def wake(request: web.Request) -> web.Response:
    """Ask sources to look now."""
    asked = await body_of(request, Wake)
    await request.app[DESK].wake(asked.source)
    return answer({"woken": asked.source})
