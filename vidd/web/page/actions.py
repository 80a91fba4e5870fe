"""What a person can do with a job: the fields that it asks for, the sentence of what will happen, and how it is done.

Every action calls what `/api/…` calls.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from vidd.model.job import State
from vidd.model.publication import Publication, PublicationState
from vidd.model.talk import names_in_words
from vidd.web.problem import Problem
from vidd.web.request_models import PriorityRequest, RejectRequest, ResolveRequest, ReworkRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from vidd.model.job import Job
    from vidd.web.control_port import ControlApi
    from vidd.web.request_models import Body

_UNDECIDED = frozenset({PublicationState.UNSURE, PublicationState.REFUSED})


@dataclass(frozen=True, slots=True)
class Case:
    """A job of which somebody wants something, and what the form says. `form` has the last value of every field."""

    control: ControlApi
    job: Job
    publications: Sequence[Publication]
    form: Mapping[str, str]
    names: Sequence[str] = ()
    """The values of the field `name`, which may come more than once."""

    def published(self) -> list[str]:
        """The names of publishers that have a receipt."""
        return [
            publication.name
            for publication in self.publications
            if not publication.notice and publication.state is PublicationState.DONE
        ]

    def notices(self) -> list[str]:
        """The names of the notices that went out."""
        return [
            publication.name
            for publication in self.publications
            if publication.notice and publication.state is PublicationState.DONE
        ]

    def undecided(self) -> list[Publication]:
        """The publications of which a person can say what became of them."""
        return [publication for publication in self.publications if publication.state in _UNDECIDED]

    def read(self, model: type[Body], **fields: Any) -> Any:
        """The fields as a request of the API. Raises Problem 422 with what is wrong with them."""
        try:
            return model(**fields)
        except ValidationError as error:
            found = error.errors()[0]
            place = str(found["loc"][0]) if found["loc"] else "The form"
            raise Problem(422, f"{place}: {found['msg'].removeprefix('Value error, ')}.") from None


@dataclass(frozen=True, slots=True)
class Action:
    """An action. `will`: what will happen, in a sentence. `done`: what was done, behind the job's title.

    danger: it cannot be taken back. many: several jobs at once may have it.
    """

    label: str
    will: Callable[[Case], str]
    run: Callable[[Case], Awaitable[Job]]
    done: str
    danger: bool = False
    many: bool = False


def _retry_will(case: Case) -> str:
    if case.job.state is State.PUBLISHED:
        return "vidd sends again what did not go out; what is published stays as it is."
    if case.job.state is State.UNSURE:
        return "vidd asks the other side once more whether it arrived, and sends again only what is provably not there."
    if case.job.state is State.CANCELLED:
        return "vidd queues the job again and begins with its first step."
    return "vidd queues the job again and goes on behind the last step that it finished."


async def _retry(case: Case) -> Job:
    fresh, replace = case.form.get("fresh_settings") == "on", case.form.get("replace") == "on"
    return await case.control.retry(case.job.id, fresh_settings=fresh, replace=replace)


def _cancel_will(case: Case) -> str:
    stays = f" What {names_in_words(case.published())} published stays there." if case.published() else ""
    return f"vidd ends what runs for this job and removes its files; nothing more goes out.{stays}"


def _approve_will(case: Case) -> str:
    publishers = names_in_words([row["name"] for row in case.job.settings.get("publish", ())])
    notices = [row["name"] for row in case.job.settings.get("notify", ()) if row["options"].get("on") != "failed"]
    told = f", and then {names_in_words(notices)} {'tell' if len(notices) > 1 else 'tells'} people" if notices else ""
    return f"vidd publishes it{f' by {publishers}' if publishers else ''}{told}."


async def _reject(case: Case) -> Job:
    body = case.read(RejectRequest, reason=case.form.get("reason", ""))
    return await case.control.commands.reject(case.job, body.reason)


async def _resolve(case: Case) -> Job:
    again = case.form.get("outcome") == "again"
    published = None if again else case.form.get("published", "").strip() or None
    body = case.read(ResolveRequest, published=published, again=again, name=case.form.get("name") or None)
    return await case.control.commands.resolve(case.job, published=body.published, name=body.name)


def _resend_will(_case: Case) -> str:
    return "vidd sends the chosen notices once more; who got them gets them a second time."


def _retract_will(case: Case) -> str:
    names = names_in_words(case.published())
    if not names:
        return "Nothing of this job is published; vidd sends those retraction notices again that failed."
    return f"vidd takes back what {names} published, and tells those who had been told; the addresses stop working."


async def _rework(case: Case) -> Job:
    body = rework_request(case)
    job, _ = await case.control.rework(case.job.id, step=body.step, changes=body.set, extra=body.extra, dry_run=False)
    return job


def rework_request(case: Case) -> ReworkRequest:
    """The rework that the form asks for. Raises Problem 422."""
    changes: dict[str, Any] = {}
    for line in filter(str.strip, case.form.get("set", "").splitlines()):
        path, sign, text = line.partition("=")
        if not sign or not path.strip():
            raise Problem(422, f"{line[:80]!r} sets nothing: write STEP.OPTION=VALUE, one a line.")
        try:
            changes[path.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            changes[path.strip()] = text.strip()
    extra = [line.strip() for line in case.form.get("extra", "").splitlines() if line.strip()]
    body: ReworkRequest = case.read(ReworkRequest, step=case.form.get("step") or None, set=changes, extra=extra)
    return body


async def _undo(case: Case) -> Job:
    job, _ = await case.control.undo(case.job.id, dry_run=False)
    return job


async def _priority(case: Case) -> Job:
    text = case.form.get("priority", "").strip()
    number = int(text) if text.lstrip("-").isdecimal() and len(text) < 6 else text
    body = case.read(PriorityRequest, priority=number)
    return await case.control.commands.prioritize(case.job, body.priority)


ACTIONS: Mapping[str, Action] = {
    "approve": Action(
        "Approve", _approve_will, lambda case: case.control.commands.approve(case.job), "goes out now.", many=True
    ),
    "reject": Action(
        "Reject",
        lambda _case: "vidd stops the job, removes its files, and keeps your reason; nothing goes out.",
        _reject,
        "was rejected.",
        danger=True,
        many=True,
    ),
    "resolve": Action(
        "Say what became of it",
        lambda _case: "vidd records what you saw at the other side, and goes on from there.",
        _resolve,
        "goes on with what you saw.",
    ),
    "retry": Action("Retry", _retry_will, _retry, "is queued again.", many=True),
    "resend": Action(
        "Send notices again",
        _resend_will,
        lambda case: case.control.commands.resend(case.job, list(case.names)),
        "sends its notices again.",
    ),
    "rework": Action(
        "Rework",
        lambda _case: "vidd runs the job again from a step, and updates what is published.",
        _rework,
        "is made anew.",
    ),
    "undo": Action(
        "Undo the rework",
        lambda _case: "vidd brings back the results from before the last rework, and updates what is published.",
        _undo,
        "gets its earlier results back.",
    ),
    "retract": Action(
        "Retract",
        _retract_will,
        lambda case: case.control.commands.retract(case.job),
        "is being taken back.",
        danger=True,
    ),
    "priority": Action(
        "Priority",
        lambda case: f"vidd starts jobs with a higher priority first; this one has {case.job.priority}.",
        _priority,
        "has its new priority.",
        many=True,
    ),
    "cancel": Action(
        "Cancel",
        _cancel_will,
        lambda case: case.control.commands.cancel(case.job),
        "was cancelled.",
        danger=True,
        many=True,
    ),
}
