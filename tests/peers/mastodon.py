"""A Mastodon server as vidd meets it: account lookup and statuses, with the limits, headers and errors of Mastodon 4.5.

`closed` servers answer nobody without the token; `next_link` replaces the address of the next page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web
from peers.service import Service

TOKEN = "rD0s0dL3uPLk2M6mZ0Cj7n5bXtq1hK8v"
DOMAIN = "example.social"


def a_status(number: int, content: str = "<p>Hello</p>", **changes: Any) -> dict[str, Any]:
    """A status as the API gives it; its account is filled in by the peer."""
    return {
        "id": str(number), "created_at": f"2026-11-20T10:{number % 60:02d}:00.000Z", "in_reply_to_id": None,
        "in_reply_to_account_id": None, "sensitive": False, "spoiler_text": "", "visibility": "public", "language": "en",
        "uri": f"https://{DOMAIN}/users/ada/statuses/{number}", "url": f"https://{DOMAIN}/@ada/{number}",
        "replies_count": 0, "reblogs_count": 0, "favourites_count": 0, "edited_at": None, "content": content,
        "reblog": None, "quote": None, "media_attachments": [], "mentions": [], "tags": [], "emojis": [], "card": None,
        "poll": None, **changes,
    }  # fmt: skip


def an_account(user: str = "ada", number: str = "1001", **changes: Any) -> dict[str, Any]:
    """An account as the API gives it."""
    return {
        "id": number, "username": user.partition("@")[0], "acct": user, "display_name": user.title(), "locked": False,
        "bot": False, "created_at": "2020-01-01T00:00:00.000Z", "note": "<p>Me</p>", "url": f"https://{DOMAIN}/@{user}",
        "avatar": f"https://files.{DOMAIN}/{user}.gif", "avatar_static": f"https://files.{DOMAIN}/{user}.png",
        "followers_count": 3, "following_count": 2, "statuses_count": 1, "emojis": [], "fields": [], **changes,
    }  # fmt: skip


class Mastodon(Service):
    """`people` by user, `statuses` by the account's id, newest first."""

    def __init__(self) -> None:
        super().__init__()
        self.people: dict[str, dict[str, Any]] = {"ada": an_account()}
        self.statuses: dict[str, list[dict[str, Any]]] = {"1001": []}
        self.closed = False
        self.next_link: Callable[[str], str] = lambda link: link

    def write(self, *statuses: dict[str, Any], user: str = "ada") -> None:
        """Have a user write these, the newest first."""
        person = self.people[user]
        self.statuses[person["id"]] += [{"account": person, **status} for status in statuses]

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/v1/accounts/lookup", self._lookup)
        app.router.add_get("/api/v1/accounts/{id}/statuses", self._statuses)

    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        authorization = request.headers.get("Authorization")
        if authorization not in {None, f"Bearer {TOKEN}"}:
            return web.json_response({"error": "The access token is invalid"}, status=401)
        if self.closed and authorization is None:
            return web.json_response({"error": "This API requires an authenticated user"}, status=401)
        answer = await super()._answer(request, handler)
        if answer.status == 404:
            return web.json_response({"error": "Record not found"}, status=404)
        return answer

    async def _lookup(self, request: web.Request) -> web.Response:
        person = self.people.get(request.query["acct"].lower())
        return web.json_response(person) if person else web.json_response({}, status=404)

    async def _statuses(self, request: web.Request) -> web.Response:
        number, query = request.match_info["id"], request.query
        if number not in self.statuses:
            return web.json_response({}, status=404)
        limit, before = min(int(query.get("limit", "20")), 40), query.get("max_id")
        own = [
            status
            for status in self.statuses[number]
            if (before is None or int(status["id"]) < int(before))
            and not (query.get("exclude_reblogs") == "true" and status.get("reblog"))
            and not (
                query.get("exclude_replies") == "true" and status.get("in_reply_to_account_id") not in {None, number}
            )
        ][:limit]
        headers = {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": "299"}
        if len(own) == limit:
            kept = "".join(f"{name}={value}&" for name, value in query.items() if name != "max_id")
            link = f"{self.url}{request.path}?{kept}max_id={own[-1]['id']}"
            headers["Link"] = f'<{self.next_link(link)}>; rel="next", <{self.url}{request.path}?min_id=1>; rel="prev"'
        return web.json_response(own, headers=headers)
