"""Reads pretalx's submissions, of the REST API or of the schedule widget, as talks of a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from vidd.errors import Refused
from vidd.integrations.programme.schedule_json import dicts, parse_json, text_of
from vidd.integrations.programme.scheduled_talk import ScheduledTalk
from vidd.integrations.programme.times import parse_time
from vidd.model.email_address import parse_address
from vidd.model.talk import Speaker


def read_submission(submission: Mapping[str, Any]) -> ScheduledTalk:
    """The talk of a submission whose speakers, slots, track, tags and resources are expanded.

    A talk that is given more than once has the time and the room of its first slot.
    """
    talk = ScheduledTalk(
        id=text_of(submission.get("code")),
        title=text_of(submission.get("title")),
        abstract=text_of(submission.get("abstract")),
        description=text_of(submission.get("description")),
        language=text_of(submission.get("content_locale")),
        track=_name(submission.get("track"), "name"),
        keywords=[tag for tag in (_name(tag, "tag") for tag in dicts(submission.get("tags"))) if tag],
        links=[
            {"title": text_of(resource.get("description")), "url": text_of(resource.get("resource"))}
            for resource in dicts(submission.get("resources"))
            if resource.get("resource")
        ],
    )
    talk.speakers = [
        _speaker(speaker, talk) for speaker in dicts(submission.get("speakers")) if text_of(speaker.get("name"))
    ]
    talk.set_opt_out(submission.get("do_not_record"))
    slots = sorted(
        (slot for slot in dicts(submission.get("slots")) if slot.get("start")), key=lambda slot: text_of(slot["start"])
    )
    if slots:
        first, end = slots[0], text_of(slots[0].get("end"))
        talk.stage = _name(first.get("room"), "name")
        talk.set_times(partial(parse_time, text_of(first["start"]), None), lambda: None)
        if end and talk.starts:
            talk.set_times(lambda: talk.starts, lambda: parse_time(end, None) - talk.starts if talk.starts else None)
    return talk


def read_widget(content: bytes, name: str) -> list[ScheduledTalk]:
    """The talks of the document that pretalx's schedule widget shows. Raises Refused where it is none.

    It lists speakers, rooms and tracks once, and names them by code or id; a talk without a code is a break.
    """
    document = parse_json(content, name)
    if not isinstance(document, dict) or not isinstance(document.get("talks"), list):
        raise Refused(f"{name} has no list of talks at its widget: correct `url` of the account or `event`.")
    speakers, rooms, tracks = (
        {text_of(item.get(key)): item for item in dicts(document.get(field))}
        for field, key in (("speakers", "code"), ("rooms", "id"), ("tracks", "id"))
    )
    submissions: dict[str, dict[str, Any]] = {}
    for talk in dicts(document["talks"]):
        if code := text_of(talk.get("code")):
            codes = talk.get("speakers")
            people = [speakers.get(text_of(code)) for code in codes] if isinstance(codes, list) else []
            known = {**talk, "speakers": people, "track": tracks.get(text_of(talk.get("track"))), "slots": []}
            slot = {"start": talk.get("start"), "end": talk.get("end"), "room": rooms.get(text_of(talk.get("room")))}
            submissions.setdefault(code, known)["slots"].append(slot)
    return [read_submission(submission) for submission in submissions.values()]


def _speaker(speaker: Mapping[str, Any], talk: ScheduledTalk) -> Speaker:
    """The e-mail address is there for tokens of organisers only."""
    written = text_of(speaker.get("email"))
    address = parse_address(written)
    if written and address is None:
        talk.notes.append(f"{written[:80]!r} is no e-mail address, so this speaker gets no mail")
    return Speaker(" ".join(text_of(speaker.get("name")).split()), address[1] if address else None)


def _name(value: Any, field: str) -> str:
    return text_of(value.get(field)) if isinstance(value, dict) else ""
