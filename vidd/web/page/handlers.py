"""The handlers of the page: the overview, a job, their frames and videos, and what keeps them up to date."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import wraps
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlsplit

from aiohttp import web
from markupsafe import Markup

from vidd.errors import Fault
from vidd.model.job import IllegalMove
from vidd.ports import Conflict
from vidd.web.auth import can_act
from vidd.web.control_port import CONTROL
from vidd.web.page.filters import Filter
from vidd.web.page.job_view import JobView
from vidd.web.page.live import Live, View, version_of
from vidd.web.page.overview import Overview
from vidd.web.page.stills import places_of
from vidd.web.page.templating import render
from vidd.web.problem import Handler, Problem, problem_of
from vidd.web.request_models import job_named
from vidd.web.session import session_of

if TYPE_CHECKING:
    from collections.abc import Hashable

LIVE: web.AppKey[Live] = web.AppKey("live")
SAID: web.AppKey[OrderedDict[str, str]] = web.AppKey("said")
"""What was done, by the token in the address that the browser is sent to."""

_WRITE_TIMEOUT = 10.0
_PATIENCE = 20.0


def as_page(handler: Handler) -> Handler:
    """Answer what goes wrong with a page that says so."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (Problem, Fault, IllegalMove, Conflict) as fault:
            problem = problem_of(fault)
        text = render("problem.html", problem=problem, **frame(request))
        return web.Response(text=text, status=problem.status, headers=problem.headers, content_type="text/html")

    return answer


def frame(request: web.Request) -> dict[str, object]:
    """What every page has around its contents."""
    session = session_of(request)
    return {
        "session": session,
        "sign_in": f"/sign-in?next={quote(request.path_qs, safe='')}",
        "can_act": can_act(request),
        "said": request.app[SAID].get(request.query.get("said", ""), ""),
    }


async def _with_parts(request: web.Request, template: str, view: View, **values: object) -> web.Response:
    parts = await view.parts()
    text = render(
        template,
        parts={name: Markup(html) for name, html in parts.items()},  # noqa: S704 - made by the templates, which escape
        version=version_of(parts),
        **values,
        **frame(request),
    )
    return web.Response(text=text, content_type="text/html")


@as_page
async def show_overview(request: web.Request) -> web.Response:
    """`GET /`."""
    chosen = Filter.from_query(request.query)
    overview = Overview(request.app, chosen, request.app[LIVE].states)
    return await _with_parts(
        request,
        "overview.html",
        overview,
        filter=chosen,
        choices=await overview.choices(),
        address=chosen.address(after=chosen.after),
    )


@as_page
async def show_job(request: web.Request) -> web.Response:
    """`GET /jobs/{id}`."""
    job = await job_named(request.app[CONTROL], request.match_info["id"])
    return await _with_parts(request, "job.html", JobView(request.app, job.id), job=job, address=f"/jobs/{job.id}")


async def follow_page(request: web.Request) -> web.StreamResponse:
    """`GET /live?view=ADDRESS&version=VERSION`: the parts of a page that change, as server-sent events."""
    live, (key, view) = request.app[LIVE], await _view_of(request)
    version = request.headers.get("Last-Event-ID") or request.query.get("version", "")
    viewer = live.join(key, view, version)
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    )
    response.force_close()
    try:
        await response.prepare(request)
        await response.write(b"retry: 2000\n\n")
        while (data := await viewer.next(_PATIENCE)) != b"":
            async with asyncio.timeout(_WRITE_TIMEOUT):
                await response.write(data or b": nothing new\n\n")
    except (TimeoutError, ConnectionError):
        if request.transport:
            request.transport.abort()
    finally:
        live.leave(key, viewer)
    return response


async def _view_of(request: web.Request) -> tuple[Hashable, View]:
    parts = urlsplit(request.query.get("view", "/"))
    if parts.path.startswith("/jobs/"):
        job = await job_named(request.app[CONTROL], parts.path.removeprefix("/jobs/"))
        return job.id, JobView(request.app, job.id)
    chosen = Filter.from_query(dict(parse_qsl(parts.query)))
    return chosen, Overview(request.app, chosen, request.app[LIVE].states)


async def show_frame(request: web.Request) -> web.StreamResponse:
    """`GET /jobs/{id}/frames/{place}`: a frame at an edge of the cut, as JPEG."""
    control = request.app[CONTROL]
    job = await job_named(control, request.match_info["id"])
    place = next(
        (
            place
            for place in places_of(job, await control.store.steps(job.id))
            if place.name == request.match_info["place"]
        ),
        None,
    )
    path = await control.still(job, place.path, place.seconds) if place is not None else None
    if path is None:
        raise Problem(404, "There is no such frame: the job's files are gone, or were never made.")
    return web.FileResponse(path, headers={"Content-Type": "image/jpeg", "Cache-Control": "private, max-age=3600"})


async def show_video(request: web.Request) -> web.StreamResponse:
    """`GET /jobs/{id}/video/{role}`: a video or audio file of the job, while it is there."""
    control, role = request.app[CONTROL], request.match_info["role"]
    job = await job_named(control, request.match_info["id"])
    made = {
        artifact.role: artifact for step in await control.store.steps(job.id) for artifact in step.outcome.artifacts
    }
    artifact = made.get(role)
    plays = artifact is not None and artifact.tree is None and artifact.content_type.startswith(("video/", "audio/"))
    path = await control.file(job, artifact.path) if artifact is not None and plays else None
    if artifact is None or path is None:
        raise Problem(404, "That file is no longer there: the receipts say where the video is.")
    return web.FileResponse(path, headers={"Content-Type": artifact.content_type, "Cache-Control": "private, no-cache"})
