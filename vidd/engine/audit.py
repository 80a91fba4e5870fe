"""What a source's other side has, held against the jobs there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from vidd.engine.intake import key_of
from vidd.model.audit import Audit, Finding
from vidd.model.job import ENDED, Entry, State
from vidd.ports import Listed


@dataclass(frozen=True)
class Auditor:
    """A source that can list what its other side has."""

    kind: str
    pipeline: str | None
    ask: Callable[[], Awaitable[Sequence[Listed]]]


def compare_with_jobs(
    source: str, kind: str, pipeline: str | None, listed: Iterable[Listed], entries: Sequence[Entry]
) -> Audit:
    """Hold what is listed against the jobs of its pipelines.

    A job belongs to a thing by its key; and one that somebody else handed in, where it works on the same location.
    """
    by_key = {entry.key: entry for entry in entries}
    others: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.source != source:
            others.setdefault((entry.pipeline, entry.location), []).append(entry)
    audit = Audit(source, kind, pipeline)
    for thing in listed:
        _sort_in(audit, thing, by_key, others)
    return audit


def _sort_in(audit: Audit, thing: Listed, by_key: dict[str, Entry], others: dict[tuple[str, str], list[Entry]]) -> None:
    arrival = thing.arrival
    if arrival is None:
        (audit.waiting if thing.waits else audit.missing).append(Finding(thing.name, why=thing.why))
        return
    where = arrival.pipeline or audit.pipeline or ""
    own = by_key.get(key_of(where, arrival))
    same = [entry for entry in others.get((where, arrival.location), ()) if entry is not own]
    jobs = (*((own,) if own else ()), *same)
    going = [job for job in jobs if job.state not in ENDED]
    if len(going) > 1:
        audit.duplicate.append(Finding(thing.name, tuple(going), "It became more than one job."))
    if not jobs:
        audit.missing.append(Finding(thing.name, why="It is there, and no job was made of it."))
    elif published := [job for job in going if job.state is State.PUBLISHED]:
        audit.processed.append(Finding(thing.name, tuple(published)))
    elif going:
        audit.under_way.append(Finding(thing.name, tuple(going), going[0].reason))
    else:
        audit.refused.append(Finding(thing.name, jobs, jobs[0].reason))
