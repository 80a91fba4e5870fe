"""Parses S3 event notifications from SQS: plain, wrapped by SNS, from EventBridge, or encoded once more. Pure.

docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html and ev-events.html.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus

from vidd.integrations.aws.s3_uri import s3_uri

_DEPTH = 4
_REASONS = {"PutObject": "Put", "CopyObject": "Copy", "POST Object": "Post"}


class _ParseError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """An event of one object. `name` is like ObjectCreated:Put, without the "s3:" in front."""

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
        """A key that is the same whenever this state of the object is reported again, by whichever way.

        The version identifies it. Without one, the sequencer tells two uploads of the same bytes apart; for servers
        that send no sequencer the ETag counts, so that their two events of one upload have one key.
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
    """The content of a message: its events, and a sentence for each part that could not be parsed."""

    events: tuple[ObjectEvent, ...] = ()
    faults: tuple[str, ...] = ()


def read_message(body: str) -> Reading:
    """The events in the body of a message. S3's test event has none and is not a fault."""
    try:
        return _read(_parsed(body), 1)
    except _ParseError as fault:
        return Reading(faults=(str(fault),))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise _ParseError("it is JSON nested too deeply to be an S3 event") from None
    except ValueError:
        raise _ParseError("it is not JSON; only S3 event notifications belong in this queue") from None


def _read(data: Any, depth: int) -> Reading:
    if depth > _DEPTH:
        raise _ParseError("it is wrapped more often than any service wraps an S3 event")
    if isinstance(data, str):
        return _read(_parsed(data), depth + 1)
    if not isinstance(data, dict):
        raise _ParseError("it is JSON, but no S3 event notification")
    if data.get("Event") == "s3:TestEvent":
        return Reading()
    if "Records" in data:
        return _records(data["Records"])
    if "detail-type" in data:
        return Reading(events=(_from_eventbridge(data),))
    if isinstance(data.get("Message"), str):
        return _read(_parsed(data["Message"]), depth + 1)
    raise _ParseError("it is JSON, but no S3 event notification (it has neither Records nor detail-type)")


def _records(records: Any) -> Reading:
    if not isinstance(records, list):
        raise _ParseError("its Records are no list")
    events: list[ObjectEvent] = []
    faults: list[str] = []
    for number, record in enumerate(records, 1):
        try:
            events.append(_from_record(record))
        except _ParseError as fault:
            faults.append(f"record {number}: {fault}")
    return Reading(tuple(events), tuple(faults))


def _from_record(record: Any) -> ObjectEvent:
    name = _text(record, "eventName")
    s3 = _mapping(record, "s3")
    bucket, s3_object = _mapping(s3, "bucket"), _mapping(s3, "object")
    key = _text(s3_object, "key")
    # Some servers forget to encode: a key with characters that encoding would have replaced is taken as it is.
    if key.isascii() and key.isprintable() and " " not in key:
        try:
            key = unquote_plus(key, errors="strict")
        except UnicodeDecodeError:
            raise _ParseError("the object's key is not UTF-8") from None
    return _event(
        name.removeprefix("s3:"), bucket, s3_object, key, etag=s3_object.get("eTag"), time=record.get("eventTime")
    )


def _from_eventbridge(data: dict[str, Any]) -> ObjectEvent:
    kind = _text(data, "detail-type")
    detail = _mapping(data, "detail")
    if not kind.startswith("Object "):
        raise _ParseError(f"EventBridge's {kind[:60]!a} is nothing that happened to an S3 object")
    reason = str(detail.get("reason") or "Other")
    name = f"{kind.replace(' ', '')}:{_REASONS.get(reason, reason)}"
    bucket, s3_object = _mapping(detail, "bucket"), _mapping(detail, "object")
    # EventBridge, unlike S3 itself, does not encode the key.
    return _event(
        name,
        bucket,
        s3_object,
        _text(s3_object, "key"),
        etag=s3_object.get("etag"),
        time=data.get("time"),
        id_="version-id",
    )


def _event(
    name: str,
    bucket: dict[str, Any],
    s3_object: dict[str, Any],
    key: str,
    *,
    etag: Any,
    time: Any,
    id_: str = "versionId",
) -> ObjectEvent:
    size, version = s3_object.get("size"), _identifier(s3_object.get(id_))
    try:
        key.encode()
    except UnicodeEncodeError:
        raise _ParseError("the object's key is not UTF-8") from None
    return ObjectEvent(
        name=name,
        bucket=_text(bucket, "name"),
        key=key,
        size=size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63 else None,
        etag=(_identifier(etag) or "").strip('"') or None,
        # "null" is the version of every object put while versioning is off, so it does not identify one.
        version=None if version == "null" else version,
        sequencer=_identifier(s3_object.get("sequencer")),
        time=_identifier(time),
    )


def _mapping(parent: Any, name: str) -> dict[str, Any]:
    value = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(value, dict):
        raise _ParseError(f"it has no {name}, so it is no S3 event")
    return value


def _text(parent: Any, name: str) -> str:
    value = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(value, str) or not value:
        raise _ParseError(f"it has no {name}, so it is no S3 event")
    return value


def _identifier(value: Any) -> str | None:
    """A short printable identifier, or None."""
    return value if isinstance(value, str) and 0 < len(value) <= 1024 and value.isascii() else None
