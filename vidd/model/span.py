"""Finds where a talk lies in its recording, and whether a job needs the rest of the recording too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidd.model.talk import has_times, parse_recording_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vidd.model.talk import Talk

# These kinds open no file, whatever their options.
_READS_NO_FILE = frozenset({"fetch", "describe", "mail", "pretalx", "sheet", "sqs", "webhook"})


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a file, in seconds from its start; `end` None is the end of the file."""

    start: float
    end: float | None

    def contains(self, other: Span) -> bool:
        """Whether `other` lies within this span."""
        late = self.end is not None and (other.end is None or other.end > self.end)
        return self.start <= other.start and not late


WHOLE = Span(0.0, None)
"""All of a file: the span of a talk whose times nobody gives."""


def talk_span(facts: Mapping[str, Any], talk: Talk | None, name: str) -> Span:
    """The span of a talk: from the job's facts, else from the programme, else from the file name, else all of the file.

    Raises Refused if the file name has times that cannot be used.
    """
    known = [(facts.get("start"), facts.get("end"))]
    if talk is not None:
        known.append((talk.start, talk.end))
    for start, end in known:
        if start is not None or end is not None:
            return Span(float(start or 0.0), None if end is None else float(end))
    if not has_times(name):
        return WHOLE
    named = parse_recording_name(name)
    return Span(named.start, named.end)


def reason_to_fetch_all(settings: Mapping[str, Any]) -> str | None:
    """Why a job with these settings needs all of its `source`, in a sentence; None if it only cuts the talk out of it.

    A step or publisher needs all of it unless vidd knows that it does not.
    """
    cut = False
    for row in settings.get("steps", ()):
        kind, options = row["kind"], row["options"]
        if kind == "trim" and options.get("source") == "source":
            cut = True
        elif "source" in (*_texts(options), *options.get("place", ())) or not (
            kind in _READS_NO_FILE or _reads_other_file(options, talk_exists=cut)
        ):
            return f"The step {row['name']} may need all of it."
    if not cut:
        return "Nothing is cut out of it."
    for row in (*settings.get("publish", ()), *settings.get("notify", ())):
        options = row["options"]
        if "source" in _texts(options) or not (row["kind"] in _READS_NO_FILE or {"file", "files"} & options.keys()):
            return f"The publisher {row['name']} may need all of it."
    return None


def _reads_other_file(options: Mapping[str, Any], *, talk_exists: bool) -> bool:
    """Whether a step reads a file other than `source`: the role that it names, or by default the talk once it exists."""
    role = options.get("source")
    return isinstance(role, str) and (bool(role) or talk_exists)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
