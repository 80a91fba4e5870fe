"""An AppView of Bluesky as vidd meets it: profiles and author feeds, with the errors and headers of public.api.bsky.app.

`pages` are given one after the other where they are set: a list of items, and the cursor behind it.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from peers.service import Service

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
HANDLE = "ada.example.org"


def a_profile(handle: str = HANDLE, did: str = DID, **changes: Any) -> dict[str, Any]:
    """A profile; without a display name, as of people who set none, unless it is given."""
    return {"did": did, "handle": handle, "avatar": f"https://cdn.example/{handle}.jpg", "labels": [], **changes}


def a_post(
    number: int, text: str = "Hello", *, embed: Any = None, author: Any = None, **changes: Any
) -> dict[str, Any]:
    """A view of a post; `changes` are of its record."""
    author = author or a_profile()
    view = {
        "$type": "app.bsky.feed.defs#postView", "uri": f"at://{author['did']}/app.bsky.feed.post/3k{number:011d}",
        "cid": f"bafyrei{number}", "author": author, "indexedAt": f"2026-11-20T10:{number % 60:02d}:01.000Z", "labels": [],
        "record": {
            "$type": "app.bsky.feed.post", "text": text, "createdAt": f"2026-11-20T10:{number % 60:02d}:00.000Z",
            "langs": ["en"], **changes,
        },
    }  # fmt: skip
    return view if embed is None else {**view, "embed": embed}


def a_facet(start: int, end: int, kind: str, **feature: Any) -> dict[str, Any]:
    """A facet over bytes of the text."""
    return {
        "index": {"byteStart": start, "byteEnd": end},
        "features": [{"$type": f"app.bsky.richtext.facet#{kind}", **feature}],
    }


def a_label(value: str, **changes: Any) -> dict[str, Any]:
    """A label of somebody on something."""
    return {"src": DID, "uri": "at://x", "val": value, "cts": "2026-01-01T00:00:00Z", **changes}


class Bluesky(Service):
    """`people` by handle, `items` of each DID, newest first. `gone` gives the error of a handle."""

    def __init__(self) -> None:
        super().__init__()
        self.people: dict[str, dict[str, Any]] = {HANDLE: a_profile()}
        self.items: dict[str, list[dict[str, Any]]] = {DID: []}
        self.gone: dict[str, tuple[str, str]] = {}
        self.pages: list[tuple[list[dict[str, Any]], str | None]] = []

    def write(self, *posts: dict[str, Any], did: str = DID) -> None:
        """Put posts or items into a feed, the newest first."""
        self.items[did] += [post if "post" in post else {"post": post} for post in posts]

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/xrpc/app.bsky.actor.getProfile", self._profile)
        app.router.add_get("/xrpc/app.bsky.feed.getAuthorFeed", self._feed)

    def _find(self, actor: str) -> dict[str, Any] | web.Response:
        if actor in self.gone:
            error, message = self.gone[actor]
            return web.json_response({"error": error, "message": message}, status=400)
        found = next((person for person in self.people.values() if actor in {person["handle"], person["did"]}), None)
        missing = {"error": "InvalidRequest", "message": "Profile not found"}
        return found if found is not None else web.json_response(missing, status=400)

    async def _profile(self, request: web.Request) -> web.Response:
        found = self._find(request.query["actor"])
        return found if isinstance(found, web.Response) else web.json_response(found)

    async def _feed(self, request: web.Request) -> web.Response:
        found, query = self._find(request.query["actor"]), request.query
        if isinstance(found, web.Response):
            return found
        limit = int(query.get("limit", "50"))
        if not 1 <= limit <= 100:
            message = "Error: limit can not be greater than 100"
            return web.json_response({"error": "InvalidRequest", "message": message}, status=400)
        if self.pages:
            items, cursor = self.pages.pop(0)
            return web.json_response({"feed": items, **({"cursor": cursor} if cursor else {})})
        start = int(query.get("cursor", "0"))
        items = self.items[found["did"]]
        page = items[start : start + limit]
        if query.get("filter") == "posts_no_replies":
            page = [item for item in page if "reply" not in item["post"]["record"] or "reason" in item]
        cursor = {"cursor": str(start + limit)} if start + limit < len(items) else {}
        return web.json_response({"feed": page, **cursor})
