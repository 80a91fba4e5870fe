"""Makes spans of the facets of a text (app.bsky.richtext.facet): they count bytes of UTF-8, a span counts code points."""

from __future__ import annotations

from typing import Any

from vidd.integrations.posts.json_answer import dicts
from vidd.model.post import Span, SpanKind

_KINDS: dict[str, SpanKind] = {
    "app.bsky.richtext.facet#link": "link",
    "app.bsky.richtext.facet#mention": "mention",
    "app.bsky.richtext.facet#tag": "hashtag",
}


def spans_of(text: str, facets: Any) -> tuple[Span, ...]:
    """The spans in their order. `text` has no lone surrogates.

    A facet is dropped that is reversed, empty, outside the text, in the middle of a character, of an unknown kind, or that
    overlaps one which begins before it.
    """
    offsets = _code_points(text)
    spans: list[Span] = []
    for start, end, kind in sorted(_ranges(facets)):
        begin, stop = offsets.get(start), offsets.get(end)
        if begin is None or stop is None or begin >= stop or (spans and begin < spans[-1].end):
            continue
        spans.append(Span(begin, stop, kind))
    return tuple(spans)


def links_of(facets: Any) -> set[str]:
    """The addresses that the links of a text lead to."""
    features = [feature for facet in dicts(facets) for feature in dicts(facet.get("features"))]
    return {feature["uri"] for feature in features if isinstance(feature.get("uri"), str)}


def _ranges(facets: Any) -> list[tuple[int, int, SpanKind]]:
    found: list[tuple[int, int, SpanKind]] = []
    for facet in dicts(facets):
        index = facet.get("index")
        start, end = (index.get("byteStart"), index.get("byteEnd")) if isinstance(index, dict) else (None, None)
        kinds = [
            _KINDS[kind] for feature in dicts(facet.get("features")) if (kind := str(feature.get("$type"))) in _KINDS
        ]
        if type(start) is int and type(end) is int and kinds:
            found.append((start, end, kinds[0]))
    return found


def _code_points(text: str) -> dict[int, int]:
    """The number of the code point that begins at each byte, and that of the end."""
    offsets, at = {}, 0
    for number, character in enumerate(text):
        offsets[at] = number
        at += len(character.encode())
    offsets[at] = len(text)
    return offsets
