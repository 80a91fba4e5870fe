"""The contexts that the engine passes to sources, steps and publishers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from vidd.errors import FaultCode, Refused
from vidd.model.event import Event
from vidd.model.job import Arrival, Job, State
from vidd.model.media import Artifact, StepRecord
from vidd.model.publication import Publication, Receipt
from vidd.model.talk import Talk
from vidd.ports.tools import Tools


@dataclass(frozen=True, slots=True)
class Listed:
    """One item that a source's other side has now. `arrival` is what `watch` hands in for it.

    Without an arrival, `why` is the reason: the item `waits` for something, or vidd has nothing to do with it.
    """

    name: str
    arrival: Arrival | None = None
    why: str | None = None
    waits: bool = False


class SourceContext(Protocol):
    """Through it a source hands in arrivals and reports how it is."""

    name: str
    tools: Tools
    pipeline: str | None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings that a new job of its pipeline would get; empty if there is no such pipeline."""

    @property
    def lock(self) -> AbstractAsyncContextManager[None]:
        """A lock for what the watcher and the routes of the source must not do at the same time."""

    async def admit(self, arrivals: Sequence[Arrival]) -> int:
        """Record arrivals durably; returns how many were new."""

    async def take(self, arrival: Arrival) -> tuple[Job, bool]:
        """Record one arrival durably; returns its job, and whether the job is new."""

    async def job(self, job_id: str) -> Job | None:
        """The job with this id, in any state; None without one."""

    async def job_of(self, key: str) -> Job | None:
        """The job of this source that was recorded for the arrival with this key, in any state; None without one."""

    async def finished_steps(self, job: Job) -> Sequence[StepRecord]:
        """The records of the job's finished steps, in the order they finished."""

    async def open_jobs(self, *, ended: bool = True) -> Sequence[Job]:
        """The jobs of this source that are not published; without `ended`, none that only a person can continue."""

    async def jobs(self, states: Sequence[State] = ()) -> Sequence[Job]:
        """The jobs of this source in these states, newest first; all of them without states."""

    async def cancel(self, job: Job, reason: str) -> None:
        """Stop a job of this source that is under way or failed; nothing happens to one that is published."""

    async def retract(self, job: Job, *, successor: Job | None = None) -> None:
        """Have what a job of this source published taken back, but for what its published successor replaced in place.

        Nothing happens if nothing of it is published.
        """

    def listen(self, note: Callable[[Event], None]) -> AbstractContextManager[None]:
        """Call `note` with every event of the daemon. `note` must be quick and must not raise."""

    async def dead_letter(self, body: str, reason: str) -> None:
        """Keep a message that the source could not understand, with the reason."""

    async def put_talks(self, talks: Sequence[Talk]) -> None:
        """Hand in a complete reading of the programme."""

    def mark_up(self) -> None:
        """Report that the watcher has its connection."""

    def mark_down(self, reason: str) -> None:
        """Report that the watcher runs, but cannot reach what it watches; `reason` is a sentence."""

    def note(self, sentence: str | None) -> None:
        """Tell people something about a watcher that is well, such as what waits there; None removes the note."""

    def mark_caught_up(self) -> None:
        """Report that the watcher has handed in everything that is there."""

    def wake(self) -> None:
        """Make the source look now, by ending its `pause`."""

    async def pause(self, seconds: float) -> None:
        """Return after this many seconds, or as soon as `wake` is called."""


