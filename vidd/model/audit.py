"""What a source's other side has, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from vidd.model.job import Entry


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is there; `jobs` are what it became, `why` says why it is where it is."""

    name: str
    jobs: tuple[Entry, ...] = ()
    why: str | None = None


@dataclass(frozen=True)
class Audit:
    """A source's. Each thing is in one of the lists; one that became several jobs is among the `duplicate` besides.

    `processed` is published, `under_way` will be by itself or waits for approval, `refused` waits for a person or was
    stopped, `waiting` is not whole at the other side yet, `missing` is there and has no job.
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
        """How many have a job."""
        return len(self.processed) + len(self.under_way) + len(self.refused)

    @property
    def ok(self) -> bool:
        """Whether all that is there is processed, once."""
        return not (self.under_way or self.refused or self.waiting or self.missing or self.duplicate)
