"""Reads Media RSS (rssboard.org/media-rss) of a feed's entries.

feedparser takes the description of a picture for that of the entry, and keeps one rating for all pictures of an entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from vidd.integrations.posts.html_text import clean

_MARK = b"http://search.yahoo.com/mrss"
_ENTRIES = frozenset({"entry", "item"})


@dataclass(frozen=True, slots=True)
class Media:
    """A picture or film of an entry. thumbnail: a still of it. adult: whether it is rated so."""

    url: str
    kind: str
    alt: str = ""
    thumbnail: str = ""
    adult: bool = False


def read_media(content: bytes) -> list[list[Media]]:
    """The media of each entry, in the order of the document; nothing of a document that is no whole XML."""
    if _MARK not in content:
        return []
    try:
        root = ElementTree.fromstring(content)
    except (ParseError, DefusedXmlException, LookupError, ValueError):
        return []
    entries = [element for element in root.iter() if _name(element) in _ENTRIES]
    return [[_media(element) for element in entry.iter() if _is_media(element, "content")] for entry in entries]


def _media(element: Element) -> Media:
    found = {_name(child): child for child in element if _is_media(child)}
    thumbnail, rating, alt = found.get("thumbnail"), found.get("rating"), found.get("description", found.get("title"))
    return Media(
        url=clean(element.get("url")).strip(),
        kind=clean(element.get("medium") or element.get("type")).partition("/")[0].lower(),
        alt=clean(alt.text if alt is not None else "").strip(),
        thumbnail=clean(thumbnail.get("url") if thumbnail is not None else "").strip(),
        adult=rating is not None and clean(rating.text).strip().lower() == "adult",
    )


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _is_media(element: Element, name: str | None = None) -> bool:
    namespace = element.tag.partition("}")[0] if isinstance(element.tag, str) else ""
    return namespace.startswith("{" + _MARK.decode()) and name in {None, _name(element)}
