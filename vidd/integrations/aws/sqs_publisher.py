"""Tell other systems by a message in an SQS queue.

The queue may hand a message over twice by itself (a standard queue promises "at least once"), so each carries an
`id` that is the same at every repetition. A FIFO queue drops a repetition itself, for five minutes.
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
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.aws.account import Account, client
from vidd.integrations.aws.errors import asking
from vidd.integrations.notice import TOLD, Notice, NoticeOptions, as_json, harmless, notice_id, notice_of
from vidd.model.publication import Receipt
from vidd.ports import PublishContext, Tools
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, render, render_json
from vidd.settings.types import Size

_FIFO_WINDOW = timedelta(minutes=4)
"""For how long a FIFO queue surely drops a repetition: five minutes by its documentation, less a minute for clocks."""
_ATTRIBUTES = 10
_PRESET = {"vidd": 4, "template": 1, "talkbot": 5, "transcription": 1}

_Template = Annotated[str, AfterValidator(check_template), MayName(*TOLD)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,256}$")]


class Options(NoticeOptions):
    """Settings of a notice of kind `sqs`. Templates may name the same fields as those of `webhook`."""

    account: str = Field(description="The S3 account the queue belongs to.")
    queue_url: str | None = Field(None, description="The queue's address.")
    queue: str | None = Field(None, description="The queue's name, in place of its address.")
    format: Literal["vidd", "talkbot", "transcription", "template"] = Field(
        "vidd",
        description="What is sent: the job's facts as JSON; the addresses as attributes and body (talkbot) or as a body "
        "alone (transcription), for consumers of Talkbot's queues; or `body`.",
    )
    body: _Template | None = Field(None, description='The body, with format = "template".')
    body_is: Literal["json", "text"] = Field("json", description="What `body` makes; JSON is checked.")
    attributes: dict[_Name, _Template] = Field(default_factory=dict, description="More attributes, by name.")
    urls: dict[str, str] = Field(
        default={"youtube_url": "youtube", "vimeo_url": "vimeo", "s3_url": "library"},
        description="For talkbot and transcription: the label of the publisher whose address each one is.",
    )
    group: _Template = Field("{{ uuid or job.id }}", description="What a FIFO queue keeps in order among itself.")
    retractions: bool | None = Field(
        None,
        description='Tell when a person takes the talk back (state is retracted); by default with format = "vidd".',
    )
    repeat: bool = Field(
        True, description="Send again, with the same id, after a lost answer; otherwise a person must look."
    )
    largest: Size = Field(
        Size(256 * 2**10), ge=1024, le=2**20, description="The queue's limit for a message with its attributes."
    )

    @model_validator(mode="after")
    def _fitting(self) -> Options:
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
        if len(self.attributes) + _PRESET[self.format] > _ATTRIBUTES:
            raise ValueError(
                f"a message has {_ATTRIBUTES} attributes at most, {_PRESET[self.format]} of them vidd's own"
            )
        return self

    @property
    def name(self) -> str:
        """The queue's name."""
        return (self.queue or self.queue_url or "").rpartition("/")[2]

    def labels_named(self) -> dict[tuple[str, ...], str]:
        """The publishers that are meant, by the option that names them; the usual ones need not be there."""
        return {("urls", name): label for name, label in self.urls.items()} if "urls" in self.model_fields_set else {}

    @property
    def tells_retraction(self) -> bool:
        """Whether a retraction is told."""
        return self.format == "vidd" if self.retractions is None else self.retractions

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO queue, which its name says."""
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
    """Send it. The token says since when a message is open that nobody knows the fate of."""
    account = context.tools.account(options.account, Account)
    notice = notice_of(context)
    message = _message(options, notice)
    fields = message.fields
    if options.fifo:
        fields |= {"MessageGroupId": _group(options, notice), "MessageDeduplicationId": notice.id}
    earlier = context.publication.token if context.publication.token.get("id") == notice.id else {}
    # One that is open from before stays so, whatever becomes of this one.
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
            if not _dropped_by_queue(options, token["open"] or now, context.tools):
                raise _unknown(options, notice.id) from None
            raise RetryLater(
                f"The queue {options.name} gave no answer; the message is sent again, and the queue drops a second one."
            ) from None
    confirmed = {"queue": options.name, "message_id": str(answer["MessageId"])}
    return Receipt(facts={**notice.token, **confirmed})


async def _send(options: Options, context: PublishContext, sqs: Any, request: Mapping[str, Any]) -> Mapping[str, Any]:
    async def once() -> Mapping[str, Any]:
        with asking(f"sending to the queue {options.name}", commits=not options.repeat):
            return dict(await sqs.send_message(**request))

    return await (retry(once, sleep=context.tools.clock.sleep) if options.repeat else once())


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """None where it may be sent (again): a queue cannot be asked. OutcomeUnknown where a person must."""
    token = context.publication.token
    if options.repeat or not token.get("open") or token.get("id") != notice_id(context):
        return None
    if _dropped_by_queue(options, token["open"], context.tools):
        return None
    raise _unknown(options, token["id"])


def _dropped_by_queue(options: Options, since: str, tools: Tools) -> bool:
    return options.fifo and tools.clock.now() - datetime.fromisoformat(since) < _FIFO_WINDOW


def _unknown(options: Options, identity: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"Nobody knows whether the queue {options.name} got the message: ask its receiver for the id {identity}, "
        "and say what you found with `vidd resolve`."
    )


async def check(options: Options, tools: Tools) -> str:
    """Ask for the queue and its limits; nothing is sent."""
    account = tools.account(options.account, Account)
    async with client(account, "sqs") as sqs:
        url = await _url(options, sqs)
        with asking(f"looking at the queue {options.name}"):
            answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    limit = int(answer.get("Attributes", {}).get("MaximumMessageSize", 0))
    if 0 < limit < options.largest:
        raise Refused(
            f"The queue {options.name} takes {limit} bytes at most: set `largest` to that, or raise its limit."
        )
    return f"The queue {options.name} can be reached; nothing was sent to try it."


async def _url(options: Options, sqs: Any) -> str:
    if options.queue_url is not None:
        return options.queue_url
    with asking(f"looking for the queue {options.name}"):
        return str((await sqs.get_queue_url(QueueName=options.queue))["QueueUrl"])


def _message(options: Options, notice: Notice) -> _Message:
    """Refused where a template cannot be rendered, or all together is larger than the queue takes."""
    body, attributes = _preset(options, notice)
    more = {name: render(text, notice.fields) for name, text in options.attributes.items()}
    # An attribute without a value is refused by the queue, and says no more than one that is not there.
    all_of_them = {name: harmless(value) for name, value in {**attributes, **more, "id": notice.id}.items() if value}
    message = _Message(harmless(body), all_of_them)
    if not message.body:
        raise Refused("The body of the message is empty, which no queue takes: correct its template.")
    if message.size > options.largest:
        raise Refused(
            f"The message has {message.size} bytes, and the queue {options.name} takes "
            f"{int(options.largest)} ({size_in_words(options.largest)}): shorten it, or set `largest` if the queue takes more."
        )
    return message


def _preset(options: Options, notice: Notice) -> tuple[str, dict[str, str]]:
    """The body, and the attributes beside it."""
    uuid = str(notice.fields["uuid"] or "")
    addresses = {name: notice.fields["urls"].get(label) or "" for name, label in options.urls.items()}
    match options.format:
        case "talkbot":
            told = {**addresses, "uid": uuid}
            return as_json({"Body": _as_attributes(told)}), told
        case "transcription":
            return as_json({"Body": {"uuid": uuid, **addresses}}), {}
        case "template":
            make = render_json if options.body_is == "json" else render
            return make(options.body or "", notice.fields), {}
        case _:
            return notice.body, {name: str(notice.facts[name] or "") for name in ("type", "job", "uuid")}


def _as_attributes(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def _group(options: Options, notice: Notice) -> str:
    """Up to 128 letters, digits and punctuation; another text becomes its checksum."""
    made = render(options.group, notice.fields)
    if re.fullmatch(r"[\x21-\x7e]{1,128}", made):
        return made
    if not made:
        raise Refused(f"The group of the queue {quoted(options.name)} is empty: correct `group`.")
    return hashlib.sha256(made.encode(errors="replace")).hexdigest()
