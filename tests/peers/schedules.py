"""Web servers with a schedule: documents with ETag and Last-Modified, a conference's REST API, and its GraphQL one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from peers.service import Service

EVENT_ID = "loops-2026"


@dataclass
class Document:
    """What is at an address. `validators` are the headers by which its state can be asked for."""

    content: bytes
    validators: tuple[str, ...] = ("ETag", "Last-Modified")
    changed: str = "Fri, 20 Nov 2026 12:00:00 GMT"
    headers: tuple[tuple[str, str], ...] = ()


class Schedules(Service):
    """`documents` by path; `timeslots`, `attendances` and `locations` by id are what both APIs give."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[str, Document] = {}
        self.redirects: dict[str, str] = {}
        self.timeslots: dict[str, dict[str, Any]] = {}
        self.attendances: dict[str, dict[str, str]] = {}
        self.locations: dict[str, str] = {}

    def put(self, path: str, content: bytes | str, **how: Any) -> None:
        self.documents[path] = Document(content.encode() if isinstance(content, str) else content, **how)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/v1/conferences/{slug}/timeslots/", self._timeslots)
        app.router.add_get("/v1/conferences/{slug}/timeslot_locations/{number}", self._location)
        app.router.add_get("/v1/conferences/{slug}/attendances/{number}", self._attendance)
        app.router.add_post("/graphql", self._graphql)
        app.router.add_get("/{path:.*}", self._document)

    async def _document(self, request: web.Request) -> web.Response:
        if request.path in self.redirects:
            return web.Response(status=302, headers={"Location": self.redirects[request.path]})
        document = self.documents.get(request.path)
        if document is None:
            return web.Response(status=404)
        etag = f'"{hashlib.sha256(document.content).hexdigest()[:16]}"'
        states = {"ETag": etag, "Last-Modified": document.changed}
        headers = {name: states[name] for name in document.validators} | dict(document.headers)
        asked = request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since")
        if ("ETag" in headers and asked[0] == etag) or (
            "Last-Modified" in headers and asked[0] is None and asked[1] == document.changed
        ):
            return web.Response(status=304, headers=headers)
        return web.Response(body=document.content, headers=headers)

    async def _timeslots(self, _request: web.Request) -> web.Response:
        rows = [
            {
                "id": identity, "title": slot["title"], "description": slot["description"],
                "starts_at": slot["starts"], "ends_at": slot["ends"], "timeslot_location_id": slot["location"],
                "timeslot_participations": [{"attendance_id": number} for number in slot["attendances"]],
            }
            for identity, slot in self.timeslots.items()
        ]  # fmt: skip
        return web.json_response({"data": rows})

    async def _location(self, request: web.Request) -> web.Response:
        name = self.locations.get(request.match_info["number"])
        if name is None:
            return web.json_response({"error": "not found"}, status=404)
        return web.json_response({"data": {"id": request.match_info["number"], "name": name}})

    async def _attendance(self, request: web.Request) -> web.Response:
        person = self.attendances.get(request.match_info["number"])
        if person is None:
            return web.json_response({"error": "not found"}, status=404)
        return web.json_response({"data": {"id": request.match_info["number"], "person": person}})

    async def _graphql(self, request: web.Request) -> web.Response:
        data = json.loads(await request.read())
        if request.headers.get("x-event-id") != EVENT_ID or "timeslots" not in data["query"]:
            return web.json_response({"data": None, "errors": [{"message": "unknown event"}]})
        nodes = [
            {
                "id": identity, "title": slot["title"], "description": slot["description"],
                "startsAt": slot["starts"], "endsAt": slot["ends"],
                "location": {"id": slot["location"], "name": self.locations[slot["location"]]},
                "participants": {
                    "edges": [
                        {"node": {"attendee": {"firstName": person["first_name"], "lastName": person["last_name"]}}}
                        for person in (self.attendances[number] for number in slot["attendances"])
                    ]
                },
            }
            for identity, slot in self.timeslots.items()
        ]  # fmt: skip
        days = [{"timeslots": {"edges": [{"node": node} for node in nodes]}}]
        return web.json_response({"data": {"conference": {"id": EVENT_ID, "schedule": {"days": days}}}})
