"""Makes a post of an item of an author feed (app.bsky.feed.defs#feedViewPost)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vidd.integrations.bluesky.facets import links_of, spans_of
from vidd.integrations.posts.html_text import clean
from vidd.integrations.posts.json_answer import dicts
from vidd.model.post import Picture, Post, PostAuthor, Span

SIGNED_IN_ONLY = "!no-unauthenticated"
_REPOST, _PIN = "app.bsky.feed.defs#reasonRepost", "app.bsky.feed.defs#reasonPin"
_HIDE, _WARN = "!hide", "!warn"
_PICTURE_LABELS = {
    "gore": "graphic pictures",
    "graphic-media": "graphic pictures",
    "nudity": "nudity",
    "porn": "adult content",
    "sexual": "sexual content",
}
_WARNING = "Bluesky's moderators put a warning on this post."
_PAGE = "https://bsky.app/profile"
_URI = re.compile(r"at://([^/]+)/[^/]+/([^/?#]+)")
_LONGEST_LINK = 40


class NotForEverybody(Exception):
    """A post that vidd does not show in public. `who` may have asked for that; `sentence` says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def labels_of(owner: Mapping[str, Any]) -> set[str]:
    """The labels of a profile or a post that hold."""
    return {clean(label.get("val")) for label in dicts(owner.get("labels")) if not label.get("neg")}


def is_pin(item: Mapping[str, Any]) -> bool:
    """Whether it is the pinned post, which is in the feed a second time, in its own place."""
    return _object(item, "reason").get("$type") == _PIN


def is_repost(item: Mapping[str, Any]) -> bool:
    """Whether somebody passed on the post."""
    return _object(item, "reason").get("$type") == _REPOST


def is_reply(item: Mapping[str, Any]) -> bool:
    """Whether the post answers another."""
    return bool(_object(_object(item, "post"), "record").get("reply"))


def post_of(item: Mapping[str, Any]) -> Post:
    """The post. Raises NotForEverybody."""
    view, reason = _object(item, "post"), _object(item, "reason")
    record, uri = _object(view, "record"), clean(view.get("uri"))
    reposted = is_repost(item)
    return _post(
        view,
        record,
        _object(view, "embed"),
        # A person may pass on an own post, which is in the feed twice then.
        number=f"{uri}#{clean(reason.get('indexedAt'))}" if reposted else uri,
        reposted_by=_author(_object(reason, "by")).name if reposted else None,
        replies_to=_replies_to(item),
    )


def _post(
    view: Mapping[str, Any],
    record: Mapping[str, Any],
    embed: Mapping[str, Any],
    *,
    number: str,
    reposted_by: str | None = None,
    replies_to: str | None = None,
    quotes: bool = True,
) -> Post:
    author, labels = _object(view, "author"), labels_of(view)
    _refuse_hidden(author, labels)
    written = clean(record.get("text"))
    spans = spans_of(written, record.get("facets"))
    text, link = _with_card(written, embed, links_of(record.get("facets")))
    return Post(
        id=number,
        author=_author(author),
        text=text,
        spans=spans if link is None else (*spans, link),
        url=_page(clean(view.get("uri")), author),
        created=_created(record, view),
        pictures=_pictures(embed, labels),
        warning=_WARNING if _WARN in labels else "",
        reposted_by=reposted_by,
        replies_to=replies_to,
        quoted=_quoted(embed) if quotes else None,
    )


def _refuse_hidden(author: Mapping[str, Any], labels: set[str]) -> None:
    handle = f"@{clean(author.get('handle'))}"
    if SIGNED_IN_ONLY in labels_of(author):
        raise NotForEverybody(f"{handle} shows posts to people who are signed in only, so vidd leaves them out.")
    if _HIDE in labels or _HIDE in labels_of(author):
        raise NotForEverybody(f"Bluesky's moderators hide a post of {handle}, so vidd leaves it out.")


def _author(profile: Mapping[str, Any]) -> PostAuthor:
    handle = clean(profile.get("handle")) or clean(profile.get("did"))
    avatar = clean(profile.get("avatar"))
    return PostAuthor(
        name=clean(profile.get("displayName")).strip() or handle,
        handle=f"@{handle}",
        avatar=Picture(url=avatar) if avatar else None,
    )


