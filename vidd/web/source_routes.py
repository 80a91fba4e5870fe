"""The routes that sources bring: looked up at each request, since a reload may change them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web

from vidd.errors import RetryLater
from vidd.ports import Call, Declined, SourceRoute
from vidd.web.auth import admitted
from vidd.web.control_port import DESK
from vidd.web.problem import Do, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@web.middleware
async def fronts(request: web.Request, handler: Do) -> web.StreamResponse:
    """Answer by a source's route where the port has none of its own at that path."""
    if not isinstance(request.match_info.http_exception, web.HTTPNotFound):
        return await handler(request)
    found = _at(request.app[DESK].fronts(), request.path)
    if not found:
        return await handler(request)
    admitted(request, is_open=True)
    if (trouble := request.app[DESK].store.trouble) is not None:
        raise RetryLater(f"The store is away: {trouble}")
    method = "GET" if request.method == "HEAD" else request.method
    front, named = next((each for each in found if each[0].method == method), (None, {}))
    if front is None:
        raise web.HTTPMethodNotAllowed(request.method, sorted({source_route.method for source_route, _ in found}))
    try:
        reply = await front.answer(Call(named, dict(request.query), await _fields(request)))
    except Declined as no:
        raise Problem(no.status, no.sentence) from None
    if reply.body is None or isinstance(reply.body, str):
        return web.Response(
            status=reply.status, text=reply.body or "", content_type=reply.content_type, headers=reply.headers
        )
    return web.json_response(text=json.dumps(reply.body, default=str), status=reply.status, headers=reply.headers)


def operations(found: Sequence[SourceRoute]) -> dict[str, dict[str, Any]]:
    """Their OpenAPI operations, by path and method."""
    paths: dict[str, dict[str, Any]] = {}
    for front in found:
        named = [part[1:-1] for part in front.path.split("/") if part.startswith("{")]
        said: dict[str, Any] = {
            "summary": front.summary,
            "parameters": [
                {"name": one, "in": "path", "required": True, "schema": {"type": "string"}} for one in named
            ],
            "responses": {"default": {"description": "See the source's own description."}},
        }
        if front.schema is not None:
            kinds = ("application/json", "application/x-www-form-urlencoded")
            said["requestBody"] = {"content": {kind: {"schema": dict(front.schema)} for kind in kinds}}
        paths.setdefault(front.path, {})[front.method.lower()] = said
    return paths


def _at(found: Sequence[SourceRoute], path: str) -> list[tuple[SourceRoute, Mapping[str, str]]]:
    asked = path.split("/")
    matched: list[tuple[SourceRoute, Mapping[str, str]]] = []
    for front in found:
        parts = front.path.split("/")
        named = {
            part[1:-1]: unquote(word) for part, word in zip(parts, asked, strict=False) if part.startswith("{") and word
        }
        if [named.get(part[1:-1], part) if part.startswith("{") else part for part in parts] == list(
            map(unquote, asked)
        ):
            matched.append((front, named))
    return matched


async def _fields(request: web.Request) -> Mapping[str, Any]:
    if not request.can_read_body:
        return {}
    if request.content_type in _FORMS:
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    try:
        document = json.loads(await request.text())
    except (ValueError, LookupError) as error:
        raise Problem(400, f"The body is no JSON ({error}), and no form: send it as one of the two.") from None
    if not isinstance(document, dict):
        raise Problem(400, "The body is JSON, but no object: send the fields by their names.")
    return document
