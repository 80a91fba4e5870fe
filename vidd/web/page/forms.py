"""The forms of the page: each says what will happen, asks once, and leads back with what was done."""

from __future__ import annotations

import secrets
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from vidd.errors import Fault
from vidd.model.job import IllegalMove
from vidd.model.publication import PublicationState
from vidd.ports import Conflict
from vidd.web.api import set_paused
from vidd.web.auth import can_act
from vidd.web.control_port import CONTROL
from vidd.web.page.actions import ACTIONS, Action, Case, rework_request
from vidd.web.page.handlers import SAID, as_page, frame
from vidd.web.page.lines import line_of
from vidd.web.page.templating import render
from vidd.web.problem import Problem, problem_of
from vidd.web.request_models import job_named
from vidd.web.talks import TALKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.model.job import Job

_MOST_SAID, _MOST_JOBS = 200, 500
_FAULTS = (Problem, Fault, IllegalMove, Conflict)


def _see(request: web.Request, path: str, sentence: str) -> web.Response:
    """Lead to a page of vidd, which says the sentence."""
    said, token = request.app[SAID], secrets.token_urlsafe(8)
    said[token] = sentence
    while len(said) > _MOST_SAID:
        said.popitem(last=False)
    mark = "&" if "?" in path else "?"
    return web.Response(status=303, headers={"Location": f"{path}{mark}said={token}"})


def _sign_in_first(request: web.Request) -> web.Response | None:
    """Where nobody has signed in, the way there; it leads back here."""
    if can_act(request):
        return None
    return web.Response(status=303, headers={"Location": str(frame(request)["sign_in"])})


async def _form_of(request: web.Request) -> tuple[dict[str, str], Sequence[str], Sequence[str]]:
    """The fields, and all values of `name` and of `job`."""
    given: Any = request.query if request.method in {"GET", "HEAD"} else await request.post()
    # The templates ask for fields that a form may not have.
    fields = defaultdict(str, {name: value for name, value in given.items() if isinstance(value, str)})
    names, jobs = ([str(value) for value in given.getall(field, [])] for field in ("name", "job"))
    return fields, names, jobs


def _action_of(name: str) -> Action:
    action = ACTIONS.get(name)
    if action is None:
        raise Problem(404, f"There is no action {name[:40]!r}: there are {', '.join(ACTIONS)}.")
    return action


async def _case_of(request: web.Request) -> Case:
    control = request.app[CONTROL]
    job = await job_named(control, request.match_info["id"])
    form, names, _ = await _form_of(request)
    return Case(control, job, await control.store.publications(job.id), form, names)


@as_page
async def ask_about_job(request: web.Request) -> web.StreamResponse:
    """`GET /jobs/{id}/{action}`: what would happen, and what the action needs to know."""
    action = _action_of(request.match_info["action"])
    return _sign_in_first(request) or await _confirmation(request, action, await _case_of(request))


async def _confirmation(
    request: web.Request, action: Action, case: Case, *, fault: Problem | None = None
) -> web.Response:
    name, outlook = request.match_info["action"], None
    if name in {"rework", "undo"}:
        try:
            outlook = await _outlook(name, case)
        except _FAULTS as refused:
            fault = fault or problem_of(refused)
    talks = await request.app[TALKS].of([case.job])
    text = render(
        "confirm.html",
        name=name,
        action=action,
        will=action.will(case),
        job=line_of(case.job, talks.get(case.job.id)),
        case=case,
        steps=[row["name"] for row in case.job.settings.get("steps", ())],
        outlook=outlook,
        fault=fault,
        unsure=PublicationState.UNSURE,
        **frame(request),
    )
    return web.Response(text=text, content_type="text/html", status=fault.status if fault else 200)


async def _outlook(name: str, case: Case) -> Mapping[str, Any] | None:
    if name == "undo":
        return (await case.control.undo(case.job.id, dry_run=True))[1]
    if not any(case.form.get(field) for field in ("step", "set", "extra")):
        return None
    body = rework_request(case)
    found = await case.control.rework(case.job.id, step=body.step, changes=body.set, extra=body.extra, dry_run=True)
    return found[1]


