"""Explains a job in one chain: what it waits for, why, since when, until when, what happens then, what a person can do. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vidd.model.event import Progressed
from vidd.model.job import MEANING, MOVES, Job, State
from vidd.model.publication import PUBLICATION_MEANING, Publication, PublicationState, failure_notices
from vidd.model.standing import SlotWait, Standing
from vidd.model.talk import names_in_words

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
    """What a job waits for; `waiting_for` is None for nothing.

    eta: when it will be published, by the speed of earlier jobs.
    then: what follows the wait, as a clause.
    unblock: what a person can do, the best first.
    """

    waiting_for: str | None
    because: str
    since: datetime
    next_try: datetime | None = None
    unblock: tuple[str, ...] = ()
    then: str | None = None
    eta: datetime | None = None

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
        if self.then:
            parts.append(f"Then: {self.then}")
        if self.eta:
            parts.append(f"Expected to be done: {_clock(self.eta)}")
        if self.unblock:
            parts.append(f"What can be done: {'; or '.join(self.unblock)}")
        return f"{'. '.join(parts)}."


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known around a job.

    programme: that of its pipeline.
    progress: that of its running parts.
    steps: the names of its finished steps.
    retracting: whether its publications are being taken back.
    eta: when it will be published.
    """

    watchers: Mapping[str, Watcher] = field(default_factory=dict)
    paused: bool = False
    programme: Programme | None = None
    progress: Sequence[Progressed] = ()
    standing: Standing = field(default_factory=Standing)
    steps: Collection[str] = ()
    retracting: bool = False
    eta: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    """A job and what is known of it."""

    job: Job
    publications: Sequence[Publication]
    around: Surroundings
    now: datetime

    @property
    def retry(self) -> str:
        return f"vidd retry {self.job.id}"

    @property
    def cancel(self) -> str:
        return f"vidd cancel {self.job.id}"

    def reason(self) -> str:
        return self.job.reason or MEANING[self.job.state]

    def names(self, part: str) -> list[str]:
        """The names of the steps, publishers or notices in the job's settings, without notices of failures."""
        rows = self.job.settings.get(part, ())
        failures = failure_notices(self.job.settings) if part == "notify" else set()
        return [row["name"] for row in rows if row["name"] not in failures]

    def left(self, part: str) -> list[str]:
        """Those of them that are still to come."""
        done = {publication.name for publication in self.publications if publication.state in _RESTING}
        return [name for name in self.names(part) if name not in (self.around.steps if part == "steps" else done)]

    def answer(self, waiting_for: str | None, because: str, *unblock: str, **more: Any) -> Explanation:
        since, next_try = more.get("since") or self.job.changed, more.get("next_try")
        return Explanation(waiting_for, because, since, next_try, unblock, more.get("then"), more.get("eta"))


_RESTING = frozenset(
    {PublicationState.DONE, PublicationState.REFUSED, PublicationState.UNSURE, PublicationState.RETRACTED}
)


def _course(case: _Case, *, without: Collection[str] = (), approved: bool = False) -> str | None:
    """What is still to come, in its order; `without` are the parts that run now."""
    if case.around.retracting:
        return "each publisher takes back what it published, and the job is cancelled"
    steps, publishers, notices = (
        [name for name in case.left(part) if name not in without] for part in ("steps", "publish", "notify")
    )
    clauses = [f"{_verb(steps, 'runs', 'run')}"] if steps else []
    if case.job.settings.get("review") and not approved:
        clauses.append("a person must approve it")
    if publishers:
        clauses.append(_verb(publishers, "publishes it", "publish it"))
    if notices:
        clauses.append(_verb(notices, "tells people", "tell people"))
    return ", then ".join(clauses) or None


def _verb(names: Sequence[str], one: str, many: str) -> str:
    return f"{names_in_words(names)} {one if len(names) == 1 else many}"


def _resume(case: _Case, **more: Any) -> Explanation:
    because = "the daemon is paused: what runs goes on, nothing new starts"
    return case.answer("somebody to resume the daemon", because, "vidd resume", then=_course(case), **more)


def _seen(case: _Case) -> Explanation:
    down = case.around.watchers.get(str(case.job.settings.get("programme")))
    if case.around.paused or down is None or down.up:
        return _ready(case)
    # It would start, find no talk, and wait for the programme.
    because = f"the programme's source {down.name} is down: {down.reason or 'no reason is known'}"
    unblock = f"make what {down.name} reads reachable"
    return case.answer("its talk to be looked up", because, unblock, case.cancel, then=_course(case))


