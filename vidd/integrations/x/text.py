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
_LINK = r"https?://\S+"
_TAGS = {"hashtags": r"#\uff03", "cashtags": r"$\uff04"}
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
    """An entity. own: what stands for it in the text, as a pattern. shown: what people read in its place; None: the same."""

    start: int
    end: int
    kind: SpanKind
    own: re.Pattern[str]
    shown: str | None


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
        own, shown = link.get("url"), _shown_link(link)
        pattern = re.escape(str(own)) + r"(?![\w/])" if own else _LINK
        yield _entity(link, "link", pattern, "" if is_dropped(link) else shown)
    for mention in dicts(entities.get("mentions")):
        if name := mention.get("username"):
            yield _entity(mention, "mention", rf"[@\uff20]{re.escape(str(name))}(?!\w)", None)
    for field, signs in _TAGS.items():
        for tag in dicts(entities.get(field)):
            if word := tag.get("tag"):
                yield _entity(tag, "hashtag", rf"[{signs}]{re.escape(str(word))}(?!\w)", None)


def _entity(document: Mapping[str, Any], kind: SpanKind, pattern: str, shown: str | None) -> _Entity:
    start, end = document.get("start"), document.get("end")
    known = isinstance(start, int) and isinstance(end, int) and 0 <= start < end
    own = re.compile(pattern, re.IGNORECASE)
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
    if entity.end <= len(raw) and entity.own.fullmatch(raw, entity.start, entity.end):
        candidates.append((places[entity.start], places[entity.end]))
    if entity.end <= len(text) and entity.own.fullmatch(text, entity.start, entity.end):
        candidates.append((entity.start, entity.end))
    if not candidates:
        found = [match.span() for match in entity.own.finditer(text)]
        candidates = sorted(found, key=lambda span: abs(span[0] - entity.start))
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
