"""What a job waits for, why, since when, when it is tried again, and what a person can do: one pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vidd.model.event import Progressed
from vidd.model.job import MEANING, MOVES, Job, State
from vidd.model.publication import SENDING_MEANING, Publication, PublicationState, failure_notices

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

_GOING = {
    PublicationState.PENDING: "{what} to begin",
    PublicationState.STARTED: "{what} to end",
    PublicationState.SENT: "the other side's answer to {what}",
}

_OPENING = frozenset(
    ["A", "An", "At", "In", "It", "Its", "No", "Nobody", "Nothing", "Of", "On", "Something", "The", "There", "This"]
)


def _clock(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _within(sentence: str) -> str:
    """A sentence as it goes on after "because": names keep their capital, the words that open a sentence do not."""
    first, space, rest = sentence.partition(" ")
    return f"{first.lower()}{space}{rest}" if first in _OPENING else sentence


@dataclass(frozen=True, slots=True)
class Explanation:
    """`waiting_for` is None when the job is done with. `unblock` names what a person can do, the best first."""

    waiting_for: str | None
    because: str
    since: datetime
    next_try: datetime | None = None
    unblock: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        because = _within(self.because.rstrip("."))
        head = (
            f"Waiting for {self.waiting_for} because {because}"
            if self.waiting_for
            else f"Nothing to wait for: {because}"
        )
        text = f"{head}, since {_clock(self.since)}"
        if self.next_try:
            text += f"; next try {_clock(self.next_try)}"
        if self.unblock:
            text += f"; what can be done: {'; or '.join(self.unblock)}"
        return f"{text}."


@dataclass(frozen=True, slots=True)
class _Case:
    """All that is known of a job."""

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
    down = next((watcher for watcher in case.watchers.values() if watcher.kind == "sheet" and not watcher.up), None)
    if down:
        because = f"the programme's source {down.name} is down: {down.reason or 'no reason is known'}"
        return case.answer("its talk to be looked up", because, f"make what {down.name} reads reachable", case.cancel)
    if case.programme:
        because = f"it has just arrived; the programme {case.programme.name} was read at {_clock(case.programme.read)}"
        return case.answer("its talk to be looked up", because, case.cancel)
    return case.answer("its talk to be looked up", "it has just arrived", case.cancel)


def _ready(case: _Case) -> Explanation:
    if case.paused:
        return _resume(case)
    because = "other jobs are running or are more urgent; it starts by itself when a place is free"
    return case.answer("a free place", because, case.cancel)


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


def _sending(case: _Case, one: Publication) -> Explanation:
    what = f"the notice {one.name}" if one.notice else f"the publisher {one.name}"
    because = f"{one.name} ({one.kind}): {one.reason or SENDING_MEANING[one.state]}"
    since = one.changed
    # A published job cannot be cancelled any more.
    cancel = (case.cancel,) if State.CANCELLED in MOVES[case.job.state] else ()
    retry = case.retry
    match one.state:
        case PublicationState.UNSURE:
            resolve = f"vidd resolve {case.job.id}"
            then = f"look at the other side of {one.name}; if it is there, {resolve} --published URL; if not, {resolve} --again"
            waits = f"a person to look whether {one.name} arrived"
            return case.answer(waits, because, then, f"{retry} asks the other side once more", *cancel, since=since)
        case PublicationState.REFUSED:
            fresh = f"after a change of the settings, {retry} --fresh-settings"
            return case.answer(what, because, f"correct what it says, then {retry}", fresh, *cancel, since=since)
        case PublicationState.WAITING:
            if case.paused:
                return _resume(case)
            return case.answer(what, because, f"{retry} tries now", *cancel, since=since, next_try=one.until)
        case _:
            going = _GOING[one.state].format(what=what)
            return case.answer(going, because, *cancel, since=since)


_SETTLED = frozenset({PublicationState.DONE, PublicationState.RETRACTED})


def _most_stuck(publications: Sequence[Publication]) -> Publication | None:
    open_ones = [publication for publication in publications if publication.state not in _SETTLED]
    return min(open_ones, key=lambda publication: _MOST_STUCK.index(publication.state), default=None)


def _notices(case: _Case) -> list[Publication]:
    """Those that the job waits for: what tells of a failure goes its own way."""
    told = failure_notices(case.job.settings)
    return [publication for publication in case.publications if publication.notice and publication.name not in told]


def _publishing(case: _Case) -> Explanation:
    effects = [publication for publication in case.publications if not publication.notice]
    stuck = _most_stuck(effects) or _most_stuck(_notices(case))
    if stuck:
        return _sending(case, stuck)
    return case.answer("its last state to be saved", "every publisher has a receipt")


def _published(case: _Case) -> Explanation:
    stuck = _most_stuck(_notices(case))
    if stuck:
        return _sending(case, stuck)
    stale = next(
        (
            publication
            for publication in case.publications
            if publication.state is PublicationState.DONE and publication.reason
        ),
        None,
    )
    if stale:
        because = f"{stale.name} ({stale.kind}) is out, but not as its row says: {stale.reason}"
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
    told = failure_notices(case.job.settings)
    lost = next(
        (
            publication
            for publication in case.publications
            if publication.state is PublicationState.UNSURE and publication.name not in told
        ),
        None,
    )
    if lost:
        return _sending(case, lost)
    look = f"look at the other side; then vidd resolve {case.job.id} --published URL, or --again"
    return case.answer("a person to look whether it arrived", case.reason(), look)


def _excluded(case: _Case) -> Explanation:
    read = f" (read at {_clock(case.programme.read)})" if case.programme else ""
    because = f"{case.reason().rstrip('.')}{read}"
    return case.answer("the programme to include its talk", because, f"clear the row's flag, then {case.retry}")


def _cancelled(case: _Case) -> Explanation:
    return case.answer(None, case.reason(), f"{case.retry} takes it up again")


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
    """What `job` waits for. `programme` is its pipeline's, `progress` what the daemon knows of its running parts."""
    case = _Case(job, publications, watchers or {}, paused, now, programme, progress)
    return _BY_STATE[job.state](case)
