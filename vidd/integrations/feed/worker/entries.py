"""Makes posts of a feed's entries, by feedparser."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import feedparser

from vidd.display_text import printable
from vidd.errors import FaultCode, Refused
from vidd.integrations.feed.worker.media_rss import Media, read_media
from vidd.integrations.posts.html_text import PlainText, clean, html_text, plain_or_html_text, plain_text
from vidd.model.post import Picture, Post, PostAuthor, Span

_HARMLESS = (feedparser.CharacterEncodingOverride, feedparser.NonXMLContentType, feedparser.UndeclaredNamespace)
_PROFILE = re.compile(r"/@([A-Za-z0-9_.-]+)/?")
_WARNING = re.compile(r"\s*<p>\s*<strong>[^<]*</strong>(.*?)</p>\s*<hr\s*/?>", re.DOTALL)
"""How Mastodon writes a content warning before the text."""
_HALVES = re.compile(rb"(?:&#(?:[xX]0*[dD][89a-fA-F][0-9a-fA-F]{2}|0*5[5-7][0-9]{3});)+")
"""Characters written as the two halves that UTF-16 has of them, which XML forbids and some servers write."""
_SENSITIVE = "Its author marked it as sensitive."
_NO_ADDRESS = "The feed gives no full address of it."


def read_feed(content: bytes, name: str, count: int, *, url: str, content_type: str) -> tuple[list[Post], list[str]]:
    """The newest `count` posts of a feed, newest first, and notes. `url` is what relative addresses are relative to.

    Raises Refused where it is no feed. A feed that is broken is read as far as that is possible.
    """
    content = _HALVES.sub(_whole, content)
    parsed = _parsed(content, name, {"content-type": content_type, "content-location": url})
    if not parsed.get("version") and not parsed.entries:
        raise _no_feed(parsed, name, url)
    media = read_media(content)
    if len(media) != len(parsed.entries):
        media = [_media_of(entry) for entry in parsed.entries]
    dated = [(_time(entry), entry, found) for entry, found in zip(parsed.entries, media, strict=True)]
    if all(time is not None for time, _, _ in dated):
        dated.sort(key=lambda entry: entry[0] or datetime.min.replace(tzinfo=UTC), reverse=True)
    feed = _Feed.of(parsed.feed, url)
    posts = [feed.post(entry, found, time) for time, entry, found in dated[:count]]
    error = parsed.get("bozo_exception")
    broken = parsed.get("bozo") and not isinstance(error, _HARMLESS)
    why = printable(str(error), 160)
    return posts, [f"The feed {name} is broken ({why}); vidd read what there is."] if broken else []


def _parsed(content: bytes, name: str, headers: dict[str, str]) -> Any:
    try:
        return feedparser.parse(
            io.BytesIO(content), response_headers=headers, resolve_relative_uris=False, sanitize_html=False
        )
    except ValueError as error:
        raise Refused(
            f"The feed {name} is so broken that the parser fails ({printable(str(error), 160)}): correct the feed.",
            code=FaultCode.BAD_INPUT,
        ) from error


def _whole(halves: re.Match[bytes]) -> bytes:
    """The characters of such halves; U+FFFD for one without its other."""
    numbers = [text.strip(b"&#") for text in halves[0].split(b";")[:-1]]
    values = [int(text[1:], 16) if text[:1] in b"xX" else int(text) for text in numbers]
    units = "".join(map(chr, values)).encode("utf-16-le", "surrogatepass")
    return units.decode("utf-16-le", "replace").encode("ascii", "xmlcharrefreplace")


def _no_feed(parsed: Any, name: str, url: str) -> Refused:
    links = [
        link for link in parsed.feed.get("links", ()) if str(link.get("type", "")).endswith(("rss+xml", "atom+xml"))
    ]
    target = _join(url, links[0].get("href")) if links else None
    advice = f"give {printable(target, 200)}, which it names" if target else "give the address of an RSS or Atom feed"
    return Refused(f"What is at {name} is no feed: {advice}.", code=FaultCode.BAD_INPUT)


@dataclass(frozen=True, slots=True)
class _Feed:
    """What entries have from their feed."""

    url: str
    author: PostAuthor
    by_mastodon: bool

    @classmethod
    def of(cls, feed: Any, url: str) -> _Feed:
        link = _join(url, feed.get("link")) or url
        parts = urlsplit(link)
        profile = _PROFILE.fullmatch(parts.path)
        title = html_text(clean(feed.get("title"))).text
        host = parts.hostname or title or "feed"
        picture = feed.get("image", {}).get("href") or feed.get("logo") or feed.get("icon") or feed.get("webfeeds_icon")
        avatar = _join(url, picture)
        author = PostAuthor(
            name=title or host,
            handle=f"@{profile[1]}@{host}" if profile else host,
            avatar=Picture(url=avatar) if avatar else None,
        )
        return cls(url, author, clean(feed.get("generator")).lower().startswith("mastodon"))

    def post(self, entry: Any, media: list[Media], created: datetime | None) -> Post:
        """The post of an entry, which may lack anything."""
        html, is_plain = _text(entry, {found.alt for found in media if found.alt})
        warning = _WARNING.match(html) if self.by_mastodon else None
        body = plain_text(html) if is_plain else plain_or_html_text(html[warning.end() :] if warning else html)
        text, spans = _titled(html_text(clean(entry.get("title"))).text, body)
        base = clean(entry.get("link")) or self.url
        link = _join(self.url, entry.get("link"))
        identity = clean(entry.get("id")) or link or hashlib.sha256(text.encode()).hexdigest()
        by = _author(entry)
        return Post(
            id=identity,
            author=replace(self.author, name=by) if by else self.author,
            text=text,
            spans=spans,
            emoji=body.emoji,
            url=link,
            created=created,
            pictures=self._pictures(
                entry, media, body, base, hidden=any(found.adult for found in media) and not warning
            ),
            warning=html_text(warning[1]).text if warning else "",
        )

    def _pictures(
        self, entry: Any, media: list[Media], body: PlainText, base: str, *, hidden: bool
    ) -> tuple[Picture, ...]:
        """The pictures and the stills of films, each address once; the media's, the enclosures', then the text's own."""
        found: dict[str, Picture] = {}

        def add(address: str, alt: str, *, video: bool = False) -> None:
            url = _join(self.url, address)
            missing = _SENSITIVE if hidden else None if url else _NO_ADDRESS
            picture = Picture(url=None if hidden else url, alt=alt, video=video, why_missing=missing)
            found.setdefault(url or f"{address} {len(found)}", picture)

        for item in media:
            if item.kind == "image":
                add(item.url, item.alt)
            elif item.kind == "video":
                add(item.thumbnail, item.alt, video=True)
        for enclosure in entry.get("enclosures", ()):
            if clean(enclosure.get("type")).lower().startswith("image/"):
                add(clean(enclosure.get("href")), "")
        if not media:
            for thumbnail in entry.get("media_thumbnail", ())[:1]:
                add(clean(thumbnail.get("url")), "")
        for image in body.images:
            add(_join(base, image.url) or image.url, image.alt)
        return tuple(found.values())


