"""The OpenAPI 3.1 document of the port, made of the request and response models."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from vidd.model.job import MEANING, State
from vidd.model.publication import PUBLICATION_MEANING
from vidd.web import request_models, response_models
from vidd.web.control_port import CONTROL
from vidd.web.source_routes import operations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.ports import SourceRoute

Schema = dict[str, Any]

_REF = "#/components/schemas/{model}"
_REQUESTS: tuple[type[BaseModel], ...] = (
    request_models.EmptyRequest,
    request_models.PriorityRequest,
    request_models.RejectRequest,
    request_models.ResendRequest,
    request_models.ResolveRequest,
    request_models.RetryRequest,
    request_models.RetryJobsRequest,
    request_models.ReworkRequest,
    request_models.SubmitRequest,
    request_models.WakeRequest,
)
_RESPONSES: tuple[type[BaseModel], ...] = (
    response_models.Alive,
    response_models.AuditReport,
    response_models.DaemonHealth,
    response_models.DeadLetters,
    response_models.History,
    response_models.Job,
    response_models.JobDetails,
    response_models.JobExplanation,
    response_models.JobLog,
    response_models.Jobs,
    response_models.Outlook,
    response_models.Paused,
    response_models.ProblemDocument,
    response_models.RetriedJobs,
    response_models.SignInLink,
    response_models.Woken,
)


def _schemas() -> dict[str, Schema]:
    _, generated = models_json_schema(
        [
            *((model, "validation") for model in _REQUESTS),
            *((model, "serialization") for model in _RESPONSES),
        ],
        ref_template=_REF,
    )
    schemas: dict[str, Schema] = generated["$defs"]
    closed = {model.__name__ for model in _REQUESTS}
    for name, schema in schemas.items():
        if name not in closed and schema.get("additionalProperties") is False:
            # A client must not break when an answer gets another member.
            del schema["additionalProperties"]
    schemas["State"]["description"] = _meanings(MEANING)
    schemas["PublicationState"]["description"] = _meanings(PUBLICATION_MEANING)
    return dict(sorted(schemas.items()))


def _meanings(meanings: Mapping[Any, str]) -> str:
    return " ".join(f"{state.value}: {meaning}" for state, meaning in meanings.items())


SCHEMAS = _schemas()

_TEXT: Schema = {"type": "string"}


def _ref(model: type[BaseModel]) -> Schema:
    return {"$ref": _REF.format(model=model.__name__)}


def _query(name: str, meaning: str, schema: Schema = _TEXT) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": meaning}


def _header(name: str, meaning: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": _TEXT, "description": meaning}


_JOB_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": _TEXT,
    "description": "A job's id, or the end of it (four characters or more) where no other job's id ends so.",
}
_LIMIT = _query("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})
_PROBLEM = {
    "description": "A problem document; `detail` says what can be done.",
    "content": {"application/problem+json": {"schema": _ref(response_models.ProblemDocument)}},
}


def _file(name: str, summary: str, media: str) -> dict[str, Any]:
    return _operation(name, summary, {media: {"schema": _TEXT}})


def _form(name: str, summary: str, *fields_besides: str) -> dict[str, Any]:
    """An operation that a form of the page asks for."""
    operation = _operation(name, summary, {})
    fields = (
        dict.fromkeys(("token", "code", "next"), _TEXT)
        if name == "signIn"
        else dict.fromkeys(("csrf", *fields_besides), _TEXT)
    )
    content = {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": fields}}}
    operation["responses"] = {"303": {"description": summary, "content": {}}, "default": _PROBLEM}
    return {**operation, "requestBody": {"content": content}}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _TEXT}


def _with_path(operation: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    return {**operation, "parameters": list(parameters)}


def _operation(name: str, summary: str, content: Schema, *parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": {"200": {"description": summary, "content": content}, "default": _PROBLEM},
    }


def _get(name: str, summary: str, answer: type[BaseModel], *parameters: dict[str, Any]) -> dict[str, Any]:
    return _operation(name, summary, {"application/json": {"schema": _ref(answer)}}, *parameters)


def _post(
    name: str, summary: str, request: type[BaseModel], answer: type[BaseModel], *parameters: dict[str, Any]
) -> dict[str, Any]:
    return {
        **_get(name, summary, answer, *parameters),
        "security": [{"token": []}],
        "requestBody": {
            "required": "required" in SCHEMAS[request.__name__],
            "content": {"application/json": {"schema": _ref(request)}},
        },
    }


def _with_response(operation: dict[str, Any], status: str, description: str) -> dict[str, Any]:
    """The operation with another status that has the same body."""
    response = {**operation["responses"]["200"], "description": description}
    return {**operation, "responses": {**operation["responses"], status: response}}


def _submit() -> dict[str, Any]:
    key = _header("Idempotency-Key", "The same key is the same job; 1 to 200 visible ASCII characters.")
    operation = _post("submit", "Submit a recording.", request_models.SubmitRequest, response_models.Job, key)
    operation["responses"]["200"]["description"] = "The job that has this key already."
    return _with_response(operation, "201", "The new job.")


def _rework() -> dict[str, Any]:
    operation = _post(
        "rework",
        "Run a job again from a step and update what is published; undo that; or show what it would do.",
        request_models.ReworkRequest,
        response_models.Job,
        _JOB_ID,
    )
    either = {"oneOf": [_ref(response_models.Job), _ref(response_models.Outlook)]}
    operation["responses"]["200"]["content"]["application/json"]["schema"] = either
    return operation


def _about_job(name: str, summary: str, request: type[BaseModel]) -> dict[str, Any]:
    return {"post": _post(name, summary, request, response_models.Job, _JOB_ID)}


PATHS: dict[str, dict[str, Any]] = {
    "/": {"get": _file("page", "The page.", "text/html")},
    "/page.css": {"get": _file("style", "The page's style.", "text/css")},
    "/page.js": {"get": _file("script", "The page's script.", "text/javascript")},
    "/words.js": {"get": _file("words", "How the page writes numbers and times.", "text/javascript")},
    "/live": {
        "get": _operation(
            "live",
            "Server-sent events: the parts of an open page that changed.",
            {"text/event-stream": {"schema": _TEXT}},
            _query("view", "The address of the page, such as `/` or `/jobs/ID`."),
            _query("version", "What the page shows already."),
            _header("Last-Event-ID", "Continue after this event."),
        )
    },
    "/jobs/selected": {
        "get": _file("askAboutJobs", "What an action would do to several jobs.", "text/html"),
        "post": _form("actOnJobs", "Do it to each of the jobs, and go back to the list.", "do", "job"),
    },
    "/jobs/{id}": {"get": _with_path(_file("jobPage", "The page of a job.", "text/html"), _JOB_ID)},
    "/jobs/{id}/frames/{place}": {
        "get": _with_path(_file("frame", "A frame at an edge of the cut.", "image/jpeg"), _JOB_ID, _path("place"))
    },
    "/jobs/{id}/video/{role}": {
        "get": _with_path(_file("video", "A video of the job, while it is there.", "video/mp4"), _JOB_ID, _path("role"))
    },
    "/jobs/{id}/{action}": {
        "get": _with_path(_file("askAboutJob", "What an action would do.", "text/html"), _JOB_ID, _path("action")),
        "post": _with_path(_form("actOnJob", "Do it, and go back to the job."), _JOB_ID, _path("action")),
    },
    "/pause": {
        "get": _file("askAboutPause", "What a pause would do.", "text/html"),
        "post": _form("pausePage", "Start nothing new, and go to the page."),
    },
    "/resume": {
        "get": _file("askAboutResume", "What resuming would do.", "text/html"),
        "post": _form("resumePage", "Start jobs again, and go to the page."),
    },
    "/sign-in": {
        "get": _file("signInForm", "The form that signs a person in.", "text/html"),
        "post": _form("signIn", "Begin a session, and go to the page."),
    },
    "/sign-out": {"post": _form("signOut", "End the session, and go to the page.")},
    "/health": {
        "get": _with_response(
            _get("health", "All is well.", response_models.DaemonHealth),
            "503",
            "Something is wrong: `reasons` say what.",
        )
    },
    "/livez": {
        "get": _get(
            "livez",
            "The daemon's event loop answers, whatever its health: the store may be away.",
            response_models.Alive,
        )
    },
    "/metrics": {"get": _file("metrics", "Metrics for Prometheus.", "text/plain")},
    "/api/openapi.json": {"get": _operation("openapi", "This document.", {"application/json": {"schema": {}}})},
    "/api/jobs": {
        "get": _get(
            "jobs",
            "Jobs, newest first.",
            response_models.Jobs,
            _query("state", f"Only jobs in these states, repeated or with commas: {', '.join(State)}."),
            _query("pipeline", "Only jobs of this pipeline."),
            _query("talk", "Only jobs of this talk."),
            _query(
                "name", "Only jobs of this file name, with or without its suffix, or with this `id` from their source."
            ),
            _query(
                "text",
                "Only jobs with all of these words in the file's name, the id, or the talk's id, title, speakers or stage.",
            ),
            _query("changed_since", "Only jobs that changed then or later.", {"type": "string", "format": "date-time"}),
            _query("after", "Continue behind this job, the last of the page before: what `next` does."),
            _LIMIT,
        ),
        "post": _submit(),
    },
    "/api/jobs/{id}": {
        "get": _get("job", "A job with its steps, publications and history.", response_models.JobDetails, _JOB_ID)
    },
    "/api/jobs/{id}/explain": {
        "get": _get("explain", "What a job waits for.", response_models.JobExplanation, _JOB_ID)
    },
    "/api/jobs/{id}/log": {
        "get": _get(
            "log",
            "The end of the output of a job's programs.",
            response_models.JobLog,
            _JOB_ID,
            _query(
                "bytes",
                "At most so many bytes.",
                {"type": "integer", "minimum": 1, "maximum": 1 << 24, "default": 65536},
            ),
        )
    },
    "/api/jobs/{id}/retry": _about_job("retry", "Retry a job.", request_models.RetryRequest),
    "/api/jobs/{id}/rework": {"post": _rework()},
    "/api/jobs/{id}/resolve": _about_job(
        "resolve", "Tell vidd what became of an unsure publication.", request_models.ResolveRequest
    ),
    "/api/jobs/{id}/resend": _about_job(
        "resend", "Send a published job's notices once more.", request_models.ResendRequest
    ),
    "/api/jobs/{id}/retract": _about_job("retract", "Take back what a job published.", request_models.EmptyRequest),
    "/api/jobs/{id}/cancel": _about_job("cancel", "Stop a job.", request_models.EmptyRequest),
    "/api/jobs/{id}/approve": _about_job("approve", "Let a held job go out.", request_models.EmptyRequest),
    "/api/jobs/{id}/reject": _about_job("reject", "Stop a held job.", request_models.RejectRequest),
    "/api/jobs/{id}/priority": _about_job("priority", "Say which job starts first.", request_models.PriorityRequest),
    "/api/history": {
        "get": _get(
            "history",
            "What the daemon did on each of the last days, today included.",
            response_models.History,
            _query("days", "So many days.", {"type": "integer", "minimum": 1, "maximum": 90, "default": 7}),
        )
    },
    "/api/audit": {
        "get": _get(
            "audit",
            "What sources list now, compared with the jobs: processed, under way, refused, waiting, missing, duplicate.",
            response_models.AuditReport,
            _query("source", "Only this source."),
            _query("pipeline", "Only sources of this pipeline."),
        )
    },
    "/api/retry": {
        "post": _post("retryJobs", "Retry several jobs.", request_models.RetryJobsRequest, response_models.RetriedJobs)
    },
    "/api/dead-letters": {
        "get": _get(
            "deadLetters", "Messages that vidd could not understand, newest first.", response_models.DeadLetters, _LIMIT
        )
    },
    "/api/events": {
        "get": _operation(
            "events",
            "Server-sent events: hello, reset, job, step, publication, progress, watcher, retry, daemon.",
            {"text/event-stream": {"schema": _TEXT}},
            _header("Last-Event-ID", "Continue after this event."),
        )
    },
    "/api/pause": {"post": _post("pause", "Start nothing new.", request_models.EmptyRequest, response_models.Paused)},
    "/api/resume": {"post": _post("resume", "Start jobs again.", request_models.EmptyRequest, response_models.Paused)},
    "/api/sign-in-links": {
        "post": _post(
            "signInLink",
            "A link that signs one person in on the page, within five minutes.",
            request_models.EmptyRequest,
            response_models.SignInLink,
        )
    },
    "/api/wake": {
        "post": _post(
            "wake", "Let a source, or all of them, look now.", request_models.WakeRequest, response_models.Woken
        )
    },
}


def document(brought: Sequence[SourceRoute] = ()) -> dict[str, Any]:
    """The whole document, with the operations of the routes that sources bring."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "vidd", "version": version("vidd"), "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": {**PATHS, **operations(brought)},
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


async def show_openapi(request: web.Request) -> web.Response:
    """`GET /api/openapi.json`."""
    return web.json_response(document(request.app[CONTROL].source_routes()))
