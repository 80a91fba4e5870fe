"""The page's style and script: files without data, which need no token."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from aiohttp import web

_TYPES = {"css": "text/css", "js": "text/javascript"}


@cache
def _file(name: str) -> tuple[bytes, str]:
    body = (files("vidd.web") / "page" / "static" / name).read_bytes()
    return body, hashlib.sha256(body).hexdigest()[:16]


def _serve(request: web.Request, name: str) -> web.Response:
    body, tag = _file(name)
    headers = {"Cache-Control": "no-cache", "ETag": f'"{tag}"'}
    if any(etag.value == tag for etag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8", headers=headers)


async def show_style(request: web.Request) -> web.Response:
    """`GET /page.css`."""
    return _serve(request, "page.css")


async def show_words(request: web.Request) -> web.Response:
    """`GET /words.js`: how the page writes times."""
    return _serve(request, "words.js")


async def show_script(request: web.Request) -> web.Response:
    """`GET /page.js`."""
    return _serve(request, "page.js")