def _media_of(entry: Any) -> list[Media]:
    """The media of an entry of a feed that is no whole XML."""
    adult = clean(entry.get("media_rating", {}).get("content")).lower() == "adult"
    return [
        Media(
            clean(item.get("url")), clean(item.get("medium") or item.get("type")).partition("/")[0].lower(), adult=adult
        )
        for item in entry.get("media_content", ())
    ]


def _text(entry: Any, alts: set[str]) -> tuple[str, bool]:
    """The summary, or else the content, without the descriptions of media; and whether it is said to be no HTML."""
    detail = entry.get("summary_detail", {})
    summary = {"value": entry.get("summary"), "type": detail.get("type")}
    if detail.get("value") != summary["value"]:
        # The detail is that of another text.
        summary["type"] = ""
    for item in (summary, *entry.get("content", ())):
        text = clean(item.get("value"))
        if text.strip() and text.strip() not in alts:
            return text, item.get("type") == "text/plain"
    return "", False


def _author(entry: Any) -> str:
    """Who wrote an entry; of "ada@example.org (Ada)" the name, and of an e-mail address alone nothing."""
    name = clean(entry.get("author_detail", {}).get("name") or entry.get("author")).strip()
    mailed = re.fullmatch(r"\S+@\S+(?:\s+\((.*)\))?", name)
    return (mailed[1] or "") if mailed else name


def _titled(title: str, body: PlainText) -> tuple[str, tuple[Span, ...]]:
    """The title above the text, unless the text begins with it."""
    if not title or body.text.startswith(title.rstrip("….")):
        return body.text, body.spans
    if not body.text:
        return title, ()
    shift = len(title) + 2
    spans = tuple(Span(span.start + shift, span.end + shift, span.kind) for span in body.spans)
    return f"{title}\n\n{body.text}", spans


def _time(entry: Any) -> datetime | None:
    # Not by the entry's own `get`, which takes one time for another and warns of it.
    for name in ("published_parsed", "updated_parsed", "created_parsed"):
        parsed: Sequence[int] | None = dict.get(entry, name)
        try:
            year, month, day, hour, minute, second = (parsed or ())[:6]
            return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        except (TypeError, ValueError, OverflowError):
            continue
    return None


def _join(base: str, value: Any) -> str | None:
    """A full http(s) address; None where there is none."""
    text = clean(value).strip()
    try:
        url = urljoin(base, text)
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if text and parts.scheme in {"http", "https"} and parts.netloc else None
