"""What was asked: path, query and body, checked; each fault is a Problem that names where it is."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from vidd.model.job import Job, State
from vidd.web.control_port import DESK, ControlApi
from vidd.web.problem import Problem

_ID = re.compile(r"[0-9a-z]{1,40}", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)
_PATIENCE = 30.0

Line = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Body(BaseModel):
    """A JSON object; unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Nothing(Body):
    """No members."""


class Submission(Body):
    """A recording to take in: `location` is a path or URI; without a pipeline the only one is meant."""

    location: Line
    name: Line | None = None
    pipeline: Line | None = None
    facts: dict[str, JsonValue] = Field(default_factory=dict, max_length=100)
    priority: int = Field(default=0, ge=-1000, le=1000)

    @field_validator("facts")
    @classmethod
    def _is_plain_json(cls, facts: dict[str, JsonValue]) -> dict[str, JsonValue]:
        json.dumps(facts, allow_nan=False)
        return facts


class Again(Body):
    """How to retry."""

    fresh_settings: bool = False
    replace: bool = False


class Rework(Body):
    """What is to be different: `set` has options by path (STEP.OPTION), `extra` are more words for the command.

    `step` is where it begins; otherwise the first one that changes. `undo` brings back what was out before, and is asked
    for alone. With `dry_run` the answer says what would happen.
    """

    step: Line | None = None
    set: Annotated[dict[str, JsonValue], Field(max_length=100)] = Field(default_factory=dict)
    extra: Annotated[list[Line], Field(max_length=200)] = Field(default_factory=list)
    undo: bool = False
    dry_run: bool = False

    @model_validator(mode="after")
    def _undo_alone(self) -> Rework:
        if self.undo and (self.step or self.set or self.extra):
            raise ValueError("undo brings back what was there: leave step, set and extra out")
        return self


class Retrial(Body):
    """Which jobs are taken up again: `jobs` by their ids, or all in these `states` (and of this `pipeline`).

    Of published jobs only those are meant of which something was not told or not changed.
    """

    jobs: Annotated[list[Line], Field(max_length=1000)] = Field(default_factory=list)
    states: Annotated[list[State], Field(max_length=len(State))] = Field(default_factory=list)
    pipeline: Line | None = None
    limit: int = Field(default=1000, ge=1, le=1000)
    fresh_settings: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Retrial:
        if bool(self.jobs) is bool(self.states):
            raise ValueError("give either jobs, their ids, or states")
        return self


class Resolution(Body):
    """What a person saw: `published`, the address; or `again`, it did not arrive. One of the two.

    `name` says which publication, where several are unsure.
    """

    published: Line | None = None
    again: bool = False
    name: Line | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Resolution:
        if (self.published is None) is not self.again:
            raise ValueError("give either published, the address, or again: true")
        return self


class Resending(Body):
    """Which notices are sent once more; without names, those that write to people."""

    names: Annotated[list[Line], Field(max_length=50)] = Field(default_factory=list)


class Rejection(Body):
    """Why a held job is stopped."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]


class Wake(Body):
    """Which source is to look now; all of them where none is named."""

    source: Line | None = None


M = TypeVar("M", bound=Body)


async def body_of(request: web.Request, model: type[M]) -> M:
    """The body as `model`. No body is an empty object. Problem 400, 408, 413, 415 or 422."""
    if request.content_length is not None and request.content_length > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size, request.content_length)
    try:
        async with asyncio.timeout(_PATIENCE):
            raw = await request.read()
    except TimeoutError:
        raise Problem(408, f"The body did not arrive within {_PATIENCE:.0f} s: send it again.") from None
    if raw and request.content_type != "application/json":
        raise Problem(415, f"The body is {request.content_type}: send application/json.")
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        raise _fault(error) from None


def _fault(error: ValidationError) -> Problem:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        return Problem(400, f"The body is no JSON: {faults[0]['msg'].removeprefix('Invalid JSON: ')}.")
    errors = [{"at": "/" + "/".join(str(part) for part in fault["loc"]), "why": fault["msg"]} for fault in faults[:20]]
    return Problem(422, f"The body is not as it should be: {errors[0]['at']}: {errors[0]['why']}.", errors=errors)


def idempotency_key(request: web.Request) -> str | None:
    """The `Idempotency-Key` header; Problem 400 where it cannot be one."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise Problem(400, "The Idempotency-Key must be 1 to 200 visible ASCII characters without a space.")
    return key


async def job_named(control: ControlApi, job_id: str) -> Job:
    """The job of an id, or of an end of it; Problem 404."""
    job = await control.store.job(job_id) if _ID.fullmatch(job_id) else None
    if job is None:
        raise Problem(404, f"There is no job {job_id[:60]!r}, or more than one ends so: /api/jobs lists them.")
    return job


async def job_of(request: web.Request) -> Job:
    """The job that the path names; Problem 404."""
    return await job_named(request.app[DESK], request.match_info["id"])


def limit_of(request: web.Request, usual: int, *, name: str = "limit", most: int = 1000) -> int:
    """The query's `limit`, or another number of it, 1 to `most`; Problem 422."""
    text = request.query.get(name, str(usual))
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise Problem(422, f"The {name} {text[:60]!r} is no number from 1 to {most}.")
    return int(text)


def states_of(request: web.Request) -> list[State]:
    """The query's `state`, repeated or with commas; Problem 422."""
    words = [word.strip() for value in request.query.getall("state", []) for word in value.split(",") if word.strip()]
    unknown: list[Any] = [word for word in words if word not in set(State)]
    if unknown:
        raise Problem(422, f"There is no state {unknown[0][:60]!r}: there are {', '.join(State)}.")
    return [State(word) for word in words]