def _ready(case: _Case) -> Explanation:
    standing, then = case.around.standing, _course(case)
    if case.around.paused:
        return _resume(case)
    if standing.stopping:
        return case.answer("the daemon to start again", "the daemon is stopping, so that nothing new starts", then=then)
    again = f" ({case.job.reason.rstrip('.')})" if case.job.reason else ""
    if standing.put_aside is not None:
        because = (
            f"jobs with a priority below 0, such as this one, make room for others: {standing.put_aside} of them run at"
            f" once ([limits] background){again}"
        )
        return case.answer("another job of low priority to end", because, case.cancel, then=then, eta=case.around.eta)
    because = f"{_queue_in_words(standing)}{again}"
    return case.answer("a free slot", because, case.cancel, then=then, eta=case.around.eta)


def _queue_in_words(standing: Standing) -> str:
    if standing.ahead is None or standing.running < standing.most:
        return "it is about to start: vidd takes up one job after the other"
    before = "it is the next one"
    if standing.ahead:
        before = f"{standing.ahead} {'job starts' if standing.ahead == 1 else 'jobs start'} before it"
    return f"{standing.running} jobs run, as many as may ([limits] jobs = {standing.most}), and {before}"


def _slot_in_words(slot: SlotWait) -> str:
    before = "it is the next one" if slot.before == 0 else f"{slot.before} more wait before it"
    return f"all slots for {slot.limit} are taken ([limits] {slot.limit} = {slot.size}), and {before}"


def _working(case: _Case) -> Explanation:
    standing = case.around.standing
    then, eta = _course(case, without=standing.parts), case.around.eta
    if standing.slot is not None:
        part = standing.parts[-1] if standing.parts else next(iter(case.left("steps")), None)
        what = f"a slot for its step {part}" if part else "a slot for its next step"
        return case.answer(what, _slot_in_words(standing.slot), case.cancel, then=_course(case), eta=eta)
    if not standing.parts:
        because = f"its steps run{f' ({case.job.reason.rstrip(chr(46))})' if case.job.reason else ''}"
        return case.answer("its steps to end", because, case.cancel, then=then, eta=eta)
    part = standing.parts[-1]
    return case.answer(f"its step {part} to end", _progress_in_words(case, part), case.cancel, then=then, eta=eta)


def _progress_in_words(case: _Case, part: str) -> str:
    newest = next((progress for progress in case.around.progress if progress.part == part), None)
    if newest is None or newest.fraction is None:
        return f"{part} runs"
    speed = ""
    if newest.speed:
        speed = f", {newest.speed:.1f} times as fast as it plays" if newest.unit == "s" else ""
        speed = f", {newest.speed / 1e6:.1f} MB/s" if newest.unit == "bytes" else speed
    return f"{part} is at {newest.fraction:.0%}{speed}"


def _held(case: _Case) -> Explanation:
    because = case.job.reason or "its steps are done and the pipeline asks for a review before anything goes out"
    reject = f"vidd reject {case.job.id} --reason WHY"
    then = _course(case, approved=True)
    return case.answer("a person's approval", because, f"vidd approve {case.job.id}", reject, then=then)


def _explain_publication(case: _Case, publication: Publication) -> Explanation:
    what = f"the notice {publication.name}" if publication.notice else f"the publisher {publication.name}"
    because = f"{publication.name} ({publication.kind}): {publication.reason or PUBLICATION_MEANING[publication.state]}"
    # A published job cannot be cancelled any more, and a job that runs cannot be retried.
    cancel = (case.cancel,) if State.CANCELLED in MOVES[case.job.state] else ()
    ways = () if case.job.state is State.PUBLISHING else _ways_out(case, publication)
    more = {"since": publication.changed, "then": _course(case, without={publication.name}, approved=True)}
    match publication.state:
        case PublicationState.UNSURE:
            waits = f"a person to look whether {publication.name} arrived"
            return case.answer(waits, because, *ways, *cancel, **more)
        case PublicationState.REFUSED:
            return case.answer(what, because, *ways, *cancel, **more)
        case PublicationState.WAITING:
            return case.answer(what, because, *ways, *cancel, **more, next_try=publication.until)
        case _:
            waiting_for = _WAITING_FOR[publication.state].format(what=what)
            return case.answer(waiting_for, because, *cancel, **more, eta=case.around.eta)


def _ways_out(case: _Case, publication: Publication) -> tuple[str, ...]:
    """What a person can do about a publication that failed."""
    match publication.state:
        case PublicationState.UNSURE:
            resolve = f"vidd resolve {case.job.id}"
            look = f"look at the other side of {publication.name}; if it is there, {resolve} --published URL; if not, {resolve} --again"
            return look, f"{case.retry} asks the other side once more"
        case PublicationState.REFUSED:
            fresh = f"after a change of the settings, {case.retry} --fresh-settings"
            return f"correct what it says, then {case.retry}", fresh
        case PublicationState.WAITING:
            return (f"{case.retry} tries now",)
        case _:
            return ()


