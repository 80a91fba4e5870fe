"""Errors as `application/problem+json` (RFC 9457): a status, and a sentence that says what to do."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web

from vidd.errors import Fault, OutcomeUnknown, RetryLater
from vidd.model.job import IllegalMove
from vidd.ports import Conflict

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger("vidd.web")

_SENTENCES = {
    404: "There is nothing at {path}: /api/openapi.json lists what there is.",
    405: "{path} does not take {method}: it takes {allowed}.",
    413: "The body is longer than {limit} bytes: send less.",
}


class Problem(Exception):
    """An answer that is an error. `members` are added to the document, `headers` to the response."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.members = status, detail, headers, members

    def response(self) -> web.Response:
        """The problem as a response."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        return web.Response(
            status=self.status,
            headers=self.headers,
            body=json.dumps(document).encode(),
            content_type="application/problem+json",
        )


def _from_aiohttp(request: web.Request, error: web.HTTPException) -> Problem:
    allowed = error.headers.get("Allow", "")
    sentence = _SENTENCES.get(error.status, "{reason}.").format(
        path=request.path,
        method=request.method,
        allowed=allowed.replace(",", ", "),
        limit=request.client_max_size,
        reason=error.reason,
    )
    return Problem(error.status, sentence, headers={"Allow": allowed} if allowed else None)


def _from_defect(request: web.Request) -> Problem:
    reference = secrets.token_hex(4)
    _log.exception("request failed", method=request.method, path=request.path, reference=reference)
    return Problem(
        500, f"This is a defect of vidd: the log says more beside reference {reference}.", reference=reference
    )


def _from_fault(fault: Fault) -> Problem:
    match fault:
        case RetryLater():
            return Problem(503, fault.sentence, headers={"Retry-After": str(math.ceil(fault.after or 5))})
        case OutcomeUnknown():
            return Problem(502, fault.sentence)
        case _:
            return Problem(422, fault.sentence)


def _from_race(error: IllegalMove | Conflict) -> Problem:
    detail = (str(error) or "somebody else was first").rstrip(".")
    return Problem(409, f"{detail[:1].upper()}{detail[1:]}: look at the job again.")


def problem_of(error: Problem | Fault | IllegalMove | Conflict) -> Problem:
    """The answer to an exception that says what is wrong."""
    match error:
        case Problem():
            return error
        case Fault():
            return _from_fault(error)
        case _:
            return _from_race(error)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every exception with a problem document; a defect is logged, and the answer has only its reference."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        problem = _from_aiohttp(request, error)
    except (Problem, Fault, IllegalMove, Conflict) as fault:
        problem = problem_of(fault)
    except Exception:
        # A defect ends here as an answer, unless the client is gone.
        if request.transport is None or request.transport.is_closing():
            raise
        problem = _from_defect(request)
    return problem.response()
