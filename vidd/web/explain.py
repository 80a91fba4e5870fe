"""Explains what a job waits for: why, since when, when vidd will retry, and what a person can do. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vidd.model.event import Progressed
from vidd.model.job import MEANING, MOVES, Job, State
from vidd.model.publication import PUBLICATION_MEANING, Publication, PublicationState, failure_notices

if TYPE_CHECKING:
    from vidd.model.talk import Programme
    from vidd.web.control_port import Watcher

_MOST_STUCK = (
    PublicationState.UNSURE,
    PublicationState.REFUSED,
    PublicationState.WAITING,
    PublicationState.SENT,
    PublicationState.STARTED,
    PublicationState.PENDING,
)

_WAITING_FOR = {
    PublicationState.PENDING: "{what} to begin",
    PublicationState.STARTED: "{what} to end",
    PublicationState.SENT: "the other side's answer to {what}",
}


def _clock(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a job waits for; `waiting_for` is None for nothing. `unblock`: what a person can do, the best first."""

    waiting_for: str | None
    because: str
    since: datetime
    next_try: datetime | None = None
    unblock: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        parts = [
            f"Waiting for {self.waiting_for}" if self.waiting_for else "Nothing to wait for",
            f"Reason: {self.because.rstrip('.')}",
            f"Since: {_clock(self.since)}",
        ]
        if self.next_try:
            parts.append(f"Next try: {_clock(self.next_try)}")
        if self.unblock:
            parts.append(f"What can be done: {'; or '.join(self.unblock)}")
        return f"{'. '.join(parts)}."


@dataclass(frozen=True, slots=True)
class _Case:
    """A job and what is known of it."""

    job: Job
    publications: Sequence[Publication]
    watchers: Mapping[str, Watcher]
    paused: bool
    now: datetime
    programme: Programme | None
    progress: Sequence[Progressed]

    @property
    def retry(self) -> str:
        return f"vidd retry {self.job.id}"

    @property
    def cancel(self) -> str:
        return f"vidd cancel {self.job.id}"

    def reason(self) -> str:
        return self.job.reason or MEANING[self.job.state]

    def answer(self, waiting_for: str | None, because: str, *unblock: str, **more: datetime | None) -> Explanation:
        since, next_try = more.get("since") or self.job.changed, more.get("next_try")
        return Explanation(waiting_for, because, since, next_try, unblock)


def _resume(case: _Case) -> Explanation:
    because = "the daemon is paused: what runs goes on, nothing new starts"
    return case.answer("somebody to resume the daemon", because, "vidd resume")


def _seen(case: _Case) -> Explanation:
    if case.paused:
        return _resume(case)
    down = case.watchers.get(str(case.job.settings.get("programme")))
    if down is not None and not down.up:
        because = f"the programme's source {down.name} is down: {down.reason or 'no reason is known'}"
        return case.answer("its talk to be looked up", because, f"make what {down.name} reads reachable", case.cancel)
    if case.programme:
        because = f"it has just arrived; the programme {case.programme.name} was read at {_clock(case.programme.read)}"
        return case.answer("its talk to be looked up", because, case.cancel)
    return case.answer("its talk to be looked up", "it has just arrived", case.cancel)


def _ready(case: _Case) -> Explanation:
    if case.paused:
        return _resume(case)
    because = "other jobs are running or are more urgent; vidd starts it when a slot is free"
    return case.answer("a free slot", because, case.cancel)


def _working(case: _Case) -> Explanation:
    if not case.progress:
        return case.answer("its steps to end", "they are running", case.cancel)
    newest = case.progress[-1]
    far = f"at {newest.fraction:.0%}" if newest.fraction is not None else "running"
    return case.answer("its steps to end", f"{newest.part} is {far}", case.cancel)


def _held(case: _Case) -> Explanation:
    because = case.job.reason or "its steps are done and the pipeline asks for a review before anything goes out"
    reject = f"vidd reject {case.job.id} --reason WHY"
    return case.answer("a person's approval", because, f"vidd approve {case.job.id}", reject)