_FINISHED = frozenset({PublicationState.DONE, PublicationState.RETRACTED})
_GOING_OUT = frozenset({PublicationState.STARTED, PublicationState.SENT})


def _most_stuck(publications: Sequence[Publication]) -> Publication | None:
    unfinished = [publication for publication in publications if publication.state not in _FINISHED]
    return min(unfinished, key=lambda publication: _MOST_STUCK.index(publication.state), default=None)


def _own(case: _Case) -> list[Publication]:
    """The publications that the job waits for; it does not wait for notices of failures."""
    failures = failure_notices(case.job.settings)
    return [publication for publication in case.publications if publication.name not in failures]


def _publishing(case: _Case) -> Explanation:
    if case.around.retracting:
        because = case.job.reason or "a person asked for it"
        return case.answer("its retraction to end", because, then="the job is cancelled")
    standing, own = case.around.standing, _own(case)
    going = [publication for publication in own if publication.state in _GOING_OUT]
    if not going and standing.slot is not None:
        waiting = next((publication.name for publication in own if publication.state is PublicationState.PENDING), None)
        what = f"a slot for {waiting}" if waiting else "a slot for its next publisher"
        return case.answer(
            what, _slot_in_words(standing.slot), case.cancel, then=_course(case, approved=True), eta=case.around.eta
        )
    effects = [publication for publication in own if not publication.notice]
    stuck = _most_stuck(going) or _most_stuck(effects) or _most_stuck(own)
    if stuck is None:
        return case.answer("its last state to be saved", "every publisher has a receipt")
    explanation = _explain_publication(case, stuck)
    if stuck in going and any(progress.part == stuck.name for progress in case.around.progress):
        return replace(explanation, because=_progress_in_words(case, stuck.name))
    return explanation


def _published(case: _Case) -> Explanation:
    stuck = _most_stuck(_own(case))
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
    return case.answer(None, case.job.reason or "it is published and all its notices went out")


def _waiting(case: _Case) -> Explanation:
    until, then, reason = case.job.until, _course(case), case.reason().rstrip(".")
    if case.around.paused:
        return _resume(case, next_try=until)
    if case.around.standing.stopping:
        because = f"{reason}; the daemon is stopping, so that nothing new starts"
        return case.answer("the daemon to start again", because, next_try=until, then=then)
    more = {"next_try": until, "then": then, "eta": case.around.eta}
    down = case.around.watchers.get(str(case.job.settings.get("programme")))
    if down is not None and not down.up and not case.around.steps and not case.publications:
        because = f"{reason}; the programme's source {down.name} is down: {down.reason or 'no reason is known'}"
        return case.answer("its time", because, f"make what {down.name} reads reachable", case.cancel, **more)
    if until and until > case.now:
        return case.answer("its time", case.reason(), f"{case.retry} tries now", case.cancel, **more)
    because = f"{reason}; its time has come"
    return case.answer("the daemon to take it up", because, f"{case.retry} tries now", case.cancel, **more)


def _refused(case: _Case) -> Explanation:
    again = f"correct it, then {case.retry}"
    fresh = f"after a change of the settings, {case.retry} --fresh-settings"
    waits = "a person to correct the input or the settings"
    return case.answer(waits, case.reason(), again, fresh, case.cancel, then=_course(case))


def _unsure(case: _Case) -> Explanation:
    lost = next((publication for publication in _own(case) if publication.state is PublicationState.UNSURE), None)
    if lost:
        return _explain_publication(case, lost)
    action = f"look at the other side; then vidd resolve {case.job.id} --published URL, or --again"
    return case.answer("a person to look whether it arrived", case.reason(), action, then=_course(case, approved=True))


def _excluded(case: _Case) -> Explanation:
    programme = case.around.programme
    read = f" (read at {_clock(programme.read)})" if programme else ""
    because = f"{case.reason().rstrip('.')}{read}"
    clear = f"clear its flag in the programme, then {case.retry}"
    return case.answer("the programme to include its talk", because, clear, then=_course(case))


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
    job: Job, *, now: datetime, publications: Sequence[Publication] = (), around: Surroundings | None = None
) -> Explanation:
    """What `job` waits for, and what follows."""
    return _BY_STATE[job.state](_Case(job, publications, around or Surroundings(), now))
