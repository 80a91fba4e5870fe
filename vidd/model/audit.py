"""The result of an audit: what a source's other side has, and which jobs were made of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from vidd.model.job import Entry


@dataclass(frozen=True, slots=True)
class Finding:
    """One item of the other side. `jobs` are the jobs made of it; `why` says why it is in its list of the `Audit`."""

    name: str
    jobs: tuple[Entry, ...] = ()
    why: str | None = None


@dataclass(frozen=True)
class Audit:
    """The audit of one source. Each item is in one of the lists; an item with several jobs is in `duplicate` as well.

    processed: the job is published.
    under_way: the job will be published without a person, or waits for approval.
    refused: the job waits for a person, or was stopped.
    waiting: the item is not complete at the other side yet.
    missing: the item is complete and has no job.
    """

    source: str
    kind: str
    pipeline: str | None
    processed: list[Finding] = field(default_factory=list)
    under_way: list[Finding] = field(default_factory=list)
    refused: list[Finding] = field(default_factory=list)
    waiting: list[Finding] = field(default_factory=list)
    missing: list[Finding] = field(default_factory=list)
    duplicate: list[Finding] = field(default_factory=list)

    @property
    def seen(self) -> int:
        """How many items have a job."""
        return len(self.processed) + len(self.under_way) + len(self.refused)

    @property
    def ok(self) -> bool:
        """Whether every item was processed exactly once."""
        return not (self.under_way or self.refused or self.waiting or self.missing or self.duplicate)
