"""Serves the routes that sources bring, looked up at each request, since a reload may change them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web

from vidd.errors import RetryLater
from vidd.ports import Call, Declined, Reply, SourceRoute
from vidd.web.auth import check_access
from vidd.web.control_port import CONTROL
from vidd.web.problem import Handler, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


@web.middleware
async def source_routes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer by a source's route if the port has none of its own at that path."""
    if not isinstance(request.match_info.http_exception, web.HTTPNotFound):
        return await handler(request)
    found = _routes_at(request.app[CONTROL].source_routes(), request.path)
    if not found:
        return await handler(request)
    if not all(route.public for route, _ in found):
        check_access(request, is_open=True)
    if (trouble := request.app[CONTROL].store.trouble) is not None:
        raise RetryLater(f"The store is away: {trouble}")
    route, named = next((match for match in found if _answers(match[0], request.method)), (None, {}))
    if route is None:
        raise web.HTTPMethodNotAllowed(request.method, sorted({candidate.method for candidate, _ in found}))
    try:
        reply = await route.answer(await _call(request, named))
    except Declined as declined:
        headers = {} if declined.retry_after is None else {"Retry-After": str(declined.retry_after)}
        raise Problem(declined.status, declined.sentence, headers=headers) from None
    if reply.file is not None:
        return _file(reply, reply.file)
    if reply.body is None or isinstance(reply.body, str):
        return web.Response(
            status=reply.status, text=reply.body or "", content_type=reply.content_type, headers=reply.headers
        )
    return web.json_response(text=json.dumps(reply.body, default=str), status=reply.status, headers=reply.headers)


def _answers(route: SourceRoute, method: str) -> bool:
    return route.method == method or (method == "HEAD" and route.method == "GET" and route.head)


def operations(found: Sequence[SourceRoute]) -> dict[str, dict[str, Any]]:
    """The OpenAPI operations of routes, by path and method."""
    paths: dict[str, dict[str, Any]] = {}
    for route in found:
        named = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
        operation: dict[str, Any] = {
            "summary": route.summary,
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in named
            ],
            "responses": {"default": {"description": "See the source's own description."}},
        }
        if route.schema is not None:
            kinds = ("application/json", "application/x-www-form-urlencoded")
            operation["requestBody"] = {"content": {kind: {"schema": dict(route.schema)} for kind in kinds}}
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return paths


def _routes_at(found: Sequence[SourceRoute], path: str) -> list[tuple[SourceRoute, Mapping[str, str]]]:
    parts_of_path = path.split("/")
    matched: list[tuple[SourceRoute, Mapping[str, str]]] = []
    for route in found:
        parts = route.path.split("/")
        named = {
            part[1:-1]: unquote(word)
            for part, word in zip(parts, parts_of_path, strict=False)
            if part.startswith("{") and word
        }
        if [named.get(part[1:-1], part) if part.startswith("{") else part for part in parts] == list(
            map(unquote, parts_of_path)
        ):
            matched.append((route, named))
    return matched


async def _call(request: web.Request, named: Mapping[str, str]) -> Call:
    # Only the last value of a header counts that came twice; a source that needs all of them has none.
    headers = {name.lower(): value for name, value in request.headers.items()}
    origin = f"{request.scheme}://{request.host}"
    return Call(named, dict(request.query), await _fields(request), headers, request.remote or "", origin)


def _file(reply: Reply, path: Path) -> web.StreamResponse:
    if not path.is_file():
        raise Problem(404, "That file is no longer there.")
    return web.FileResponse(path, status=reply.status, headers={"Content-Type": reply.content_type, **reply.headers})


async def _fields(request: web.Request) -> Mapping[str, Any]:
    if not request.can_read_body:
        return {}
    if request.content_type in _FORM_TYPES:
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    try:
        document = json.loads(await request.text())
    except (ValueError, LookupError) as error:
        raise Problem(400, f"The body is neither JSON ({error}) nor a form: send one of the two.") from None
    if not isinstance(document, dict):
        raise Problem(400, "The body is JSON, but not an object: send the fields by their names.")
    return document
