"""Converts jobs, steps and publications to rows of a table (text and numbers) and back."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from datetime import datetime
from typing import Any

from vidd.model.job import Entry, Job, State
from vidd.model.media import StepRecord
from vidd.model.publication import Publication, PublicationState
from vidd.model.serialization import (
    outcome_from_json,
    outcome_to_json,
    receipt_from_json,
    receipt_to_json,
    time_from_text,
    time_to_text,
)


def _time(text: str | None) -> datetime | None:
    return time_from_text(text) if text else None


def job_columns() -> tuple[str, ...]:
    """The columns of a job, in the order of its fields."""
    return tuple(Job.__dataclass_fields__)


def job_to_row(job: Job) -> tuple[Any, ...]:
    """The values of a job, in the order of `job_columns`."""
    values = {name: getattr(job, name) for name in job_columns()}
    values |= {"facts": json.dumps(dict(job.facts)), "settings": json.dumps(dict(job.settings))}
    values |= {"created": time_to_text(job.created), "changed": time_to_text(job.changed)}
    values |= {name: time_to_text(at) if at else None for name, at in (("until", job.until), ("tried", job.tried))}
    return tuple(values.values())


def job_from_row(row: Sequence[Any]) -> Job:
    """The job of a row that `job_to_row` made."""
    values = dict(zip(job_columns(), row, strict=True))
    values |= {"facts": json.loads(values["facts"]), "settings": json.loads(values["settings"])}
    values |= {"created": time_from_text(values["created"]), "changed": time_from_text(values["changed"])}
    values |= {"until": _time(values["until"]), "tried": _time(values["tried"]), "state": State(values["state"])}
    return Job(**values)


def entry_columns() -> tuple[str, ...]:
    """The columns of an entry, in the order of its fields."""
    return tuple(Entry.__dataclass_fields__)


def entry_from_row(row: Sequence[Any]) -> Entry:
    """The entry of a row with the values of `entry_columns`."""
    values = dict(zip(entry_columns(), row, strict=True))
    return Entry(**{**values, "state": State(values["state"])})


def new_jobs(jobs: Sequence[Job], known: Container[str]) -> list[Job]:
    """The jobs to record: for each key that is not in `known`, the first job with that key."""
    first: dict[str, Job] = {}
    for job in jobs:
        if job.key not in known:
            first.setdefault(job.key, job)
    return list(first.values())


def step_columns() -> tuple[str, ...]:
    """The columns of a finished step."""
    return ("job", "name", "kind", "fingerprint", "outcome", "seconds", "ended")


def step_to_row(record: StepRecord) -> tuple[Any, ...]:
    """The values of a finished step, in the order of `step_columns`."""
    outcome = json.dumps(outcome_to_json(record.outcome))
    ended = time_to_text(record.ended) if record.ended else None
    return (record.job, record.name, record.kind, record.fingerprint, outcome, record.seconds, ended)


def step_from_row(row: Sequence[Any]) -> StepRecord:
    """The finished step of a row that `step_to_row` made."""
    job, name, kind, fingerprint, outcome, seconds, ended = row
    made = outcome_from_json(json.loads(outcome))
    return StepRecord(job, name, kind, fingerprint, made, seconds, _time(ended))


def publication_columns() -> tuple[str, ...]:
    """The columns of a publication, in the order of its fields."""
    return tuple(Publication.__dataclass_fields__)


def publication_to_row(publication: Publication) -> tuple[Any, ...]:
    """The values of a publication, in the order of `publication_columns`."""
    values = {name: getattr(publication, name) for name in publication_columns()}
    values["token"] = json.dumps(dict(publication.token))
    values["receipt"] = json.dumps(receipt_to_json(publication.receipt)) if publication.receipt else None
    values |= {name: time_to_text(values[name]) if values[name] else None for name in ("changed", "until", "tried")}
    return tuple(values.values())


def publication_from_row(row: Sequence[Any]) -> Publication:
    """The publication of a row that `publication_to_row` made."""
    values = dict(zip(publication_columns(), row, strict=True))
    values |= {name: _time(values[name]) for name in ("changed", "until", "tried")}
    values |= {"token": json.loads(values["token"]), "state": PublicationState(values["state"])}
    values |= {"notice": bool(values["notice"]), "begun": bool(values["begun"])}
    values["receipt"] = receipt_from_json(json.loads(values["receipt"])) if values["receipt"] else None
    return Publication(**values)
