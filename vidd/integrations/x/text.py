"""The text of a post as people read it, from the text that X sends and its entities.

X sends `&`, `<` and `>` as HTML entities, links as https://t.co/…, and for each link, mention and tag where it is, in code
points. Whether X counts before or after the HTML entities is not documented, and there are posts whose positions fit
neither; so a position counts only where the text there is the entity's own, and otherwise vidd searches for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vidd.integrations.x.errors import dicts
from vidd.model.post import Span, SpanKind

_ESCAPED = re.compile(r"&(amp|lt|gt|quot|#39);")
_PLAIN = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "#39": "'"}
_SCHEME = re.compile(r"^https?://(?:www\.)?", re.IGNORECASE)
_LINK = re.compile(r"https?://\S+")
_TAGS = {"hashtags": ("#", "\uff03"), "cashtags": ("$", "\uff04")}
"""The signs that tags begin with, narrow and wide."""


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text and the parts of it that are links, mentions and tags."""

    text: str
    spans: tuple[Span, ...] = ()

    def without_start(self, length: int) -> ShownText:
        """Without the first characters."""
        spans = tuple(
            Span(span.start - length, span.end - length, span.kind) for span in self.spans if span.start >= length
        )
        return ShownText(self.text[length:], spans)


@dataclass(frozen=True, slots=True)
class _Entity:
    """An entity. own: the texts that may stand for it. shown: what people read in its place; None: the same."""

    start: int
    end: int
    kind: SpanKind
    own: tuple[str, ...]
    shown: str | None

    def is_at(self, text: str) -> bool:
        """Whether the text where the entity should be is the entity's own."""
        here = text[self.start : self.end]
        if not self.own:
            return _LINK.fullmatch(here) is not None
        return here.casefold() in (own.casefold() for own in self.own)

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where else it may be, the nearest first. A word that only begins so is another."""
        own = "|".join(re.escape(text) for text in self.own)
        pattern = re.compile(rf"(?:{own})(?![\w/])", re.IGNORECASE) if own else _LINK
        return sorted((found.span() for found in pattern.finditer(text)), key=lambda span: abs(span[0] - self.start))


def shown_text(raw: str, entities: Any, is_dropped: Callable[[Mapping[str, Any]], bool]) -> ShownText:
    """The text that people read. Links for which `is_dropped` says so (those of its own pictures) are left out."""
    text, places = _unescaped(raw)
    taken: list[tuple[int, int, _Entity]] = []
    free = bytearray(b"\1") * (len(text) + 1)
    for entity in _entities(entities if isinstance(entities, Mapping) else {}, is_dropped):
        found = _locate(entity, raw, text, places, free)
        if found is not None:
            free[found[0] : found[1]] = bytes(found[1] - found[0])
            taken.append((*found, entity))
    return _assembled(text, sorted(taken, key=lambda place: place[0]))


def unescaped(text: str) -> str:
    """The text without HTML entities."""
    return _ESCAPED.sub(lambda found: _PLAIN[found[1]], text)


def _unescaped(raw: str) -> tuple[str, list[int]]:
    """The text without HTML entities, and for each index of `raw` and its end the index in that text."""
    parts, places, at = [], [], 0
    length = 0
    for found in _ESCAPED.finditer(raw):
        before = raw[at : found.start()]
        parts += [before, _PLAIN[found[1]]]
        places += [*range(length, length + len(before)), *[length + len(before)] * len(found[0])]
        length += len(before) + 1
        at = found.end()
    parts.append(raw[at:])
    places += range(length, length + len(raw) - at + 1)
    return "".join(parts), places


def _entities(entities: Mapping[str, Any], is_dropped: Callable[[Mapping[str, Any]], bool]) -> Iterator[_Entity]:
    for link in dicts(entities.get("urls")):
        own = (str(link["url"]),) if link.get("url") else ()
        yield _entity(link, "link", own, "" if is_dropped(link) else _shown_link(link))
    for mention in dicts(entities.get("mentions")):
        if name := mention.get("username"):
            yield _entity(mention, "mention", (f"@{name}", f"\uff20{name}"), None)
    for field, signs in _TAGS.items():
        for tag in dicts(entities.get(field)):
            if word := tag.get("tag"):
                yield _entity(tag, "hashtag", tuple(f"{sign}{word}" for sign in signs), None)


def _entity(document: Mapping[str, Any], kind: SpanKind, own: tuple[str, ...], shown: str | None) -> _Entity:
    start, end = document.get("start"), document.get("end")
    known = isinstance(start, int) and isinstance(end, int) and 0 <= start < end
    return _Entity(int(start or 0), int(end or 0), kind, own, shown) if known else _Entity(0, 0, kind, own, shown)


def _shown_link(link: Mapping[str, Any]) -> str | None:
    """The address as X shows it, or else in full without its scheme; None where X does not say where the link leads."""
    if display := link.get("display_url"):
        return unescaped(str(display)).strip()
    full = link.get("unwound_url") or link.get("expanded_url")
    return _SCHEME.sub("", unescaped(str(full)).strip()) if full else None


def _locate(entity: _Entity, raw: str, text: str, places: list[int], free: bytearray) -> tuple[int, int] | None:
    """Where an entity is in `text`; None where it is not, or where another is already."""
    candidates = []
    if entity.end <= len(raw) and entity.is_at(raw):
        candidates.append((places[entity.start], places[entity.end]))
    if entity.end <= len(text) and entity.is_at(text):
        candidates.append((entity.start, entity.end))
    candidates = candidates or entity.places(text)
    return next(((start, end) for start, end in candidates if all(free[start:end])), None)


def _assembled(text: str, taken: list[tuple[int, int, _Entity]]) -> ShownText:
    parts: list[str] = []
    spans: list[Span] = []
    length = at = 0

    def add(part: str) -> None:
        nonlocal length
        parts.append(part)
        length += len(part)

    for start, end, entity in taken:
        add(text[at:start])
        shown = text[start:end] if entity.shown is None else entity.shown
        if shown:
            spans.append(Span(length, length + len(shown), entity.kind))
        add(shown)
        # Of the two spaces around what is left out, one is enough.
        doubled = not shown and text[end : end + 1] == " " and (start == 0 or text[start - 1].isspace())
        at = end + doubled
    add(text[at:])
    return _stripped("".join(parts), spans)


def _stripped(text: str, spans: list[Span]) -> ShownText:
    bare = text.rstrip()
    start = len(bare) - len(bare.lstrip())
    return ShownText(bare[start:], tuple(Span(span.start - start, span.end - start, span.kind) for span in spans))
