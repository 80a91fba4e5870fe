"""Converts the rows of `vidd.model.rows` to documents and back; the indexes of their collections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from vidd.integrations.mongodb.account import Document
from vidd.model.job import Job, State
from vidd.model.job_query import JobQuery
from vidd.model.rows import job_columns, job_to_row
from vidd.model.serialization import time_to_text

OLDEST = [("created", ASCENDING), ("_id", ASCENDING)]
NEWEST = [("created", DESCENDING), ("_id", DESCENDING)]
INDEXES = {
    "jobs": (
        IndexModel([("key", ASCENDING)], name="key", unique=True),
        IndexModel([("state", ASCENDING), ("pipeline", ASCENDING), ("created", ASCENDING)], name="state"),
        IndexModel(OLDEST, name="created"),
        IndexModel([("changed", ASCENDING)], name="changed"),
        IndexModel(
            [*OLDEST, *((name, ASCENDING) for name in ("state", "pipeline", "talk", "name", "changed"))], name="listed"
        ),
        IndexModel([("pipeline", ASCENDING), *OLDEST], name="pipeline"),
        IndexModel([("talk", ASCENDING)], name="talk", partialFilterExpression={"talk": {"$type": "string"}}),
        IndexModel([("until", ASCENDING)], name="until", partialFilterExpression={"state": State.WAITING.value}),
    ),
    "steps": (IndexModel([("job", ASCENDING), ("order", ASCENDING)], name="job"),),
    "publications": (IndexModel([("job", ASCENDING), ("order", ASCENDING)], name="job"),),
    "talks": (IndexModel([("reading", ASCENDING), ("position", ASCENDING)], name="reading"),),
}


def state_values(states: Sequence[State]) -> list[str]:
    """The values of states in documents."""
    return [state.value for state in states]


def history_line(job: Job, at: datetime) -> list[Any]:
    """An entry of a job's history."""
    return [time_to_text(at), job.state.value, job.reason]


def job_document(job: Job, *, without: str = "") -> Document:
    """A job as a document: the columns of its row, with the id as `_id`; `without` leaves one column out."""
    values = dict(zip(job_columns(), job_to_row(job), strict=True))
    values = {"_id": values.pop("id"), **values, "state": job.state.value}
    return {name: value for name, value in values.items() if name != without}


def conditions_of(query: JobQuery, last: Document | None) -> Document:
    """The filter of a query; `last` is the job `query.after`."""
    conditions: list[Document] = []
    if query.states:
        conditions.append({"state": {"$in": state_values(query.states)}})
    conditions += [{name: value} for name in ("pipeline", "talk") if (value := getattr(query, name)) is not None]
    if query.changed_since is not None:
        conditions.append({"changed": {"$gte": time_to_text(query.changed_since)}})
    if query.incomplete:
        conditions.append({"state": State.PUBLISHED.value, "reason": {"$ne": None}})
    if last is not None:
        same = {"created": last["created"], "_id": {"$lt": last["_id"]}}
        conditions.append({"$or": [{"created": {"$lt": last["created"]}}, same]})
    for word in query.words:
        places: list[Document] = [{"pipeline": pipeline, "talk": talk} for pipeline, talk in word.talks]
        if word.text is not None:
            part = {"$regex": re.escape(word.text), "$options": "i"}
            places += [{"name": part}, {"_id": part}, {"talk": part}]
        conditions.append({"$or": places} if places else {"_id": None})
    return {"$and": conditions} if conditions else {}


def projection(columns: Sequence[str]) -> dict[str, int]:
    """The projection that reads these columns."""
    return {name: 1 for name in columns if name != "id"}


def row_of(document: Mapping[str, Any], columns: Sequence[str]) -> tuple[Any, ...]:
    """The values of these columns in a document."""
    return tuple(document.get("_id" if name == "id" else name) for name in columns)
