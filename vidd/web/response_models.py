"""The JSON that the API answers with, as models: the OpenAPI document is made of them, and tests hold the answers to them.

`vidd.web.serializers` makes the answers themselves.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vidd.model.job import State
from vidd.model.publication import PublicationState

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC.")]
JsonObject = dict[str, Any]


class Response(BaseModel):
    """An answer. Every member is always there, null where it has no value."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Progress(Response):
    """How far a step or a publication is: `done` of `total`, in `unit`."""

    part: str = Field(description="The step or the publication.")
    done: float
    total: float | None
    unit: str = Field(description="s (seconds of media), bytes, or a program's own.")
    fraction: float | None = Field(description="0 to 1, null where the total is not known.")
    speed: float | None = Field(description="Units per second.")


class Job(Response):
    """A job as lists show it."""

    id: str
    pipeline: str
    source: str
    name: str = Field(description="The name of its file, from outside and untrusted.")
    location: str = Field(description="Where the recording is, without user, password and query.")
    talk: str | None
    title: str | None = Field(description="Of its talk in the programme; null without one, and in events.")
    speakers: list[str] = Field(description="Of its talk; empty in events.")
    stage: str | None = Field(description="Of its talk; null in events.")
    state: State
    meaning: str = Field(description="The state as a sentence.")
    reason: str | None = Field(description="Why the job is in this state, and what to do.")
    until: Moment | None = Field(description="When vidd will retry.")
    created: Moment
    changed: Moment
    priority: int
    attempt: int
    link: str | None = Field(description="Where the video can be seen.")
    progress: list[Progress]
    eta: Moment | None = Field(
        description="When it will be published, by the speed of earlier jobs; null where nobody knows, and in events."
    )


class CheckFinding(Response):
    """A finding of a file's check, and what it does to the job."""

    kind: str
    does: Literal["refuse", "hold", "note"]
    sentence: str


class Check(Response):
    """The record of a file's check, with more members than these."""

    model_config = ConfigDict(extra="allow", frozen=True)

    summary: str
    findings: list[CheckFinding]


class Artifact(Response):
    """A file or a directory that a step made."""

    role: str
    path: str = Field(description="Below the job's directory.")
    size: int = Field(description="Bytes.")
    content_type: str
    media: JsonObject | None
    files: int | None = Field(description="How many files, where it is a directory.")
    check: Check | None = Field(description="Null where the file has not been checked.")


class Step(Response):
    """A finished step."""

    name: str
    kind: str
    seconds: float
    facts: JsonObject
    artifacts: list[Artifact]


class Receipt(Response):
    """What a publisher has from the other side."""

    url: str | None
    facts: JsonObject


class Publication(Response):
    """A publisher's or a notice's effect for one job."""

    job: str
    name: str
    kind: str
    notice: bool
    state: PublicationState
    meaning: str = Field(description="The state as a sentence.")
    attempt: int
    reason: str | None
    until: Moment | None = Field(description="When vidd will retry.")
    changed: Moment
    receipt: Receipt | None


class Move(Response):
    """A change of a job's state."""

    at: Moment
    state: State
    reason: str | None


class JobDetails(Job):
    """A job with its steps, publications and history."""

    key: str
    facts: JsonObject
    steps: list[Step]
    publications: list[Publication]
    notes: list[str] = Field(description="What did not go exactly as asked for, such as a shortened title.")
    history: list[Move]


class Jobs(Response):
    """Jobs, newest first."""

    jobs: list[Job]
    limit: int
    next: str | None = Field(description="The path of the next page; null behind the last job.")


class JobExplanation(Response):
    """What a job waits for, why, since when, and what a person can do."""

    job: str
    state: State
    waiting_for: str | None = Field(description="Null where there is nothing to wait for.")
    because: str
    since: Moment
    next_try: Moment | None
    then: str | None = Field(description="What follows the wait.")
    eta: Moment | None = Field(description="When it will be published, by the speed of earlier jobs.")
    unblock: list[str] = Field(description="What a person can do, the best first.")
    sentence: str = Field(description="All of it in one line.")


class JobLog(Response):
    """The end of the output of a job's programs."""

    job: str
    text: str
    whole: bool = Field(description="Whether `text` is all of it.")


class OutlookStep(Response):
    """Whether a step runs in a rework."""

    name: str
    kind: str
    runs: bool
    why: str | None


class OutlookPublisher(Response):
    """Whether a publisher can replace what it published."""

    name: str
    kind: str
    replaces: bool


