"""`/sign-in` and `/sign-out`, and the links that `vidd page` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from vidd.errors import FaultCode, Refused
from vidd.web.api import json_response
from vidd.web.control_port import CONTROL
from vidd.web.page.templating import render
from vidd.web.problem import Problem
from vidd.web.request_models import EmptyRequest, body_of
from vidd.web.serializers import moment
from vidd.web.session import (
    SESSIONS,
    WRONG_TOKENS,
    delete_cookie,
    is_same_origin,
    session_of,
    set_cookie,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESS: web.AppKey[Callable[[], tuple[str, int] | None]] = web.AppKey("address")
"""Tells the TCP address on which the port listens."""

_log = structlog.get_logger("vidd.web")
_USED_LINK = "The link was used already, or is older than five minutes: `vidd page` prints another one."
_WRONG = "That is no token of [daemon] tokens."


async def show_sign_in(request: web.Request) -> web.Response:
    """`GET /sign-in`: the form; with `?code=` that of a link, which only the button uses up."""
    target = _local_path(request.query.get("next", "/"))
    if session_of(request) is not None:
        raise web.HTTPSeeOther(target)
    return _form(request, target, code=request.query.get("code", ""))


def _form(request: web.Request, target: str, *, code: str = "", fault: str = "", status: int = 200) -> web.Response:
    has_tokens = request.app[SESSIONS].has_tokens
    text = render("sign-in.html", next=target, code=code[:100], fault=fault, has_tokens=has_tokens)
    return web.Response(text=text, content_type="text/html", status=status)


async def sign_in(request: web.Request) -> web.Response:
    """`POST /sign-in`: a session for a token or a link's code, or the form again with what is wrong."""
    if not is_same_origin(request):
        raise Problem(403, "Another site sent this form: open /sign-in of vidd itself.")
    sessions, wrong = request.app[SESSIONS], request.app[WRONG_TOKENS]
    form = await request.post() if request.content_type == "application/x-www-form-urlencoded" else {}
    target, token, code = (str(form.get(name, "")) for name in ("next", "token", "code"))
    try:
        wrong.check(request.remote)
    except Problem as problem:
        response = _form(request, _local_path(target), fault=problem.detail, status=problem.status)
        response.headers.update(problem.headers or {})
        return response
    session = await (sessions.open_by_link(code) if code else sessions.open_by_token(token))
    if session is None:
        wrong.count(request.remote)
        _log.warning("sign-in refused", address=request.remote)
        return _form(request, _local_path(target), fault=_USED_LINK if code else _WRONG, status=403)
    response = web.Response(status=303, headers={"Location": _local_path(target)})
    set_cookie(request, response, session, request.app[CONTROL].clock.now())
    return response


async def sign_out(request: web.Request) -> web.Response:
    """`POST /sign-out`: end the session of the form that was sent."""
    session = session_of(request)
    response = web.Response(status=303, headers={"Location": "/"})
    if session is not None:
        await request.app[SESSIONS].end(session)
        delete_cookie(request, response)
    return response


async def make_link(request: web.Request) -> web.Response:
    """`POST /api/sign-in-links`: a link that opens one session, for a person who may use the socket or has a token."""
    await body_of(request, EmptyRequest)
    address = request.app[ADDRESS]()
    if address is None:
        raise Refused("The daemon listens on no address that a browser can open.", code=FaultCode.BAD_SETTINGS)
    code, until = request.app[SESSIONS].make_link()
    host, port = address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what the address stands for
    origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return json_response({"origin": origin, "path": f"/sign-in?code={code}", "until": moment(until)})


def _local_path(target: str) -> str:
    """The path if it leads to vidd itself; else `/`."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    is_local = target.startswith("/") and not target.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    return target if is_local and target.isprintable() else "/"
