"""A transcription job in a queue: another system does it and puts its result into a bucket, minutes or hours later.

The message is that of Talkbot's queue `Talkbot_transcription`. A queue may deliver it twice, and after a lost answer vidd
sends it again: the uuid in it is the same, so the result is, too.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from vidd.aio.retry import retry
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.aws.account import Account, client, head, object_name
from vidd.integrations.aws.errors import map_errors
from vidd.settings.templates import fields_of, render
from vidd.transcription.formats import LARGEST, read
from vidd.transcription.queue_job import Options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vidd.ports import Tools
    from vidd.transcription.engine import Request
    from vidd.transcription.transcript import Transcript

__all__ = ["Options", "check", "hears", "transcribe"]

hears = False


async def transcribe(options: Options, request: Request) -> Transcript:
    """The result where it is there; else ask for it once, and raise RetryLater until it is, which holds no slot."""
    context = request.context
    account = context.tools.account(options.account, Account)
    keys, bucket = _keys(options, request), _bucket(options, account)
    note = request.audio.with_suffix(".asked")
    async with client(account, "s3") as s3:
        found = {key: await _state(s3, bucket, key, context.tools) for key in keys}
        asked = json.loads(note.read_text()) if note.exists() else None
        if asked is None:
            # What is there already is the result of an earlier edition.
            asked = {"at": context.tools.clock.now().isoformat(), "before": found}
            _write(note, asked)
        if not asked.get("sent"):
            await _send(options, request, account)
            _write(note, {**asked, "sent": True})
        for key in keys:
            if found[key] is not None and found[key] != asked["before"].get(key):
                return read(key, await _content(s3, bucket, key, context.tools), request.language)
    fault = _still_waiting(options, request, asked["at"], object_name(bucket, keys[0]))
    if isinstance(fault, Refused):
        note.unlink()  # whoever retries it wants it asked for anew
    raise fault


def _write(note: Path, asked: Mapping[str, Any]) -> None:
    part = note.with_suffix(".part")
    part.write_text(json.dumps(asked))
    part.replace(note)


def _still_waiting(options: Options, request: Request, since: str, name: str) -> RetryLater | Refused:
    waited = (request.context.tools.clock.now() - datetime.fromisoformat(since)).total_seconds()
    queue = (options.queue or options.queue_url or "").rpartition("/")[2]
    if waited >= options.give_up:
        return Refused(
            f"Nothing appeared at {name} for {waited / 3600:.0f} h after vidd asked the queue {queue} for it: look at the"
            " system that reads this queue, then retry.",
            code=FaultCode.NOT_FOUND,
        )
    return RetryLater(
        f"vidd asked the queue {queue} for a transcription at {since[:16].replace('T', ' ')} UTC and will look for it"
        f" at {name} again.",
        after=options.poll,
        counts=False,
        code=FaultCode.PENDING,
    )


def _uuid(request: Request) -> str:
    return request.context.job.talk or request.context.job.id


def _keys(options: Options, request: Request) -> list[str]:
    part = "" if request.language == request.spoken else f".{request.language}"
    context = request.context
    fields = fields_of(context.job, context.talk, context.facts, uuid=_uuid(request), part=part)
    fields |= {"language": request.language, "spoken": request.spoken}
    return [render(template, fields) for template in options.results]


def _bucket(options: Options, account: Account) -> str:
    bucket = options.bucket or account.bucket
    if bucket is None:
        raise Refused(
            "No bucket is named for the results: set bucket of the engine, or of its account.",
            code=FaultCode.BAD_SETTINGS,
        )
    return bucket


async def _state(s3: Any, bucket: str, key: str, tools: Tools) -> list[str] | None:
    """What tells one state of an object from another; None where there is none."""
    found = await retry(partial(head, s3, bucket, key), sleep=tools.clock.sleep)
    return None if found is None else [str(found.get("ETag")), str(found.get("LastModified"))]


async def _content(s3: Any, bucket: str, key: str, tools: Tools) -> bytes:
    async def get() -> bytes:
        with map_errors(f"reading {object_name(bucket, key)}"):
            answer = await s3.get_object(Bucket=bucket, Key=key)
            if int(answer["ContentLength"]) > LARGEST:
                answer["Body"].close()
                raise Refused(
                    f"The result {object_name(bucket, key)} has more than {LARGEST >> 20} MiB: it is no transcript."
                )
            async with answer["Body"] as body:
                return bytes(await body.read())

    return await retry(get, sleep=tools.clock.sleep)


def message_of(options: Options, request: Request) -> str:
    """The message: the talk's uuid and the addresses where it is; for another language than English, which one."""
    receipts: Mapping[str, Any] = request.context.job.facts.get("published", {}).get("receipts", {})
    body: dict[str, Any] = {"uuid": _uuid(request)}
    body |= {name: (receipts.get(label) or {}).get("url") or "" for name, label in options.urls.items()}
    if (request.language, request.spoken) != ("en", "en"):
        body |= {"language": request.language, "spoken": request.spoken}
    return json.dumps({"Body": body}, ensure_ascii=False, separators=(",", ":"))


async def _send(options: Options, request: Request, account: Account) -> None:
    text = message_of(options, request)
    async with client(account, "sqs") as sqs:
        url = await _queue_url(options, sqs)
        fifo = {
            "MessageGroupId": _uuid(request),
            "MessageDeduplicationId": f"{request.context.job.id}-{request.language}",
        }

        async def send() -> None:
            with map_errors(f"sending to the queue {quoted(url.rpartition('/')[2])}"):
                await sqs.send_message(QueueUrl=url, MessageBody=text, **(fifo if url.endswith(".fifo") else {}))

        await retry(send, sleep=request.context.tools.clock.sleep)


async def _queue_url(options: Options, sqs: Any) -> str:
    if options.queue_url is not None:
        return options.queue_url
    with map_errors(f"looking for the queue {options.queue}"):
        return str((await sqs.get_queue_url(QueueName=options.queue))["QueueUrl"])


async def check(options: Options, tools: Tools) -> str:
    """Ask for queue and bucket; send nothing."""
    account = tools.account(options.account, Account)
    bucket = _bucket(options, account)
    async with client(account, "sqs") as sqs:
        url = await _queue_url(options, sqs)
        with map_errors("looking at the queue"):
            await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    async with client(account, "s3") as s3:
        with map_errors(f"looking at the bucket {bucket}"):
            await s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
    return f"The queue {url.rpartition('/')[2]} and the bucket {bucket} can be reached."
