"""Read what S3 says through SQS: plain notifications, wrapped by SNS, from EventBridge, or encoded once more.

docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html and ev-events.html. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus

from vidd.integrations.aws.s3_uri import s3_uri

_DEPTH = 4
_REASONS = {"PutObject": "Put", "CopyObject": "Copy", "POST Object": "Post"}


class _NotUnderstood(Exception):
    pass


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """One thing that happened to one object. `name` is like ObjectCreated:Put, without "s3:" before it."""

    name: str
    bucket: str
    key: str
    size: int | None = None
    etag: str | None = None
    version: str | None = None
    sequencer: str | None = None
    time: str | None = None

    @property
    def identity(self) -> str:
        """The same whenever this state of the object is told again, by whichever way.

        A version says it all. Without one, the sequencer tells two uploads of the same bytes apart; servers
        that send none are taken by their ETag, so that their two events of one upload count as one.
        """
        if self.version:
            return f"{s3_uri(self.bucket, self.key)}?version={quote(self.version)}"
        marks = [("etag", self.etag), ("sequencer", self.sequencer)]
        if not any(value for _, value in marks):
            marks = [("time", self.time)]
        return f"{s3_uri(self.bucket, self.key)}?" + "&".join(
            f"{name}={quote(value)}" for name, value in marks if value
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message held: events, and a sentence for each part that could not be understood."""

    events: tuple[ObjectEvent, ...] = ()
    faults: tuple[str, ...] = ()


def read_message(body: str) -> Reading:
    """The events in the body of a message. A test event gives none and is no fault."""
    try:
        return _read(_parsed(body), 1)
    except _NotUnderstood as fault:
        return Reading(faults=(str(fault),))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise _NotUnderstood("it is JSON nested too deeply to be an S3 event") from None
    except ValueError:
        raise _NotUnderstood("it is not JSON; only S3 event notifications belong in this queue") from None


def _read(data: Any, depth: int) -> Reading:
    if depth > _DEPTH:
        raise _NotUnderstood("it is wrapped more often than any service wraps an S3 event")
    if isinstance(data, str):
        return _read(_parsed(data), depth + 1)
    if not isinstance(data, dict):
        raise _NotUnderstood("it is JSON, but no S3 event notification")
    if data.get("Event") == "s3:TestEvent":
        return Reading()
    if "Records" in data:
        return _records(data["Records"])
    if "detail-type" in data:
        return Reading(events=(_from_eventbridge(data),))
    if isinstance(data.get("Message"), str):
        return _read(_parsed(data["Message"]), depth + 1)
    raise _NotUnderstood("it is JSON, but no S3 event notification (it has neither Records nor detail-type)")


def _records(records: Any) -> Reading:
    if not isinstance(records, list):
        raise _NotUnderstood("its Records are no list")
    events: list[ObjectEvent] = []
    faults: list[str] = []
    for number, record in enumerate(records, 1):
        try:
            events.append(_from_record(record))
        except _NotUnderstood as fault:
            faults.append(f"record {number}: {fault}")
    return Reading(tuple(events), tuple(faults))


def _from_record(record: Any) -> ObjectEvent:
    name = _text(record, "eventName")
    s3 = _table(record, "s3")
    bucket, thing = _table(s3, "bucket"), _table(s3, "object")
    key = _text(thing, "key")
    # Some servers forget to encode; a key that holds what encoding would have taken away is one as it is.
    if key.isascii() and key.isprintable() and " " not in key:
        try:
            key = unquote_plus(key, errors="strict")
        except UnicodeDecodeError:
            raise _NotUnderstood("the object's key is not UTF-8") from None
    return _event(name.removeprefix("s3:"), bucket, thing, key, etag=thing.get("eTag"), time=record.get("eventTime"))


def _from_eventbridge(data: dict[str, Any]) -> ObjectEvent:
    kind = _text(data, "detail-type")
    detail = _table(data, "detail")
    if not kind.startswith("Object "):
        raise _NotUnderstood(f"EventBridge's {kind[:60]!a} is nothing that happened to an S3 object")
    reason = str(detail.get("reason") or "Other")
    name = f"{kind.replace(' ', '')}:{_REASONS.get(reason, reason)}"
    bucket, thing = _table(detail, "bucket"), _table(detail, "object")
    # EventBridge, unlike S3 itself, does not encode the key.
    return _event(
        name, bucket, thing, _text(thing, "key"), etag=thing.get("etag"), time=data.get("time"), id_="version-id"
    )


def _event(
    name: str, bucket: dict[str, Any], thing: dict[str, Any], key: str, *, etag: Any, time: Any, id_: str = "versionId"
) -> ObjectEvent:
    size, version = thing.get("size"), _word(thing.get(id_))
    try:
        key.encode()
    except UnicodeEncodeError:
        raise _NotUnderstood("the object's key is not UTF-8") from None
    return ObjectEvent(
        name=name,
        bucket=_text(bucket, "name"),
        key=key,
        size=size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63 else None,
        etag=(_word(etag) or "").strip('"') or None,
        # "null" is the version of everything put while versioning is off: it tells nothing apart.
        version=None if version == "null" else version,
        sequencer=_word(thing.get("sequencer")),
        time=_word(time),
    )


def _table(parent: Any, name: str) -> dict[str, Any]:
    value = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(value, dict):
        raise _NotUnderstood(f"it has no {name}, so it is no S3 event")
    return value


def _text(parent: Any, name: str) -> str:
    value = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(value, str) or not value:
        raise _NotUnderstood(f"it has no {name}, so it is no S3 event")
    return value


def _word(value: Any) -> str | None:
    """A short printable identifier, or None."""
    return value if isinstance(value, str) and 0 < len(value) <= 1024 and value.isascii() else None
