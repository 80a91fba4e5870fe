"""pretalx as vidd meets it: the REST API of submissions, resources, questions and answers, and the schedule export.

Shapes, page sizes, errors and permissions are those of pretalx 2026.2: a token has permissions by endpoint, a list of
somebody who may see nothing is empty, the same resource may be added twice, and a question has one answer per submission.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from aiohttp import web
from peers.service import Service

TOKEN = "e1l6gq2ye72thbwkacj7jbri7a7tvxe614ojv8ybureain92ocub46t5gab5966k"
EVENT = "loops-2026"
VERSIONS = ("v1", "v2", "v-next")
READ = {"submissions": {"list", "retrieve"}}
WRITE = {
    "submissions": {"list", "retrieve", "actions"},
    "questions": {"list", "retrieve"},
    "answers": {"list", "retrieve", "create", "update", "destroy"},
}
ROOMS = {"Main": 1, "Side": 2}
TRACKS = {"Weaving": 7}


def a_submission(code: str, title: str, *speakers: tuple[str, str], **changes: Any) -> dict[str, Any]:
    """A submission as the peer keeps it: names instead of ids, `speakers` with their addresses."""
    return {
        "code": code, "title": title, "speakers": speakers, "state": "confirmed", "abstract": f"{title}, in short.",
        "description": "", "room": "Main", "start": "2026-11-20T10:00:00+01:00", "end": "2026-11-20T10:30:00+01:00",
        "track": "Weaving", "tags": (), "content_locale": "en", "do_not_record": False, "resources": [],
        **changes,
    }  # fmt: skip


class Failure(Exception):
    """An answer that is no success, as the REST framework gives it."""

    def __init__(self, status: int, detail: str | dict[str, Any]) -> None:
        self.status = status
        self.body = {"detail": detail} if isinstance(detail, str) else detail


class Pretalx(Service):
    """`submissions` by code, `answers` by (question, code). `page` is the greatest size of a page.

    `between_pages` is called before each further page of a list. `permissions` are the token's; without any it is revoked.
    """

    def __init__(self) -> None:
        super().__init__()
        self.submissions: dict[str, dict[str, Any]] = {}
        self.answers: dict[tuple[int, str], dict[str, Any]] = {}
        self.questions = {11}
        self.permissions: dict[str, set[str]] = dict(WRITE)
        self.released = True
        self.page = 50
        self.between_pages = lambda: None
        self._numbers = 100

    def put(self, *submissions: dict[str, Any]) -> None:
        self.submissions.update({submission["code"]: submission for submission in submissions})

    def links(self, code: str) -> list[tuple[str, str, bool]]:
        """The resources of a submission: address, words, whether public."""
        return [
            (found["resource"], found["description"], found["is_public"])
            for found in self.submissions[code]["resources"]
        ]

    def add_link(self, code: str, link: str, description: str = "Slides") -> None:
        self.submissions[code]["resources"].append(
            {"id": self._number(), "resource": link, "description": description, "is_public": True}
        )

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def add_routes(self, app: web.Application) -> None:
        api = "/api/events/{event}"
        app.router.add_get(f"{api}/submissions/", self._list)
        app.router.add_get(f"{api}/submissions/{{code}}/", self._retrieve)
        app.router.add_post(f"{api}/submissions/{{code}}/resources/", self._add_resource)
        app.router.add_delete(f"{api}/submissions/{{code}}/resources/{{number}}/", self._remove_resource)
        app.router.add_get(f"{api}/questions/{{number}}/", self._question)
        app.router.add_get(f"{api}/answers/", self._answers)
        app.router.add_post(f"{api}/answers/", self._add_answer)
        app.router.add_patch(f"{api}/answers/{{number}}/", self._change_answer)
        app.router.add_delete(f"{api}/answers/{{number}}/", self._remove_answer)
        app.router.add_get("/{event}/schedule/export/schedule.json", self._export)
        app.router.add_get("/{event}/schedule/widgets/schedule.json", self._widget)

    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            return await super()._answer(request, handler)
        except Failure as failure:
            return web.json_response(failure.body, status=failure.status)

    def _may(self, request: web.Request, endpoint: str, action: str) -> None:
        version = request.headers.get("Pretalx-Version", "v2")
        given = request.headers.get("Authorization", "")
        if given and (given != f"Token {TOKEN}" or not self.permissions):
            raise Failure(401, "Invalid token.")
        if request.match_info["event"].lower() != EVENT:
            raise Failure(404, "No Event matches the given query.")
        if given and action not in self.permissions.get(endpoint, ()):
            raise Failure(403, "You do not have permission to perform this action.")
        if not given and (action not in {"list", "retrieve"} or not self.released):
            raise Failure(401, "Authentication credentials were not provided.")
        if version not in VERSIONS:
            raise Failure(400, f"Unsupported version: {version}")

    def _find(self, request: web.Request) -> dict[str, Any]:
        asked = request.match_info["code"].casefold()
        found = next((found for code, found in self.submissions.items() if code.casefold() == asked), None)
        if found is None:
            raise Failure(404, "No Submission matches the given query.")
        return found

    async def _list(self, request: web.Request) -> web.Response:
        self._may(request, "submissions", "list")
        states = request.query.getall("state", [])
        number = int(request.query.get("page", "1"))
        if number > 1:
            self.between_pages()
        known = {"submitted", "accepted", "confirmed", "rejected", "canceled", "withdrawn", "draft"}
        if bad := [state for state in states if state not in known]:
            raise Failure(400, {"state": [f"Select a valid choice. {bad[0]} is not one of them."]})
        found = [
            self.submissions[code]
            for code in sorted(self.submissions)
            if not states or self.submissions[code]["state"] in states
        ]
        return self._paginated(request, [self._shown(request, submission) for submission in found], number)

    def _paginated(self, request: web.Request, found: list[Any], number: int) -> web.Response:
        size = min(int(request.query.get("page_size", self.page)), self.page)
        start = (number - 1) * size
        if start and start >= len(found):
            raise Failure(404, "Invalid page.")
        after = str(request.url.update_query(page=number + 1)) if start + size < len(found) else None
        before = str(request.url.update_query(page=number - 1)) if start else None
        body = {"count": len(found), "next": after, "previous": before, "results": found[start : start + size]}
        return web.json_response(body)

    async def _retrieve(self, request: web.Request) -> web.Response:
        self._may(request, "submissions", "retrieve")
        return web.json_response(self._shown(request, self._find(request)))

    def _shown(self, request: web.Request, submission: dict[str, Any]) -> dict[str, Any]:
        expanded = request.query.get("expand", "").split(",")
        organiser = bool(request.headers.get("Authorization"))
        kept = {"code", "title", "state", "abstract", "description", "content_locale", "do_not_record"}
        speakers = [
            {
                "code": hashlib.sha256(name.encode()).hexdigest()[:6].upper(), "name": name, "biography": "",
                "submissions": [], "avatar_url": None, "answers": [],
                **({"email": address, "timezone": "Europe/Dublin", "locale": "en"} if organiser else {}),
            }
            for name, address in submission["speakers"]
        ]  # fmt: skip
        room = {"id": ROOMS[submission["room"]], "name": {"en": submission["room"], "de": "Saal"}, "hidden": False}
        slot = {
            "id": 5, "room": room if "slots.room" in expanded else room["id"], "start": submission["start"],
            "end": submission["end"], "submission": submission["code"], "schedule": 3, "description": None, "duration": 30,
        }  # fmt: skip
        slots = [slot] if submission["start"] else []
        track = {"id": TRACKS[submission["track"]], "name": {"en": submission["track"]}, "color": "#000000"}
        tags = [{"id": number, "tag": tag, "color": "#000000"} for number, tag in enumerate(submission["tags"])]
        resources = submission["resources"]
        full = {"speakers": speakers, "slots": slots, "track": track, "tags": tags, "resources": resources}
        short = {
            "speakers": [speaker["code"] for speaker in speakers], "slots": [slot["id"] for slot in slots],
            "track": track["id"], "tags": [tag["id"] for tag in tags],
            "resources": [resource["id"] for resource in resources],
        }  # fmt: skip
        return {
            **{field: value for field, value in submission.items() if field in kept},
            **{field: (full if field in expanded else short)[field] for field in full},
            "submission_type": 2, "duration": 30, "slot_count": 1, "image": None, "answers": [],
        }  # fmt: skip

    async def _add_resource(self, request: web.Request) -> web.Response:
        self._may(request, "submissions", "actions")
        submission, data = self._find(request), await request.json()
        errors = {field: ["This field is required."] for field in ("description",) if not data.get(field)}
        if not str(data.get("link", "")).startswith(("http://", "https://")):
            errors["link"] = ["Enter a valid URL."]
        if errors or not data.keys() <= {"link", "description", "is_public", "resource"}:
            raise Failure(400, errors)
        self.add_link(submission["code"], data["link"], data["description"])
        submission["resources"][-1]["is_public"] = data.get("is_public", True)
        return web.json_response(self._shown(request, submission))

    async def _remove_resource(self, request: web.Request) -> web.Response:
        self._may(request, "submissions", "actions")
        submission, number = self._find(request), int(request.match_info["number"])
        left = [resource for resource in submission["resources"] if resource["id"] != number]
        if len(left) == len(submission["resources"]):
            raise Failure(404, "Resource not found.")
        submission["resources"] = left
        return web.Response(status=204)

    async def _question(self, request: web.Request) -> web.Response:
        self._may(request, "questions", "retrieve")
        if int(request.match_info["number"]) not in self.questions:
            raise Failure(404, "No Question matches the given query.")
        return web.json_response({"id": 11, "question": {"en": "Video"}, "variant": "url", "target": "submission"})

    async def _answers(self, request: web.Request) -> web.Response:
        self._may(request, "answers", "list")
        key = (int(request.query["question"]), request.query["submission"])
        return self._paginated(request, [self.answers[key]] if key in self.answers else [], 1)

    async def _add_answer(self, request: web.Request) -> web.Response:
        self._may(request, "answers", "create")
        data = await request.json()
        if data["question"] not in self.questions:
            raise Failure(400, {"question": [f'Invalid pk "{data["question"]}" - object does not exist.']})
        if data["submission"] not in self.submissions:
            raise Failure(400, {"submission": ["Object with this code does not exist."]})
        key = (data["question"], data["submission"])
        answer = self.answers.setdefault(key, {"id": self._number(), "question": key[0], "submission": key[1]})
        answer |= {"answer": data["answer"], "answer_file": None, "review": None, "person": None, "options": []}
        return web.json_response(answer, status=201)

    def _key_of(self, request: web.Request) -> tuple[int, str]:
        number = int(request.match_info["number"])
        found = next((key for key, answer in self.answers.items() if answer["id"] == number), None)
        if found is None:
            raise Failure(404, "No Answer matches the given query.")
        return found

    async def _change_answer(self, request: web.Request) -> web.Response:
        self._may(request, "answers", "update")
        answer = self.answers[self._key_of(request)]
        answer["answer"] = (await request.json())["answer"]
        return web.json_response(answer)

    async def _remove_answer(self, request: web.Request) -> web.Response:
        self._may(request, "answers", "destroy")
        del self.answers[self._key_of(request)]
        return web.Response(status=204)

    async def _export(self, request: web.Request) -> web.Response:
        if request.match_info["event"].lower() != EVENT or not self.released:
            return web.Response(status=404, text="<h1>Page not found</h1>", content_type="text/html")
        body = json.dumps(self.schedule(str(request.url.origin())))
        etag = hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest()
        # pretalx compares the header as it stands with an ETag that has no quotation marks.
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        return web.Response(text=body, content_type="application/json", headers={"ETag": f'"{etag}"'})

    async def _widget(self, request: web.Request) -> web.Response:
        """Shown although the schedule is not public, as the event's settings may say."""
        if request.match_info["event"].lower() != EVENT:
            return web.Response(status=404, text="<h1>Page not found</h1>", content_type="text/html")
        shown = [found for found in self.submissions.values() if found["state"] == "confirmed" and found["start"]]
        names = sorted({name for found in shown for name, _ in found["speakers"]})
        talks = [
            {
                "code": found["code"], "id": 70 + number, "title": found["title"], "abstract": found["abstract"],
                "speakers": [f"CODE{names.index(name)}" for name, _ in found["speakers"]], "track": TRACKS[found["track"]],
                "start": found["start"], "end": found["end"], "room": ROOMS[found["room"]], "duration": 30,
                "updated": "2026-10-01T10:00:00+02:00", "content_locale": found["content_locale"],
                "do_not_record": found["do_not_record"],
            }
            for number, found in enumerate(shown)
        ]  # fmt: skip
        pause = {"id": 99, "title": {"en": "Lunch"}, "start": "2026-11-20T12:00:00+01:00", "end": None, "room": 1}
        return web.json_response(
            {
                "talks": [pause, *talks], "version": "0.3", "schedule_id": 3, "timezone": "Europe/Berlin",
                "event_start": "2026-11-20", "event_end": "2026-11-20",
                "tracks": [{"id": number, "name": {"en": name}, "color": "#000000"} for name, number in TRACKS.items()],
                "rooms": [{"id": number, "name": {"en": name}} for name, number in ROOMS.items()],
                "speakers": [{"code": f"CODE{at}", "name": name, "avatar": None} for at, name in enumerate(names)],
            }
        )  # fmt: skip

    def schedule(self, origin: str) -> dict[str, Any]:
        rooms: dict[str, list[Any]] = {}
        for number, submission in enumerate(self.submissions.values()):
            if submission["state"] == "confirmed" and submission["start"]:
                rooms.setdefault(submission["room"], []).append(_event(submission, number, origin))
        day = {"index": 1, "date": "2026-11-20", "day_start": "2026-11-20T04:00:00+01:00", "rooms": rooms}
        conference = {
            "acronym": EVENT, "title": "Loops", "start": "2026-11-20", "end": "2026-11-20", "daysCount": 1,
            "timeslot_duration": "00:05", "time_zone_name": "Europe/Berlin", "days": [day],
        }  # fmt: skip
        return {
            "$schema": "https://c3voc.de/schedule/schema.json",
            "generator": {"name": "pretalx", "version": "2026.2.0"},
            "schedule": {"url": f"{origin}/{EVENT}/schedule/", "version": "0.3", "conference": conference},
        }


def _event(submission: dict[str, Any], number: int, origin: str) -> dict[str, Any]:
    return {
        "guid": f"guid-{submission['code']}", "code": submission["code"], "id": 4000 + number, "logo": None,
        "date": submission["start"], "start": submission["start"][11:16], "end": submission["end"], "duration": "00:30",
        "room": submission["room"], "slug": f"{EVENT}-{4000 + number}-{submission['title'].lower()}",
        "url": f"{origin}/{EVENT}/talk/{submission['code']}/", "title": submission["title"], "subtitle": "",
        "track": submission["track"], "type": "Talk", "language": submission["content_locale"],
        "abstract": submission["abstract"], "description": submission["description"], "recording_license": "",
        "do_not_record": submission["do_not_record"],
        "persons": [
            {"code": "ABCDEF", "name": name, "public_name": name, "avatar": None, "biography": None}
            for name, _ in submission["speakers"]
        ],
        "links": [
            {"title": found["description"], "url": found["resource"], "type": "related"}
            for found in submission["resources"] if found["is_public"]
        ],
        "attachments": [],
    }  # fmt: skip