def _replies_to(item: Mapping[str, Any]) -> str | None:
    """The handle of the post before it; None where that is gone, blocked or only for people who are signed in."""
    author = _object(_object(_object(item, "reply"), "parent"), "author")
    handle = clean(author.get("handle"))
    return f"@{handle}" if handle and SIGNED_IN_ONLY not in labels_of(author) else None


def _quoted(embed: Mapping[str, Any]) -> Post | None:
    """The quoted post; None for a list or feed, and for a post that is gone, blocked, taken out or not for everybody."""
    record = _object(embed, "record")
    inner = _object(record, "record") if _kind(embed) == "recordWithMedia" else record
    if not inner.get("value") or not inner.get("author"):
        return None
    embeds = dicts(inner.get("embeds"))
    try:
        return _post(
            inner,
            _object(inner, "value"),
            embeds[0] if embeds else {},
            number=clean(inner.get("uri")),
            quotes=False,
        )
    except NotForEverybody:
        return None


def _pictures(embed: Mapping[str, Any], labels: set[str]) -> tuple[Picture, ...]:
    reasons = [words for label, words in _PICTURE_LABELS.items() if label in labels]
    found = tuple(_embedded(embed))
    if not reasons:
        return found
    why = f"It is marked as {reasons[0]}."
    return tuple(Picture(url=None, alt=picture.alt, video=picture.video, why_missing=why) for picture in found)


def _embedded(embed: Mapping[str, Any]) -> list[Picture]:
    match _kind(embed):
        case "images":
            return [_picture(image, "fullsize", "thumb") for image in dicts(embed.get("images"))]
        case "gallery":
            return [_picture(image, "fullsize", "thumbnail") for image in _gallery(embed)]
        case "video":
            return [_picture(embed, "thumbnail", video=True)]
        case "external":
            card = _object(embed, "external")
            return [_picture({**card, "alt": card.get("title")}, "thumb")] if card.get("thumb") else []
        case "recordWithMedia":
            return _embedded(_object(embed, "media"))
    return []


def _gallery(embed: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return dicts(embed.get("items")) or dicts(embed.get("media"))


def _picture(image: Mapping[str, Any], *names: str, video: bool = False) -> Picture:
    url = next((url for name in names if (url := clean(image.get(name)))), None)
    return Picture(url=url, alt=clean(image.get("alt")).strip(), video=video)


def _with_card(text: str, embed: Mapping[str, Any], links: set[str]) -> tuple[str, Span | None]:
    """The text with the title and the address of a link card below it, and its link; unless the text has the link itself."""
    media = _object(embed, "media") if _kind(embed) == "recordWithMedia" else embed
    card = _object(media, "external") if _kind(media) == "external" else {}
    uri, title = clean(card.get("uri")), clean(card.get("title")).strip()
    if not uri or uri in links or uri in text:
        return text, None
    shown = _short(uri)
    before = "\n\n".join(part for part in (text, title) if part)
    before = f"{before}\n" if before else ""
    return f"{before}{shown}", Span(len(before), len(before) + len(shown), "link")


def _short(uri: str) -> str:
    """An address as Bluesky shows it: without its scheme, cut after some characters."""
    shown = uri.partition("://")[2].removesuffix("/") or uri
    return shown if len(shown) <= _LONGEST_LINK else f"{shown[:_LONGEST_LINK]}…"


def _page(uri: str, author: Mapping[str, Any]) -> str | None:
    """Where people read a post: at://DID/app.bsky.feed.post/KEY is a page of its author."""
    found = _URI.fullmatch(uri)
    return f"{_PAGE}/{clean(author.get('did')) or found[1]}/post/{found[2]}" if found else None


def _created(record: Mapping[str, Any], view: Mapping[str, Any]) -> datetime | None:
    """When it was written, by its author's word; one in the future counts for nothing against when it arrived."""
    times = [time for time in (_time(record.get("createdAt")), _time(view.get("indexedAt"))) if time is not None]
    return min(times, default=None)


def _time(value: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _kind(embed: Mapping[str, Any]) -> str:
    """What is embedded: app.bsky.embed.images#view is "images"."""
    return clean(embed.get("$type")).removeprefix("app.bsky.embed.").removesuffix("#view")


def _object(owner: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = owner.get(name)
    return value if isinstance(value, dict) else {}
