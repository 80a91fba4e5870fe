"""Where in its recording a talk lies, and whether a job needs more of the recording than that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidd.model.talk import parse_recording_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vidd.model.talk import Talk

# Kinds that are known to open no file, whatever their options.
_READ_NOTHING = frozenset({"fetch", "describe", "mail", "sheet", "sqs", "webhook"})


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds from the file's start; no `end` means its own."""

    start: float
    end: float | None

    def holds(self, other: Span) -> bool:
        """Whether the other lies within this one."""
        late = self.end is not None and (other.end is None or other.end > self.end)
        return self.start <= other.start and not late


def talk_span(facts: Mapping[str, Any], talk: Talk | None, name: str) -> Span:
    """The times of the job, else the programme's, else those of the file name; Refused where none has any."""
    known = [(facts.get("start"), facts.get("end"))]
    if talk is not None:
        known.append((talk.start, talk.end))
    for start, end in known:
        if start is not None or end is not None:
            return Span(float(start or 0.0), None if end is None else float(end))
    named = parse_recording_name(name)
    return Span(named.start, named.end)


def why_whole_source(settings: Mapping[str, Any]) -> str | None:
    """Why a job of these settings needs the whole `source`; None where all that is done with it is to cut the talk out.

    What is not known to leave the rest alone is taken to need it.
    """
    cut = False
    for row in settings.get("steps", ()):
        kind, options = row["kind"], row["options"]
        if kind == "trim" and options.get("source") == "source":
            cut = True
        elif "source" in (*_texts(options), *options.get("place", ())) or not (
            kind in _READ_NOTHING or _on_what_was_made(options, made=cut)
        ):
            return f"The step {row['name']} may need all of it."
    if not cut:
        return "Nothing is cut out of it."
    for row in (*settings.get("publish", ()), *settings.get("notify", ())):
        options = row["options"]
        if "source" in _texts(options) or not (row["kind"] in _READ_NOTHING or {"file", "files"} & options.keys()):
            return f"The publisher {row['name']} may need all of it."
    return None


def _on_what_was_made(options: Mapping[str, Any], *, made: bool) -> bool:
    """Whether a step names the role of its file. With none named it is the talk, once there is one."""
    role = options.get("source")
    return isinstance(role, str) and (bool(role) or made)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
