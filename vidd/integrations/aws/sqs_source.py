"""Watches an SQS queue for S3 event notifications, with several long polls at once.

A message is deleted only after its arrivals are durable. A message that cannot be parsed becomes a dead letter with its
reason. Events that the settings do not ask for, or of objects with another suffix, are acknowledged and dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import structlog
from pydantic import Field, model_validator

from vidd.aio.bounded import gather_bounded
from vidd.errors import RetryLater
from vidd.integrations.aws.account import Account, client
from vidd.integrations.aws.errors import map_errors
from vidd.integrations.aws.s3_event import ObjectEvent, read_message
from vidd.integrations.aws.s3_uri import s3_uri
from vidd.integrations.aws.sqs_queue import create_queue
from vidd.model.job import Arrival
from vidd.settings.marks import AccountOf
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from vidd.ports import SourceContext, Tools

_log = structlog.get_logger(__name__)


class Options(Base):
    """Which queue, and what of it is_wanted."""

    account: Annotated[str, AccountOf("s3")] = Field(description="The S3 account the queue belongs to.")
    queue_url: str | None = Field(None, description="The queue's address.")
    queue: str | None = Field(None, description="The queue's name, in place of its address.")
    pipeline: str | None = Field(None, description="The pipeline the arrivals go through.")
    object_account: Annotated[str, AccountOf("s3")] | None = Field(
        None, description="Account to read the objects with; without it, `account`."
    )
    polls: int = Field(2, ge=1, le=16, description="Long polls at once.")
    wait: Duration = Field(20.0, ge=0, le=20, description="How long a poll waits for messages.")
    batch: int = Field(10, ge=1, le=10, description="Messages taken at once.")
    events: tuple[str, ...] = Field(
        ("ObjectCreated:*",), description="Patterns of the events that arrive; others are dropped."
    )
    suffixes: tuple[str, ...] = Field(
        (".mp4", ".mov", ".mkv", ".webm", ".ts", ".m4v", ".avi", ".mxf"),
        description="Suffixes of keys that arrive, in any case; others are dropped. Empty: all.",
    )

    @model_validator(mode="after")
    def _names_queue(self) -> Options:
        if (self.queue_url is None) is (self.queue is None):
            raise ValueError("give either queue_url or queue")
        return self


def is_wanted(options: Options, event: ObjectEvent) -> bool:
    """Whether the settings ask for this kind of event and for this suffix."""
    if not any(fnmatchcase(event.name, pattern.removeprefix("s3:")) for pattern in options.events):
        return False
    if event.key.endswith("/"):
        return False  # the AWS console makes such an object for a folder
    return not options.suffixes or event.key.lower().endswith(tuple(suffix.lower() for suffix in options.suffixes))


def arrival_of(options: Options, event: ObjectEvent) -> Arrival:
    """The arrival of an event."""
    facts = {
        "bucket": event.bucket,
        "key": event.key,
        "version": event.version,
        "etag": event.etag,
        "size": event.size,
        "account": options.object_account or options.account,
    }
    return Arrival(
        key=event.identity,
        location=s3_uri(event.bucket, event.key),
        name=event.key.rpartition("/")[2],
        facts={name: value for name, value in facts.items() if value is not None},
        pipeline=options.pipeline,
    )


async def watch(options: Options, context: SourceContext) -> None:
    """Poll until cancelled. Refused if the queue or the account cannot be used as they are."""
    account = context.tools.account(options.account, Account)
    async with client(account, "sqs", read_timeout=options.wait + 15) as sqs:
        polls = _Poller(options, context, sqs)
        await gather_bounded(options.polls, range(options.polls), polls.poll)


@dataclass
class _Poller:
    """The polls of one queue. `unrecorded` counts the messages received whose arrivals are not durable yet."""

    options: Options
    context: SourceContext
    sqs: Any
    queue_url: str | None = None
    unrecorded: int = 0
    failed: int = 0
    caught_up: bool = False

    async def poll(self, _number: int) -> None:
        """Receive messages, record their arrivals, delete them; wait while the queue cannot be reached."""
        while True:
            try:
                messages = await self._receive()
                await self._process(messages)
            except _Unreached as lost:
                self.failed += 1
                self.context.mark_down(lost.fault.sentence)
                await self.context.pause(max(lost.fault.after or 0.0, min(60.0, 2.0 ** min(self.failed, 6) / 2)))

    async def _receive(self) -> list[dict[str, Any]]:
        options = self.options
        try:
            with map_errors("reading the queue"):
                url = self.queue_url or options.queue_url
                if url is None:
                    url = str((await self.sqs.get_queue_url(QueueName=options.queue))["QueueUrl"])
                self.queue_url = url
                answer = await self.sqs.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=options.batch,
                    # The first polls are short, so that vidd soon knows that an empty queue is empty.
                    WaitTimeSeconds=int(options.wait if self.caught_up else min(1.0, options.wait)),
                )
        except RetryLater as fault:
            raise _Unreached(fault) from fault
        self.failed = 0
        self.context.mark_up()
        return list(answer.get("Messages", ()))

    async def _process(self, messages: list[dict[str, Any]]) -> None:
        if not messages:
            if not self.unrecorded:
                self.caught_up = True
                self.context.mark_caught_up()
            return
        self.unrecorded += len(messages)
        try:
            await self._record(messages)
        finally:
            self.unrecorded -= len(messages)
        await self._delete(messages)

    async def _record(self, messages: list[dict[str, Any]]) -> None:
        arrivals: dict[str, Arrival] = {}
        for message in messages:
            body = str(message.get("Body", ""))
            reading = read_message(body)
            if reading.faults:
                printed = body.encode(errors="backslashreplace").decode()
                await self.context.dead_letter(printed, f"vidd put this message aside: {'; '.join(reading.faults)}.")
            for event in reading.events:
                if is_wanted(self.options, event):
                    arrivals.setdefault(event.identity, arrival_of(self.options, event))
                else:
                    _log.debug("event dropped", source=self.context.name, key=event.key, event_name=event.name)
        if arrivals:
            await self.context.admit(list(arrivals.values()))

    async def _delete(self, messages: list[dict[str, Any]]) -> None:
        """Acknowledge messages. One that is not acknowledged comes again; its arrivals are known by then."""
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(messages)
        ]
        try:
            with map_errors("acknowledging messages"):
                await self.sqs.delete_message_batch(QueueUrl=self.queue_url, Entries=entries)
        except RetryLater as fault:
            raise _Unreached(fault) from fault


class _Unreached(Exception):
    """The queue cannot be reached; a RetryLater of the store is not caught."""

    def __init__(self, fault: RetryLater) -> None:
        super().__init__(fault.sentence)
        self.fault = fault


async def create(options: Options, tools: Tools) -> str | None:
    """Make the queue that is named, where it is missing; one of which the address is given must be there."""
    if options.queue is None:
        return None
    async with client(tools.account(options.account, Account), "sqs") as sqs:
        return await create_queue(sqs, options.queue)


async def check(options: Options, tools: Tools) -> str:
    """Ask for the queue and its attributes."""
    account = tools.account(options.account, Account)
    async with client(account, "sqs") as sqs:
        with map_errors("looking at the queue"):
            url = options.queue_url or (await sqs.get_queue_url(QueueName=options.queue))["QueueUrl"]
            answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    waiting = answer.get("Attributes", {}).get("ApproximateNumberOfMessages", "?")
    return f"The queue {str(url).rpartition('/')[2]} can be reached; {waiting} messages wait in it."
