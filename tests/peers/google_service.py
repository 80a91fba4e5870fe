"""What the doubles of Google's services share: sign-in, scopes, parameters and bodies judged by the discovery document."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from peers.discovery import Discovery, Method
from peers.oauth import Grant, OAuth
from peers.service import Service


class Fault(Exception):
    """An answer in Google's error shape."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.message = status, reason, message or reason

    def response(self) -> web.Response:
        error = {
            "code": self.status,
            "message": self.message,
            "errors": [{"message": self.message, "domain": "youtube.common", "reason": self.reason}],
        }
        return web.json_response({"error": error}, status=self.status)


@dataclass(frozen=True)
class Asked:
    """A request that passed the judges. `query` has the last value of each name."""

    request: web.Request
    grant: Grant
    method: Method
    query: dict[str, str]
    parts: frozenset[str]
    body: dict[str, Any] = field(default_factory=dict)


Handler = Callable[[Asked], Awaitable[web.StreamResponse] | web.StreamResponse]


class GoogleService(Service):
    """`bodies` keeps every body that came, by method, for tests that look at them."""

    discovery: Discovery

    def __init__(self) -> None:
        super().__init__()
        self.oauth = OAuth()
        self.bodies: list[tuple[str, dict[str, Any]]] = []

    def judged(self, name: str, handler: Handler, *, reads_body: bool = True) -> Any:
        """A handler of a method's requests, which sees only those that are right."""
        method = self.discovery.method(name)

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                asked = await self._asked(request, method, reads_body=reads_body)
                self.spend(asked)
                answer = handler(asked)
                return answer if isinstance(answer, web.StreamResponse) else await answer
            except Fault as fault:
                return fault.response()

        return handle

    def spend(self, asked: Asked) -> None:
        """Count the request against a quota."""

    async def _asked(self, request: web.Request, method: Method, *, reads_body: bool) -> Asked:
        grant = self.oauth.grant(request.headers.get("Authorization"))
        if grant is None:
            raise Fault(401, "authError", "Invalid Credentials")
        if not grant.scopes & method.scopes:
            raise Fault(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
        faults = self.discovery.query_faults(method, {name: request.query.getall(name) for name in request.query})
        if faults:
            raise Fault(400, "badRequest", "; ".join(faults))
        query = dict(request.query)
        parts = frozenset(query.get("part", "").split(",")) - {""}
        body = await self._body(request, method) if reads_body and method.request else {}
        return Asked(request, grant, method, query, parts, body)

    async def _body(self, request: web.Request, method: Method) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise Fault(400, "badContent", "Unsupported content with type: " + request.content_type)
        return self.judge(method, await request.read())

    def judge(self, method: Method, text: bytes) -> dict[str, Any]:
        """A body that is right by its schema."""
        try:
            body = json.loads(text)
        except ValueError:
            raise Fault(400, "parseError", "Parse Error") from None
        self.bodies.append((method.name, body))
        faults = self.discovery.faults(method.request or "", body)
        if faults:
            raise Fault(400, "badRequest", "Invalid JSON payload received. " + "; ".join(faults))
        return body
