"""Compares what a source's other side has with the jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from vidd.engine.intake import key_of
from vidd.model.audit import Audit, Finding
from vidd.model.job import ENDED, Entry, State
from vidd.ports import Listed


@dataclass(frozen=True)
class Auditor:
    """A source that can list what its other side has. `pipeline` is the pipeline of its arrivals by default."""

    kind: str
    pipeline: str | None
    ask: Callable[[], Awaitable[Sequence[Listed]]]


def compare_with_jobs(
    source: str, kind: str, pipeline: str | None, listed: Iterable[Listed], entries: Sequence[Entry]
) -> Audit:
    """The audit of a source: each listed item with its jobs.

    A job belongs to an item if it has the item's key, or if another source handed it in and it has the same location.
    """
    by_key = {entry.key: entry for entry in entries}
    others: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.source != source:
            others.setdefault((entry.pipeline, entry.location), []).append(entry)
    audit = Audit(source, kind, pipeline)
    for item in listed:
        _classify(audit, item, by_key, others)
    return audit


def _classify(audit: Audit, item: Listed, by_key: dict[str, Entry], others: dict[tuple[str, str], list[Entry]]) -> None:
    arrival = item.arrival
    if arrival is None:
        (audit.waiting if item.waits else audit.missing).append(Finding(item.name, why=item.why))
        return
    pipeline = arrival.pipeline or audit.pipeline or ""
    own = by_key.get(key_of(pipeline, arrival))
    same = [entry for entry in others.get((pipeline, arrival.location), ()) if entry is not own]
    jobs = (*((own,) if own else ()), *same)
    active = [job for job in jobs if job.state not in ENDED]
    if len(active) > 1:
        audit.duplicate.append(Finding(item.name, tuple(active), "It became more than one job."))
    if not jobs:
        audit.missing.append(Finding(item.name, why="It is there, and no job was made of it."))
    elif published := [job for job in active if job.state is State.PUBLISHED]:
        audit.processed.append(Finding(item.name, tuple(published)))
    elif active:
        audit.under_way.append(Finding(item.name, tuple(active), active[0].reason))
    else:
        audit.refused.append(Finding(item.name, jobs, jobs[0].reason))