@as_page
async def act_on_job(request: web.Request) -> web.StreamResponse:
    """`POST /jobs/{id}/{action}`: do it, and lead back to the job; or the form again with what is wrong."""
    action, case = _action_of(request.match_info["action"]), await _case_of(request)
    try:
        job = await action.run(case)
    except _FAULTS as refused:
        return await _confirmation(request, action, case, fault=problem_of(refused))
    talks = await request.app[TALKS].of([job])
    return _see(request, f"/jobs/{job.id}", f"“{line_of(job, talks.get(job.id)).title}” {action.done}")


@as_page
async def ask_about_jobs(request: web.Request) -> web.StreamResponse:
    """`GET /jobs/selected?do=ACTION&job=…`: what would happen to several jobs."""
    form, _, ids = await _form_of(request)
    return _sign_in_first(request) or await _several(request, form, ids)


async def _several(
    request: web.Request, form: Mapping[str, str], ids: Sequence[str], fault: Problem | None = None
) -> web.Response:
    action = _many_of(form)
    control, jobs = request.app[CONTROL], await _jobs_of(request, ids)
    talks = await request.app[TALKS].of(jobs)
    cases = [Case(control, job, await control.store.publications(job.id), form) for job in jobs]
    lines = [line_of(case.job, talks.get(case.job.id)) for case in cases]
    name = form["do"]
    text = render(
        "confirm_several.html",
        name=name,
        action=action,
        jobs=[(line, action.will(case), name in line.actions) for line, case in zip(lines, cases, strict=True)],
        form=form,
        back=_back(form),
        fault=fault,
        **frame(request),
    )
    return web.Response(text=text, content_type="text/html", status=fault.status if fault else 200)


def _many_of(form: Mapping[str, str]) -> Action:
    action = _action_of(form.get("do", ""))
    if not action.many:
        raise Problem(422, f"{action.label} is for one job at a time: open the job.")
    return action


async def _jobs_of(request: web.Request, ids: Sequence[str]) -> list[Job]:
    if not ids:
        raise Problem(422, "No job is selected: tick the jobs in the list first.")
    if len(ids) > _MOST_JOBS:
        raise Problem(422, f"More than {_MOST_JOBS} jobs are selected: do it in several parts.")
    return [await job_named(request.app[CONTROL], job_id) for job_id in dict.fromkeys(ids)]


def _back(form: Mapping[str, str]) -> str:
    """The overview's address that the form came from."""
    back = form.get("back", "/")
    return back if back == "/" or back.startswith("/?") else "/"


@as_page
async def act_on_jobs(request: web.Request) -> web.StreamResponse:
    """`POST /jobs/selected`: do it with each of the jobs; one that is refused does not stop the others."""
    form, _, ids = await _form_of(request)
    action, control, jobs = _many_of(form), request.app[CONTROL], await _jobs_of(request, ids)
    done, refused = 0, []
    for job in jobs:
        try:
            await action.run(Case(control, job, await control.store.publications(job.id), form))
        except Problem as problem:
            return await _several(request, form, ids, problem)
        except _FAULTS as fault:
            refused.append(f"{job.id[-6:]}: {problem_of(fault).detail}")
        else:
            done += 1
    count = f"{action.label}: {done} {'job' if done == 1 else 'jobs'} done"
    return _see(
        request, _back(form), f"{count}, {len(refused)} not. {' '.join(refused[:3])}" if refused else f"{count}."
    )


_PAUSES = {
    "pause": (
        "Pause",
        "vidd lets running jobs end and starts nothing new, also after a restart, until somebody resumes.",
    ),
    "resume": ("Resume", "vidd starts jobs again, and every source looks for what arrived meanwhile."),
}


@as_page
async def ask_about_pause(request: web.Request) -> web.StreamResponse:
    """`GET /pause` and `GET /resume`: what would happen."""
    redirect = _sign_in_first(request)
    if redirect is not None:
        return redirect
    name = request.path.strip("/")
    label, will = _PAUSES[name]
    health = await request.app[CONTROL].health()
    text = render("confirm_pause.html", name=name, label=label, will=will, health=health, **frame(request))
    return web.Response(text=text, content_type="text/html")


@as_page
async def act_on_pause(request: web.Request) -> web.StreamResponse:
    """`POST /pause` and `POST /resume`."""
    paused = request.path.strip("/") == "pause"
    await set_paused(request.app[CONTROL], paused=paused)
    return _see(request, "/", "vidd is paused." if paused else "vidd starts jobs again.")
