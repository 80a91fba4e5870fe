"""Notifies other systems by a message in an SQS queue.

A standard queue may deliver a message twice ("at least once"), so each message has an `id` that is the same at every
repetition. A FIFO queue drops repetitions itself, for five minutes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from vidd.aio.retry import retry
from vidd.display_text import quoted, size_in_words
from vidd.errors import FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.aws.account import Account, client
from vidd.integrations.aws.errors import map_errors
from vidd.integrations.aws.sqs_queue import create_queue
from vidd.integrations.notice import NOTICE_FIELDS, Notice, NoticeOptions, as_json, harmless, notice_id, notice_of
from vidd.model.publication import Receipt
from vidd.ports import PublishContext, Tools
from vidd.settings.marks import AccountOf
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, render, render_json
from vidd.settings.types import Size

_DEDUPLICATION = timedelta(minutes=4)
"""How long a FIFO queue certainly drops a repetition: five minutes by its documentation, less a minute for clocks."""
_MAX_ATTRIBUTES = 10
_OWN_ATTRIBUTES = {"vidd": 4, "template": 1, "talkbot": 5, "transcription": 1}

_Template = Annotated[str, AfterValidator(check_template), MayName(*NOTICE_FIELDS)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,256}$")]


class Options(NoticeOptions):
    """Settings of a notice of kind `sqs`. Templates may name the same fields as those of `webhook`."""

    account: Annotated[str, AccountOf("s3")] = Field(description="The S3 account the queue belongs to.")
    queue_url: str | None = Field(None, description="The queue's address.")
    queue: str | None = Field(None, description="The queue's name, in place of its address.")
    format: Literal["vidd", "talkbot", "transcription", "template"] = Field(
        "vidd",
        description="The message: the job's facts as JSON (vidd); the addresses as attributes and body (talkbot) or as the "
        "body alone (transcription), for consumers of Talkbot's queues; or `body` (template).",
    )
    body: _Template | None = Field(None, description='The body, with format = "template".')
    body_is: Literal["json", "text"] = Field("json", description="Content type of `body`; JSON is checked.")
    attributes: dict[_Name, _Template] = Field(default_factory=dict, description="More attributes, by name.")
    urls: dict[str, str] = Field(
        default={"youtube_url": "youtube", "vimeo_url": "vimeo", "s3_url": "library"},
        description="For talkbot and transcription: the label of the publisher that each address is of.",
    )
    group: _Template = Field(
        "{{ uuid or job.id }}",
        description="Template of the message group: a FIFO queue keeps the order within a group.",
    )
    retractions: bool | None = Field(
        None,
        description='Send a message when the talk is retracted (state = retracted); default: only with format = "vidd".',
    )
    repeat: bool = Field(
        True, description="After a lost answer, send again with the same id; otherwise a person must look."
    )
    largest: Size = Field(
        Size(256 * 2**10), ge=1024, le=2**20, description="The queue's limit for a message with its attributes."
    )

    @model_validator(mode="after")
    def _check_options(self) -> Options:
        if (self.queue_url is None) is (self.queue is None):
            raise ValueError("give either queue_url or queue")
        if (self.body is not None) != (self.format == "template"):
            raise ValueError('body and format = "template" go together: set both or none')
        if strange := set(self.urls) - {"youtube_url", "vimeo_url", "s3_url"}:
            raise ValueError(f"urls knows youtube_url, vimeo_url and s3_url, not {min(strange)}")
        if self.retractions and self.format in {"talkbot", "transcription"}:
            raise ValueError(f'format = "{self.format}" has no words for a retraction: leave retractions out')
        if "id" in self.attributes:
            raise ValueError("the attribute id is set by vidd: leave it out")
        if len(self.attributes) + _OWN_ATTRIBUTES[self.format] > _MAX_ATTRIBUTES:
            raise ValueError(
                f"a message has {_MAX_ATTRIBUTES} attributes at most, {_OWN_ATTRIBUTES[self.format]} of them vidd's own"
            )
        return self

    @property
    def name(self) -> str:
        """The queue's name."""
        return (self.queue or self.queue_url or "").rpartition("/")[2]

    def labels_named(self) -> dict[tuple[str, ...], str]:
        """The labels of publishers that the settings name, by option; those of the defaults need not exist."""
        return {("urls", name): label for name, label in self.urls.items()} if "urls" in self.model_fields_set else {}

    @property
    def tells_retraction(self) -> bool:
        """Whether a retraction is announced."""
        return self.format == "vidd" if self.retractions is None else self.retractions

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO queue, by its name."""
        return self.name.endswith(".fifo")


@dataclass(frozen=True)
class _Message:
    """What SendMessage is given, but for the queue."""

    body: str
    attributes: Mapping[str, str]

    @property
    def size(self) -> int:
        """Its bytes as the queue counts them: the body, and each attribute's name, type and value."""
        return len(self.body.encode()) + sum(
            len(name) + len("String") + len(value.encode()) for name, value in self.attributes.items()
        )

    @property
    def fields(self) -> dict[str, Any]:
        """Parameters of SendMessage."""
        return {"MessageBody": self.body, "MessageAttributes": _as_attributes(self.attributes)}


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Send the message. The token says since when a message is `open`, that is, of unknown outcome."""
    account = context.tools.account(options.account, Account)
    notice = notice_of(context)
    message = _message(options, notice)
    fields = message.fields
    if options.fifo:
        fields |= {"MessageGroupId": _group(options, notice), "MessageDeduplicationId": notice.id}
    earlier = context.publication.token if context.publication.token.get("id") == notice.id else {}
    # A message that is open from before stays open, whatever the outcome of this one.
    token = {**notice.token, "open": earlier.get("open")}
    now = context.tools.clock.now().isoformat()
    async with client(account, "sqs") as sqs:
        url = await _url(options, sqs)
        await context.checkpoint({**token, "open": token["open"] or now})
        try:
            answer = await _send(options, context, sqs, {"QueueUrl": url, **fields})
        except (RetryLater, Refused):
            await context.checkpoint(token)
            raise
        except OutcomeUnknown:
            if not _queue_drops_repetition(options, token["open"] or now, context.tools):
                raise _unknown(options, notice.id) from None
            raise RetryLater(
                f"The queue {options.name} gave no answer; vidd will send the message again, and the queue will drop a second"
                " one.",
                code=FaultCode.NO_ANSWER,
            ) from None
    confirmed = {"queue": options.name, "message_id": str(answer["MessageId"])}
    return Receipt(facts={**notice.token, **confirmed})


async def _send(options: Options, context: PublishContext, sqs: Any, request: Mapping[str, Any]) -> Mapping[str, Any]:
    async def send() -> Mapping[str, Any]:
        with map_errors(f"sending to the queue {options.name}", commits=not options.repeat):
            return dict(await sqs.send_message(**request))

    return await (retry(send, sleep=context.tools.clock.sleep) if options.repeat else send())


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """None if the message may be sent (again): a queue cannot be asked. OutcomeUnknown if only a person can find out."""
    token = context.publication.token
    if options.repeat or not token.get("open") or token.get("id") != notice_id(context):
        return None
    if _queue_drops_repetition(options, token["open"], context.tools):
        return None
    raise _unknown(options, token["id"])


def _queue_drops_repetition(options: Options, since: str, tools: Tools) -> bool:
    return options.fifo and tools.clock.now() - datetime.fromisoformat(since) < _DEDUPLICATION


def _unknown(options: Options, identity: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"Nobody knows whether the queue {options.name} got the message: ask its receiver for the id {identity}, "
        "and say what you found with `vidd resolve`."
    )


async def create(options: Options, tools: Tools) -> str | None:
    """Make the queue that is named, where it is missing; one of which the address is given must be there."""
    if options.queue is None:
        return None
    async with client(tools.account(options.account, Account), "sqs") as sqs:
        return await create_queue(sqs, options.queue)


async def check(options: Options, tools: Tools) -> str:
    """Ask for the queue and its limits; send nothing."""
    account = tools.account(options.account, Account)
    async with client(account, "sqs") as sqs:
        url = await _url(options, sqs)
        with map_errors(f"looking at the queue {options.name}"):
            answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    limit = int(answer.get("Attributes", {}).get("MaximumMessageSize", 0))
    if 0 < limit < options.largest:
        raise Refused(
            f"The queue {options.name} takes {limit} bytes at most: set `largest` to that, or raise its limit.",
            code=FaultCode.BAD_SETTINGS,
        )
    return f"The queue {options.name} can be reached; vidd sent nothing to try it."


async def _url(options: Options, sqs: Any) -> str:
    if options.queue_url is not None:
        return options.queue_url
    with map_errors(f"looking for the queue {options.name}"):
        return str((await sqs.get_queue_url(QueueName=options.queue))["QueueUrl"])


def _message(options: Options, notice: Notice) -> _Message:
    """The message; Refused if a template cannot be rendered, or the message is larger than the queue takes."""
    body, attributes = _body_and_attributes(options, notice)
    more = {name: render(text, notice.fields) for name, text in options.attributes.items()}
    # The queue refuses an attribute without a value.
    filled = {name: harmless(value) for name, value in {**attributes, **more, "id": notice.id}.items() if value}
    message = _Message(harmless(body), filled)
    if not message.body:
        raise Refused(
            "The body of the message is empty, which no queue takes: correct its template.", code=FaultCode.BAD_SETTINGS
        )
    if message.size > options.largest:
        raise Refused(
            f"The message has {message.size} bytes, and the queue {options.name} takes "
            f"{int(options.largest)} ({size_in_words(options.largest)}): shorten it, or set `largest` if the queue takes more.",
            code=FaultCode.BAD_SETTINGS,
        )
    return message


def _body_and_attributes(options: Options, notice: Notice) -> tuple[str, dict[str, str]]:
    """The body and the attributes of the chosen format."""
    uuid = str(notice.fields["uuid"] or "")
    addresses = {name: notice.fields["urls"].get(label) or "" for name, label in options.urls.items()}
    match options.format:
        case "talkbot":
            values = {**addresses, "uid": uuid}
            return as_json({"Body": _as_attributes(values)}), values
        case "transcription":
            return as_json({"Body": {"uuid": uuid, **addresses}}), {}
        case "template":
            render_body = render_json if options.body_is == "json" else render
            return render_body(options.body or "", notice.fields), {}
        case _:
            return notice.body, {name: str(notice.facts[name] or "") for name in ("type", "job", "uuid")}


def _as_attributes(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def _group(options: Options, notice: Notice) -> str:
    """The message group id: up to 128 letters, digits and punctuation; any other text is replaced by its SHA-256."""
    group = render(options.group, notice.fields)
    if re.fullmatch(r"[\x21-\x7e]{1,128}", group):
        return group
    if not group:
        raise Refused(
            f"The group of the queue {quoted(options.name)} is empty: correct `group`.", code=FaultCode.BAD_SETTINGS
        )
    return hashlib.sha256(group.encode(errors="replace")).hexdigest()