@dataclass(frozen=True)
class StepContext:
    """The context of a step's run.

    directory: the job's directory, in which the step writes its files.
    artifacts: by role, in the order in which the steps made them.
    facts: what the steps before it left.
    progress: a function of what is done, the total (None: unknown), their unit, and the speed.
    slot: a step that `takes_own_slot` holds it around the part that crowds the machine; for other steps the engine does.
    step: the name of the step in the pipeline.
    """

    job: Job
    directory: Path
    tools: Tools
    talk: Talk | None
    artifacts: Mapping[str, Artifact]
    facts: Mapping[str, Any]
    progress: Callable[[float, float | None, str, float | None], None]
    slot: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    step: str = ""

    def file(self, role: str, *, part: bool = False) -> Path:
        """The path of an artifact's file. Raises Refused if no earlier step made it, or if it is a directory.

        With `part`, a file that holds only the time span of the job's talk will do; otherwise Refused is raised for it.
        """
        if role not in self.artifacts:
            made = ", ".join(self.artifacts) or "nothing"
            raise Refused(
                f"This step works on {role!r}, but the steps before it made {made}: correct the pipeline.",
                code=FaultCode.BAD_SETTINGS,
            )
        if not part:
            _refuse_part(self.artifacts[role])
        _refuse_tree(self.artifacts[role], "step")
        return self.directory / self.artifacts[role].path

    def tree(self, role: str) -> Path:
        """The directory of an artifact that is a tree. Raises Refused if no earlier step made it, or if it is a file."""
        artifact = self.artifacts.get(role)
        if artifact is None or artifact.tree is None:
            made = ", ".join(name for name, other in self.artifacts.items() if other.tree is not None) or "none"
            raise Refused(
                f"This step works on a directory {role!r}; of those the steps before made {made}.",
                code=FaultCode.BAD_SETTINGS,
            )
        return self.directory / artifact.path


@dataclass(frozen=True)
class PublishContext:
    """The context of a publisher's or notice's call.

    facts: what the job's steps left.
    receipts: by name, those of the publishers that ran before, for notices and publishers that run last.
    checkpoint: a function that saves the token a resume needs, before the bytes that the token covers go out.
    sent: a function that saves the token, and that everything went out and only the answer is outstanding.
    replaced: the receipt of the publication that this one replaces, if its job replaces another job.
    gone: by role, the paths of a tree's files that were published before and are no longer in the tree.
    event: what a notice is about: `published`, `retracted` (`receipts` say what was published), or the state of a job that
        failed.
    """

    job: Job
    directory: Path
    tools: Tools
    talk: Talk | None
    artifacts: Mapping[str, Artifact]
    facts: Mapping[str, Any]
    publication: Publication
    receipts: Mapping[str, Receipt]
    progress: Callable[[float, float | None, str, float | None], None]
    checkpoint: Callable[[Mapping[str, Any]], Awaitable[None]]
    sent: Callable[[Mapping[str, Any]], Awaitable[None]]
    replaced: Receipt | None = None
    gone: Mapping[str, Sequence[str]] = field(default_factory=dict)
    event: str = "published"

    def choose(self, roles: Sequence[str], *, trees: bool = False) -> list[Artifact]:
        """The artifacts of these roles; without roles, all that steps made, or else the source.

        Trees are chosen only with `trees`. Raises Refused if a role does not exist, if a named role is a tree and `trees`
        is False, or if an artifact holds only a part of the source.
        """
        if roles:
            missing = [role for role in roles if role not in self.artifacts]
            if missing:
                raise Refused(
                    f"There is no {missing[0]!r} to publish: the steps made {', '.join(self.artifacts)}.",
                    code=FaultCode.BAD_SETTINGS,
                )
            chosen = [self.artifacts[role] for role in roles]
        else:
            usable = {role: artifact for role, artifact in self.artifacts.items() if trees or artifact.tree is None}
            chosen = [artifact for role, artifact in usable.items() if role != "source"] or list(usable.values())
        for artifact in chosen:
            _refuse_part(artifact)
            if not trees:
                _refuse_tree(artifact, "publisher")
        return chosen

    @property
    def link(self) -> str | None:
        """The address of what was published: that of the first receipt that has one."""
        return next((receipt.url for receipt in self.receipts.values() if receipt.url), None)


def _refuse_part(artifact: Artifact) -> None:
    if "window" in artifact.facts:
        raise Refused(
            f"Of the {artifact.role!r} only what the cut needs was fetched, and more is wanted now:"
            " set ranged = false of the fetch step and retry with the present settings (--fresh-settings).",
            code=FaultCode.BAD_SETTINGS,
        )


def _refuse_tree(artifact: Artifact, who: str) -> None:
    if artifact.tree is not None:
        raise Refused(
            f"{artifact.role!r} is a directory of {artifact.tree.files} files, and this {who} works on one file:"
            " name another role.",
            code=FaultCode.BAD_SETTINGS,
        )
