"""The bodies, queries and paths of requests, validated; a fault is a Problem that names its place."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime
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
from vidd.web.control_port import CONTROL, ControlApi
from vidd.web.problem import Problem

_ID = re.compile(r"[0-9a-z]{1,40}", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)
_BODY_TIMEOUT = 30.0

Line = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Body(BaseModel):
    """A JSON object; unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class EmptyRequest(Body):
    """An object without members."""


class SubmitRequest(Body):
    """A recording to submit. Without `pipeline` there must be only one."""

    location: Line = Field(description="A path, or a URI: s3, http, https, pcloud.")
    name: Line | None = Field(default=None, description="The name of its file; without it, that of the location.")
    pipeline: Line | None = None
    facts: dict[str, JsonValue] = Field(
        default_factory=dict, max_length=100, description="Such as talk, start, end (seconds) and account."
    )
    priority: int = Field(default=0, ge=-1000, le=1000, description="The highest is worked on first.")

    @field_validator("facts")
    @classmethod
    def _is_plain_json(cls, facts: dict[str, JsonValue]) -> dict[str, JsonValue]:
        json.dumps(facts, allow_nan=False)
        return facts


class RetryRequest(Body):
    """How to retry a job."""

    fresh_settings: bool = Field(default=False, description="With the present settings, not those of its admission.")
    replace: bool = Field(
        default=False, description="Where another job has published the talk, replace its publications."
    )


class ReworkRequest(Body):
    """What a rework changes, or with `undo` alone, that the results of before come back."""

    step: Line | None = Field(default=None, description="The first step; without it, the first one that changes.")
    set: Annotated[dict[str, JsonValue], Field(max_length=100)] = Field(
        default_factory=dict, description="Options by path (STEP.OPTION)."
    )
    extra: Annotated[list[Line], Field(max_length=200)] = Field(
        default_factory=list, description="More arguments for the command."
    )
    undo: bool = Field(default=False, description="Bring back the results from before the last rework.")
    dry_run: bool = Field(default=False, description="Only answer what would happen.")

    @model_validator(mode="after")
    def _undo_alone(self) -> ReworkRequest:
        if self.undo and (self.step or self.set or self.extra):
            raise ValueError("undo takes no step, set or extra: leave them out")
        return self


class RetryJobsRequest(Body):
    """Which jobs to retry: `jobs`, or all in `states` (of `pipeline`), of published ones those that are incomplete."""

    jobs: Annotated[list[Line], Field(max_length=1000)] = Field(default_factory=list)
    states: Annotated[list[State], Field(max_length=len(State))] = Field(default_factory=list)
    pipeline: Line | None = None
    limit: int = Field(default=1000, ge=1, le=1000)
    fresh_settings: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> RetryJobsRequest:
        if bool(self.jobs) is bool(self.states):
            raise ValueError("give either jobs, their ids, or states")
        return self


class ResolveRequest(Body):
    """What a person saw at the other side: either `published` or `again`."""

    published: Line | None = Field(default=None, description="The address at which it is.")
    again: bool = Field(default=False, description="It did not arrive: send it again.")
    name: Line | None = Field(default=None, description="Which publication, where several are unsure.")

    @model_validator(mode="after")
    def _one_of_both(self) -> ResolveRequest:
        if (self.published is None) is not self.again:
            raise ValueError("give either published, the address, or again: true")
        return self


class ResendRequest(Body):
    """Which notices to send once more; without names, the mails."""

    names: Annotated[list[Line], Field(max_length=50)] = Field(default_factory=list)


class RejectRequest(Body):
    """Why a person stops a held job."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]


class PriorityRequest(Body):
    """The job's new priority."""

    priority: int = Field(
        ge=-1000, le=1000, description="The highest is worked on first; below 0 it makes room for others."
    )


class WakeRequest(Body):
    """Which source looks now; without it, all of them."""

    source: Line | None = None


M = TypeVar("M", bound=Body)


async def body_of(request: web.Request, model: type[M]) -> M:
    """The body as `model`; no body counts as an empty object. Raises Problem 400, 408, 413, 415 or 422."""
    if request.content_length is not None and request.content_length > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size, request.content_length)
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            raw = await request.read()
    except TimeoutError:
        raise Problem(408, f"The body did not arrive within {_BODY_TIMEOUT:.0f} s: send it again.") from None
    if raw and request.content_type != "application/json":
        raise Problem(415, f"The body is {request.content_type}: send application/json.")
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        raise _fault(error) from None


def _fault(error: ValidationError) -> Problem:
    faults = error.errors(include_url=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        return Problem(400, f"The body is not JSON: {faults[0]['ctx']['error']}.")
    errors = [{"at": "/" + "/".join(str(part) for part in fault["loc"]), "why": fault["msg"]} for fault in faults[:20]]
    return Problem(422, f"The body is not as it should be: {errors[0]['at']}: {errors[0]['why']}.", errors=errors)


def idempotency_key(request: web.Request) -> str | None:
    """The `Idempotency-Key` header. Raises Problem 400 if it cannot be a key."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise Problem(400, "The Idempotency-Key must be 1 to 200 visible ASCII characters without a space.")
    return key


async def job_named(control: ControlApi, job_id: str) -> Job:
    """The job with this id, or the only one whose id ends so. Raises Problem 404."""
    job = await control.store.job(job_id) if _ID.fullmatch(job_id) else None
    if job is None:
        raise Problem(404, f"There is no job {job_id[:60]!r}, or more than one id ends so: /api/jobs lists them.")
    return job


async def job_of(request: web.Request) -> Job:
    """The job that the path names. Raises Problem 404."""
    return await job_named(request.app[CONTROL], request.match_info["id"])


def limit_of(request: web.Request, usual: int, *, name: str = "limit", most: int = 1000) -> int:
    """The query's `limit`, or its number `name`, 1 to `most`. Raises Problem 422."""
    text = request.query.get(name, str(usual))
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise Problem(422, f"The {name} {text[:60]!r} is not a number from 1 to {most}.")
    return int(text)


def states_of(request: web.Request) -> list[State]:
    """The states of the query's `state`, repeated or with commas. Raises Problem 422."""
    names = [name.strip() for value in request.query.getall("state", []) for name in value.split(",") if name.strip()]
    unknown: list[Any] = [name for name in names if name not in set(State)]
    if unknown:
        raise Problem(422, f"There is no state {unknown[0][:60]!r}: there are {', '.join(State)}.")
    return [State(name) for name in names]


def time_of(request: web.Request, name: str) -> datetime | None:
    """The query's time `name` (RFC 3339, with a time zone). Raises Problem 422."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise Problem(422, f"The {name} {text[:60]!r} is no time: write it like 2026-05-01T00:00:00Z.")
    return time
