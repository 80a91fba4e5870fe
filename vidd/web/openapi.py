"""The OpenAPI 3.1 document of the port, as data. `tests/web` holds it against the routes and the answers."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from aiohttp import web

from vidd.model.job import MEANING, State
from vidd.model.publication import PublicationState
from vidd.web.control_port import DESK
from vidd.web.request_models import Again, Nothing, Rejection, Resending, Resolution, Retrial, Rework, Submission, Wake
from vidd.web.source_routes import operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.ports import SourceRoute

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
NUMBER: Schema = {"type": "number"}
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
WHOLE: Schema = {"type": "integer"}
TRUTH: Schema = {"type": "boolean"}
ANY_OBJECT: Schema = {"type": "object"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
MOMENT_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


STATE: Schema = {
    "type": "string",
    "enum": [state.value for state in State],
    "description": " ".join(f"{state.value}: {meaning}" for state, meaning in MEANING.items()),
}
PROGRESS = _object(
    part=TEXT, done=NUMBER, total=NUMBER_OR_NULL, unit=TEXT, fraction=NUMBER_OR_NULL, speed=NUMBER_OR_NULL
)
_JOB: dict[str, Schema] = {
    "id": TEXT,
    "pipeline": TEXT,
    "source": TEXT,
    "name": TEXT,
    "location": TEXT,
    "talk": TEXT_OR_NULL,
    "state": _ref("State"),
    "meaning": TEXT,
    "reason": TEXT_OR_NULL,
    "until": MOMENT_OR_NULL,
    "created": MOMENT,
    "changed": MOMENT,
    "priority": WHOLE,
    "attempt": WHOLE,
    "link": TEXT_OR_NULL,
    "progress": _list(_ref("Progress")),
}
PUBLICATION = _object(
    job=TEXT,
    name=TEXT,
    kind=TEXT,
    notice=TRUTH,
    state={"type": "string", "enum": [publication_state.value for publication_state in PublicationState]},
    meaning=TEXT,
    attempt=WHOLE,
    reason=TEXT_OR_NULL,
    until=MOMENT_OR_NULL,
    changed=MOMENT,
    receipt={"oneOf": [_object(url=TEXT_OR_NULL, facts=ANY_OBJECT), {"type": "null"}]},
)
_FINDING = _object(kind=TEXT, does={"type": "string", "enum": ["refuse", "hold", "note"]}, sentence=TEXT)
_CHECK: Schema = {
    "oneOf": [_object(summary=TEXT, findings=_list(_FINDING)), {"type": "null"}],
    "description": "What the check found of the file; null where it has not been checked.",
}
_ARTIFACT = _object(
    role=TEXT,
    path=TEXT,
    size=WHOLE,
    content_type=TEXT,
    media={"type": ["object", "null"]},
    files={"type": ["integer", "null"], "description": "How many files, where it is a directory of them."},
    check=_CHECK,
)
STEP = _object(name=TEXT, kind=TEXT, seconds=NUMBER, facts=ANY_OBJECT, artifacts=_list(_ARTIFACT))
_MOVE = _object(at=MOMENT, state=_ref("State"), reason=TEXT_OR_NULL)
EXPLANATION = _object(
    job=TEXT,
    state=_ref("State"),
    waiting_for=TEXT_OR_NULL,
    because=TEXT,
    since=MOMENT,
    next_try=MOMENT_OR_NULL,
    unblock=_list(TEXT),
    sentence=TEXT,
)
_WATCHER = _object(
    kind=TEXT, up=TRUTH, restarts=WHOLE, last_event=MOMENT_OR_NULL, reason=TEXT_OR_NULL, note=TEXT_OR_NULL
)
HEALTH = _object(
    ok=TRUTH,
    reasons=_list(TEXT),
    version=TEXT,
    since=MOMENT,
    paused=TRUTH,
    queue=WHOLE,
    running=WHOLE,
    jobs={"type": "object", "additionalProperties": WHOLE},
    incomplete={**WHOLE, "description": "Published jobs of which a notice or a change did not go out."},
    watchers={"type": "object", "additionalProperties": _WATCHER},
    disk_free=WHOLE,
    ffmpeg=_object(version=TEXT_OR_NULL, missing=_list(TEXT)),
)
_OUTLOOK = {
    **_object(
        job=TEXT,
        edition=WHOLE,
        of={"type": ["integer", "null"], "description": "The kept edition that it begins with."},
        steps=_list(_object(name=TEXT, kind=TEXT, runs=TRUTH, why=TEXT_OR_NULL)),
        files=_list(_ARTIFACT),
        publishers=_list(_object(name=TEXT, kind=TEXT, replaces=TRUTH)),
        notices=_list(TEXT),
        kept_until=MOMENT_OR_NULL,
    ),
    "description": "What a rework would do: which steps run, which files may change, what becomes of what is out.",
}
_LETTER = _object(at=MOMENT, source=TEXT, reason=TEXT, body=TEXT)

_COUNTS = dict.fromkeys(("seen", "processed", "duplicate", "missing", "under_way", "refused", "waiting"), WHOLE)
_FOUND = _object(name=TEXT, why=TEXT_OR_NULL, jobs=_list(_object(id=TEXT, state=_ref("State"), source=TEXT)))
_LISTS = dict.fromkeys(("duplicate", "missing", "under_way", "refused", "waiting"), _list(_FOUND))
AUDIT = _object(
    ok=TRUTH,
    **_COUNTS,
    sources=_list(_object(source=TEXT, kind=TEXT, pipeline=TEXT_OR_NULL, ok=TRUTH, **_COUNTS, lists=_object(**_LISTS))),
)

SCHEMAS: dict[str, Schema] = {
    "State": STATE,
    "Progress": PROGRESS,
    "Job": _object(**_JOB),
    "WholeJob": _object(
        **_JOB,
        key=TEXT,
        facts=ANY_OBJECT,
        steps=_list(_ref("Step")),
        publications=_list(_ref("Publication")),
        notes={**_list(TEXT), "description": "What went well but not as it was asked for, such as a shortened title."},
        history=_list(_MOVE),
    ),
    "Step": STEP,
    "Publication": PUBLICATION,
    "Explanation": EXPLANATION,
    "Outlook": _OUTLOOK,
    "Health": HEALTH,
    "DeadLetter": _LETTER,
    "Audit": AUDIT,
    "Problem": _object(type=TEXT, title=TEXT, status=WHOLE, detail=TEXT),
    **{
        model.__name__: {
            key: value
            for key, value in model.model_json_schema(ref_template="#/components/schemas/{model}").items()
            if key not in {"title", "$defs"}
        }
        for model in (Submission, Again, Retrial, Rework, Resolution, Resending, Rejection, Wake, Nothing)
    },
}

_JOB_ID = {"name": "id", "in": "path", "required": True, "schema": TEXT, "description": "A job's id, or a beginning."}
_PROBLEM = {
    "description": "A problem document; `detail` says what can be done.",
    "content": {"application/problem+json": {"schema": _ref("Problem")}},
}


def _query(name: str, meaning: str, schema: Schema = TEXT) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": meaning}


_LIMIT = _query("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})


def _read(
    name: str, summary: str, schema: Schema | None, *parameters: dict[str, Any], media: str = "application/json"
) -> dict[str, Any]:
    content = {media: {"schema": schema} if schema else {}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": {"200": {"description": summary, "content": content}, "default": _PROBLEM},
    }


def _act(name: str, summary: str, takes: str, gives: Schema, *parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        **_read(name, summary, gives, *parameters),
        "security": [{"token": []}],
        "requestBody": {
            "required": "required" in SCHEMAS[takes],
            "content": {"application/json": {"schema": _ref(takes)}},
        },
    }


def _submit() -> dict[str, Any]:
    key = {"name": "Idempotency-Key", "in": "header", "required": False, "schema": TEXT}
    operation = _act("submit", "The job that has this key already.", "Submission", _ref("Job"), key)
    made = {**operation["responses"]["200"], "description": "The new job."}
    return {**operation, "summary": "Take a recording in.", "responses": {**operation["responses"], "201": made}}


def _health() -> dict[str, Any]:
    operation = _read("health", "All is well.", _ref("Health"))
    unwell = {**operation["responses"]["200"], "description": "Something is wrong: `reasons` say what."}
    return {**operation, "responses": {**operation["responses"], "503": unwell}}


_PAUSED = _object(paused=TRUTH)
_RETRIED = _object(retried=_list(_ref("Job")), not_retried=_list(_object(job=TEXT, why=TEXT)))

PATHS: dict[str, dict[str, Any]] = {
    "/": {"get": _read("page", "The page.", TEXT, media="text/html")},
    "/page.css": {"get": _read("style", "How the page looks.", TEXT, media="text/css")},
    "/page.js": {"get": _read("script", "What the page does.", TEXT, media="text/javascript")},
    "/words.js": {"get": _read("words", "How the page says numbers and times.", TEXT, media="text/javascript")},
    "/health": {"get": _health()},
    "/metrics": {"get": _read("metrics", "Metrics for Prometheus.", TEXT, media="text/plain")},
    "/api/openapi.json": {"get": _read("openapi", "This document.", ANY_OBJECT)},
    "/api/jobs": {
        "get": _read(
            "jobs",
            "Jobs, newest first.",
            _object(jobs=_list(_ref("Job")), limit=WHOLE),
            _query("state", "Only these states: repeated, or with commas."),
            _query("pipeline", "Only this pipeline."),
            _query("talk", "Only this talk."),
            _query("name", "Only of this name, with or without its end, or of this id of its source's."),
            _LIMIT,
        ),
        "post": _submit(),
    },
    "/api/jobs/{id}": {"get": _read("job", "One job with all that is known of it.", _ref("WholeJob"), _JOB_ID)},
    "/api/jobs/{id}/explain": {"get": _read("explain", "What a job waits for.", _ref("Explanation"), _JOB_ID)},
    "/api/jobs/{id}/log": {
        "get": _read(
            "log",
            "What a job's programs said, the last of it.",
            _object(job=TEXT, text=TEXT, whole=TRUTH),
            _JOB_ID,
            _query(
                "bytes",
                "So many bytes at most.",
                {"type": "integer", "minimum": 1, "maximum": 1 << 24, "default": 65536},
            ),
        )
    },
    "/api/jobs/{id}/retry": {"post": _act("retry", "Take a job up again.", "Again", _ref("Job"), _JOB_ID)},
    "/api/jobs/{id}/rework": {
        "post": _act(
            "rework",
            "Run a job again from a step and have what is out follow; undo that; or say what it would do.",
            "Rework",
            {"oneOf": [_ref("Job"), _ref("Outlook")]},
            _JOB_ID,
        )
    },
    "/api/jobs/{id}/resolve": {
        "post": _act("resolve", "Say what became of an unsure publication.", "Resolution", _ref("Job"), _JOB_ID)
    },
    "/api/jobs/{id}/resend": {"post": _act("resend", "Send notices once more.", "Resending", _ref("Job"), _JOB_ID)},
    "/api/jobs/{id}/retract": {"post": _act("retract", "Take back what is out.", "Nothing", _ref("Job"), _JOB_ID)},
    "/api/jobs/{id}/cancel": {"post": _act("cancel", "Stop a job.", "Nothing", _ref("Job"), _JOB_ID)},
    "/api/jobs/{id}/approve": {"post": _act("approve", "Let a held job out.", "Nothing", _ref("Job"), _JOB_ID)},
    "/api/jobs/{id}/reject": {"post": _act("reject", "Stop a held job.", "Rejection", _ref("Job"), _JOB_ID)},
    "/api/audit": {
        "get": _read(
            "audit",
            "What sources list now, held against the jobs: what is processed, under way, refused, waits, or is missing.",
            _ref("Audit"),
            _query("source", "Only this source."),
            _query("pipeline", "Only sources of this pipeline."),
        )
    },
    "/api/retry": {"post": _act("retryJobs", "Take several jobs up again.", "Retrial", _RETRIED)},
    "/api/dead-letters": {
        "get": _read(
            "deadLetters",
            "What could not be understood, newest first.",
            _object(dead_letters=_list(_ref("DeadLetter")), limit=WHOLE),
            _LIMIT,
        )
    },
    "/api/events": {
        "get": _read(
            "events",
            "What happens, as server-sent events: hello, reset, job, step, publication, progress, watcher, retry, daemon.",
            TEXT,
            {"name": "Last-Event-ID", "in": "header", "required": False, "schema": TEXT},
            media="text/event-stream",
        )
    },
    "/api/pause": {"post": _act("pause", "Start nothing new.", "Nothing", _PAUSED)},
    "/api/resume": {"post": _act("resume", "Go on.", "Nothing", _PAUSED)},
    "/api/wake": {"post": _act("wake", "Ask a source, or all, to look now.", "Wake", _object(woken=TEXT_OR_NULL))},
}


def document(brought: Sequence[SourceRoute] = ()) -> dict[str, Any]:
    """The whole document, with what the sources' own routes say of themselves."""
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
    """The document."""
    return web.json_response(document(request.app[DESK].fronts()))