def _explain_publication(case: _Case, publication: Publication) -> Explanation:
    what = f"the notice {publication.name}" if publication.notice else f"the publisher {publication.name}"
    because = f"{publication.name} ({publication.kind}): {publication.reason or PUBLICATION_MEANING[publication.state]}"
    since = publication.changed
    # A published job cannot be cancelled any more.
    cancel = (case.cancel,) if State.CANCELLED in MOVES[case.job.state] else ()
    retry = case.retry
    match publication.state:
        case PublicationState.UNSURE:
            resolve = f"vidd resolve {case.job.id}"
            then = f"look at the other side of {publication.name}; if it is there, {resolve} --published URL; if not, {resolve} --again"
            waits = f"a person to look whether {publication.name} arrived"
            return case.answer(waits, because, then, f"{retry} asks the other side once more", *cancel, since=since)
        case PublicationState.REFUSED:
            fresh = f"after a change of the settings, {retry} --fresh-settings"
            return case.answer(what, because, f"correct what it says, then {retry}", fresh, *cancel, since=since)
        case PublicationState.WAITING:
            if case.paused:
                return _resume(case)
            return case.answer(what, because, f"{retry} tries now", *cancel, since=since, next_try=publication.until)
        case _:
            waiting_for = _WAITING_FOR[publication.state].format(what=what)
            return case.answer(waiting_for, because, *cancel, since=since)


_FINISHED = frozenset({PublicationState.DONE, PublicationState.RETRACTED})


def _most_stuck(publications: Sequence[Publication]) -> Publication | None:
    unfinished = [publication for publication in publications if publication.state not in _FINISHED]
    return min(unfinished, key=lambda publication: _MOST_STUCK.index(publication.state), default=None)


def _notices(case: _Case) -> list[Publication]:
    """The notices that the job waits for; it does not wait for notices of failures."""
    failures = failure_notices(case.job.settings)
    return [publication for publication in case.publications if publication.notice and publication.name not in failures]


def _publishing(case: _Case) -> Explanation:
    effects = [publication for publication in case.publications if not publication.notice]
    stuck = _most_stuck(effects) or _most_stuck(_notices(case))
    if stuck:
        return _explain_publication(case, stuck)
    return case.answer("its last state to be saved", "every publisher has a receipt")


def _published(case: _Case) -> Explanation:
    stuck = _most_stuck(_notices(case))
    if stuck:
        return _explain_publication(case, stuck)
    stale = next(
        (
            publication
            for publication in case.publications
            if publication.state is PublicationState.DONE and publication.reason
        ),
        None,
    )
    if stale:
        because = f"{stale.name} ({stale.kind}) is published, but not as its row says: {stale.reason}"
        return case.answer(f"a change of {stale.name}", because, f"correct what it says, then {case.retry}")
    return case.answer(None, "it is published and all its notices went out")


def _waiting(case: _Case) -> Explanation:
    if case.paused:
        return _resume(case)
    until = case.job.until
    if until and until > case.now:
        return case.answer("its time", case.reason(), f"{case.retry} tries now", case.cancel, next_try=until)
    because = f"{case.reason().rstrip('.')}; its time has come"
    return case.answer("the daemon to take it up", because, f"{case.retry} tries now", case.cancel, next_try=until)


def _refused(case: _Case) -> Explanation:
    again = f"correct it, then {case.retry}"
    fresh = f"after a change of the settings, {case.retry} --fresh-settings"
    return case.answer("a person to correct the input or the settings", case.reason(), again, fresh, case.cancel)


def _unsure(case: _Case) -> Explanation:
    failures = failure_notices(case.job.settings)
    lost = next(
        (
            publication
            for publication in case.publications
            if publication.state is PublicationState.UNSURE and publication.name not in failures
        ),
        None,
    )
    if lost:
        return _explain_publication(case, lost)
    action = f"look at the other side; then vidd resolve {case.job.id} --published URL, or --again"
    return case.answer("a person to look whether it arrived", case.reason(), action)


def _excluded(case: _Case) -> Explanation:
    read = f" (read at {_clock(case.programme.read)})" if case.programme else ""
    because = f"{case.reason().rstrip('.')}{read}"
    return case.answer(
        "the programme to include its talk", because, f"clear its flag in the programme, then {case.retry}"
    )


def _cancelled(case: _Case) -> Explanation:
    return case.answer(None, case.reason(), f"{case.retry} starts it again")


_BY_STATE = {
    State.SEEN: _seen,
    State.READY: _ready,
    State.WORKING: _working,
    State.HELD: _held,
    State.PUBLISHING: _publishing,
    State.PUBLISHED: _published,
    State.WAITING: _waiting,
    State.REFUSED: _refused,
    State.UNSURE: _unsure,
    State.EXCLUDED: _excluded,
    State.CANCELLED: _cancelled,
}


def explain(
    job: Job,
    *,
    now: datetime,
    publications: Sequence[Publication] = (),
    watchers: Mapping[str, Watcher] | None = None,
    paused: bool = False,
    programme: Programme | None = None,
    progress: Sequence[Progressed] = (),
) -> Explanation:
    """What `job` waits for. `programme` is that of its pipeline, `progress` that of its running parts."""
    case = _Case(job, publications, watchers or {}, paused, now, programme, progress)
    return _BY_STATE[job.state](case)
