"""`POST /api/retry`: several jobs taken up again at once, as after an outage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidd.errors import Fault
from vidd.model.job import IllegalMove, State
from vidd.ports import Conflict
from vidd.web.api import answer, shown
from vidd.web.control_port import DESK
from vidd.web.problem import Problem
from vidd.web.request_models import Retrial, body_of, job_named

if TYPE_CHECKING:
    from aiohttp import web

    from vidd.web.control_port import ControlApi


async def retry_jobs(request: web.Request) -> web.Response:
    """Each job by itself: one that cannot be taken up again does not keep back the others."""
    asked, control = await body_of(request, Retrial), request.app[DESK]
    retried, left = [], []
    for job_id in asked.jobs or await _selected(control, asked):
        try:
            job = await job_named(control, job_id)
            again = await control.retry(job.id, fresh_settings=asked.fresh_settings)
        except (Problem, Fault, IllegalMove, Conflict) as refusal:
            left.append({"job": job_id, "why": str(refusal)})
        else:
            retried.append(await shown(request, again))
    return answer({"retried": retried, "not_retried": left})


async def _selected(control: ControlApi, asked: Retrial) -> list[str]:
    found = await control.store.jobs(states=asked.states, pipeline=asked.pipeline, limit=asked.limit)
    # Of what is published only that has something to make good of which it says so.
    return [job.id for job in reversed(found) if job.state is not State.PUBLISHED or job.reason]
