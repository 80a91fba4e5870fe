"""Receivers of webhooks as a test meets them: one of our own, Slack's incoming webhooks, a Matrix home server.

They are stricter than the real ones: an unknown key, a wrong type or a missing header is an error, in the words each
of them has for it. What a repetition must not double is held once, by the id that its protocol gives for that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from peers.service import Service

TOKEN = "syt_dG9rZW4_0123456789"
ROOM = "!talks_1:example.org"
SLACK = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


class Receivers(Service):
    """`requests` is every body that came; `held` is what each receiver keeps, by the id it drops doubles by."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.held: dict[str, Any] = {}
        self.messages: list[Any] = []

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/hook", self._hook)
        app.router.add_post(SLACK, self._slack)
        app.router.add_put("/_matrix/client/v3/rooms/{room}/send/{kind}/{transaction}", self._matrix)

    async def _keep(self, request: web.Request) -> Request:
        kept = Request(request.method, request.raw_path, dict(request.headers), await request.read())
        with self.lock:
            self.requests.append(kept)
        return kept

    async def _hook(self, request: web.Request) -> web.Response:
        kept = await self._keep(request)
        self.held[kept.headers["webhook-id"]] = kept.body
        return web.Response(status=204)

    async def _slack(self, request: web.Request) -> web.Response:
        kept = await self._keep(request)
        try:
            data = kept.data
            assert request.content_type == "application/json"
            assert set(data) <= {"text", "blocks"}
            assert isinstance(data["text"], str)
            assert 0 < len(data["text"]) <= 4000
            for block in data.get("blocks", ()):
                assert set(block) == {"type", "text"}
                assert block["type"] == "section"
                assert set(block["text"]) == {"type", "text"}
                assert block["text"]["type"] == "mrkdwn"
                assert 0 < len(block["text"]["text"]) <= 3000
        except (ValueError, KeyError, TypeError, AssertionError):
            return web.Response(status=400, text="invalid_payload")
        self.messages.append(data)
        return web.Response(text="ok")

    async def _matrix(self, request: web.Request) -> web.Response:
        kept = await self._keep(request)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"errcode": "M_UNKNOWN_TOKEN", "error": "Unrecognised token"}, status=401)
        if request.match_info["room"] != ROOM or request.match_info["kind"] != "m.room.message":
            return web.json_response({"errcode": "M_FORBIDDEN", "error": "You are not in the room"}, status=403)
        data = kept.data
        known = {"msgtype", "body", "format", "formatted_body"}
        if not set(data) <= known or not isinstance(data.get("body"), str) or data.get("msgtype") != "m.text":
            return web.json_response({"errcode": "M_BAD_JSON", "error": "No such message"}, status=400)
        self.held.setdefault(request.match_info["transaction"], data)
        number = list(self.held).index(request.match_info["transaction"])
        return web.json_response({"event_id": f"$event{number}"})