class Outlook(Response):
    """What a rework would do."""

    job: str
    edition: int
    from_: str | None = Field(alias="from", description="The step that it begins with; null: none, as in an undo.")
    of: int | None = Field(description="The kept edition that it begins with; null: none is kept, so all steps run.")
    steps: list[OutlookStep]
    files: list[Artifact] = Field(description="The files that may change.")
    publishers: list[OutlookPublisher]
    notices: list[str] = Field(description="The notices that vidd would send again.")
    kept_until: Moment | None


class NotRetried(Response):
    """A job that could not be retried."""

    job: str
    why: str


class RetriedJobs(Response):
    """What became of several jobs."""

    retried: list[Job]
    not_retried: list[NotRetried]


class Watcher(Response):
    """A watched source."""

    kind: str
    up: bool
    restarts: int
    last_event: Moment | None
    reason: str | None = Field(description="Why it is down.")
    note: str | None = Field(description="What a person may want to know though it is up.")


class FfmpegInUse(Response):
    """The ffmpeg in use."""

    version: str | None = Field(description="Null where it cannot be run.")
    missing: list[str] = Field(description="What it lacks.")


class Slots(Response):
    """The slots of one of `[limits]`."""

    size: int
    used: int
    waiting: int = Field(description="Jobs that wait for a slot.")


class DaemonHealth(Response):
    """The daemon's health."""

    ok: bool
    reasons: list[str] = Field(description="What is wrong, in sentences; empty when `ok`.")
    version: str
    since: Moment
    paused: bool
    queue: int = Field(description="Jobs that wait for a slot.")
    running: int
    queue_eta: Moment | None = Field(
        description="When all jobs under way will be published, by the speed of earlier jobs; null where nobody knows."
    )
    jobs: dict[str, int] = Field(description="Jobs by state.")
    incomplete: int = Field(description="Published jobs of which a notice or a change did not go out.")
    watchers: dict[str, Watcher]
    disk_free: int = Field(description="Bytes.")
    slots: dict[str, Slots] = Field(description="By the name of the limit.")
    ffmpeg: FfmpegInUse


class Alive(Response):
    """That the daemon's event loop answers."""

    ok: Literal[True]


class AuditCounts(Response):
    """How many of the things that sources list came to what."""

    seen: int
    processed: int
    duplicate: int
    missing: int
    under_way: int
    refused: int
    waiting: int


class AuditedJob(Response):
    """A job of an audited thing."""

    id: str
    state: State
    source: str


class AuditFinding(Response):
    """A thing that a source lists."""

    name: str
    why: str | None
    jobs: list[AuditedJob]


class AuditLists(Response):
    """What is not, or not yet, processed once."""

    duplicate: list[AuditFinding]
    missing: list[AuditFinding]
    under_way: list[AuditFinding]
    refused: list[AuditFinding]
    waiting: list[AuditFinding]


class AuditedSource(AuditCounts):
    """The audit of a source."""

    source: str
    kind: str
    pipeline: str | None
    ok: bool
    lists: AuditLists


class AuditReport(AuditCounts):
    """What sources list now, compared with the jobs."""

    ok: bool
    sources: list[AuditedSource]


class HistoryDay(Response):
    """What the daemon did on a day (UTC)."""

    day: Annotated[str, Field(json_schema_extra={"format": "date"})]
    published: int = Field(description="Jobs that were published.")
    failed: int = Field(description="Jobs that ended refused or unsure, also where a person helped them later.")
    encode_speed: float | None = Field(description="Seconds of media made per second of ffmpeg; null without any.")
    minutes: float | None = Field(description="Minutes of video published for the first time; null without any.")


class History(Response):
    """The last days, oldest first."""

    days: list[HistoryDay]


class DeadLetter(Response):
    """A message that vidd could not understand."""

    at: Moment
    source: str
    reason: str
    body: str


class DeadLetters(Response):
    """Dead letters, newest first."""

    dead_letters: list[DeadLetter]
    limit: int


class Paused(Response):
    """Whether the daemon starts nothing new."""

    paused: bool


class Woken(Response):
    """The source that looks now; null: all of them."""

    woken: str | None


class SignInLink(Response):
    """A link that opens one session: `origin` and `path` together."""

    origin: str = Field(description="The address on which the daemon listens.")
    path: str
    until: Moment


class ProblemDocument(BaseModel):
    """An error (RFC 9457). More members may say more, such as `errors` of a body or the `reference` of a defect."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What happened and what to do.")
