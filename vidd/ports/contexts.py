"""What sources, steps and publishers are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from vidd.errors import Refused
from vidd.model.event import Event
from vidd.model.job import Arrival, Job
from vidd.model.media import Artifact
from vidd.model.publication import Publication, Receipt
from vidd.model.talk import Talk
from vidd.ports.tools import Tools


@dataclass(frozen=True, slots=True)
class Listed:
    """One thing that a source's other side has now. `arrival` is what `watch` hands in for it.

    Without one, `why` says why there is none: because it `waits` for something, or because it is nothing to work on.
    """

    name: str
    arrival: Arrival | None = None
    why: str | None = None
    waits: bool = False


class SourceContext(Protocol):
    """Where a source hands in what it saw."""

    name: str
    tools: Tools
    pipeline: str | None

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a job for its pipeline would get now; empty where there is no such pipeline."""

    @property
    def lock(self) -> AbstractAsyncContextManager[None]:
        """Held around what the watcher and the routes of the source must not do at the same time."""

    async def admit(self, arrivals: Sequence[Arrival]) -> int:
        """Record arrivals; returns, once they are durable, how many were new."""

    async def take(self, arrival: Arrival) -> tuple[Job, bool]:
        """Record one arrival; its job, and whether it is new."""

    async def job(self, job_id: str) -> Job | None:
        """A job, whatever became of it; None where there is none of this id."""

    async def open_jobs(self, *, ended: bool = True) -> Sequence[Job]:
        """The jobs of this source that are not published; unless `ended`, only those that something becomes of by itself."""

    def listen(self, note: Callable[[Event], None]) -> AbstractContextManager[None]:
        """Have `note` told of every event of the daemon; it must be quick and must not raise."""

    async def dead_letter(self, body: str, reason: str) -> None:
        """Put aside what could not be understood."""

    async def put_talks(self, talks: Sequence[Talk]) -> None:
        """Hand in one whole reading of the programme."""

    def up(self) -> None:
        """The watcher's connection stands."""

    def down(self, reason: str) -> None:
        """The watcher goes on, but what it watches cannot be reached."""

    def note(self, sentence: str | None) -> None:
        """What a person may want to know of a watcher that is well, such as what waits there; None: nothing."""

    def caught_up(self) -> None:
        """A whole look found nothing that has not been handed in."""

    def wake(self) -> None:
        """Have this source look now."""

    async def pause(self, seconds: float) -> None:
        """Return after so many seconds, or at once when somebody asks this source to look now."""


@dataclass(frozen=True)
class StepContext:
    """What a step is given. `artifacts` are by role, in the order they were made; `step` is its name in the pipeline.

    A step that `takes_own_slot` holds `slot()` around the part that crowds the machine; for any other step the engine
    holds it. `progress` takes what is done, the total (None: not known), their unit and the speed.
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
        """The path of an artifact; Refused where no step before made it.

        `part` says that the job's times are all that is needed of it, so that what holds no more will do.
        """
        if role not in self.artifacts:
            made = ", ".join(self.artifacts) or "nothing"
            raise Refused(f"This step works on {role!r}, but the steps before it made {made}: correct the pipeline.")
        if not part:
            _refuse_part(self.artifacts[role])
        _refuse_tree(self.artifacts[role], "step")
        return self.directory / self.artifacts[role].path

    def tree(self, role: str) -> Path:
        """The directory of an artifact that is a tree; Refused where no step before made it, or it is a file."""
        artifact = self.artifacts.get(role)
        if artifact is None or artifact.tree is None:
            made = ", ".join(name for name, other in self.artifacts.items() if other.tree is not None) or "none"
            raise Refused(f"This step works on a directory {role!r}; of those the steps before made {made}.")
        return self.directory / artifact.path


@dataclass(frozen=True)
class PublishContext:
    """What a publisher is given. `facts` are the steps'; `receipts` are those of the publishers before a notice.

    `replaced` is the receipt of the publication that this one takes the place of, where its job replaces another. `gone`
    are, by role, the places of files of a tree that were put out before and are in it no more.
    `event` is what a notice tells of: `published`, `retracted` (`receipts` say what there was), or the state of a job that failed.
    `checkpoint(token)` saves what a resume needs before the bytes it speaks of go out; `sent(token)` says that
    everything went out and only the answer is outstanding.
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
        """The artifacts of these roles; with none named, all that steps made, or else the source.

        Only who says that `trees` are welcome is given any: to all others a tree that is named is a mistake, and one
        that is not named is none of what the steps made.
        """
        if roles:
            missing = [role for role in roles if role not in self.artifacts]
            if missing:
                raise Refused(f"There is no {missing[0]!r} to publish: the steps made {', '.join(self.artifacts)}.")
            chosen = [self.artifacts[role] for role in roles]
        else:
            welcome = {role: artifact for role, artifact in self.artifacts.items() if trees or artifact.tree is None}
            chosen = [artifact for role, artifact in welcome.items() if role != "source"] or list(welcome.values())
        for artifact in chosen:
            _refuse_part(artifact)
            if not trees:
                _refuse_tree(artifact, "publisher")
        return chosen

    @property
    def link(self) -> str | None:
        """Where the published thing can be seen: the first receipt's address."""
        return next((receipt.url for receipt in self.receipts.values() if receipt.url), None)


def _refuse_part(artifact: Artifact) -> None:
    if "window" in artifact.facts:
        raise Refused(
            f"Of the {artifact.role!r} only what the cut needs was fetched, and more is wanted now:"
            " set ranged = false of the fetch step and retry with the present settings (--fresh-settings)."
        )


def _refuse_tree(artifact: Artifact, who: str) -> None:
    if artifact.tree is not None:
        raise Refused(
            f"{artifact.role!r} is a directory of {artifact.tree.files} files, and this {who} works on one file:"
            " name another role."
        )
