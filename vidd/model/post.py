"""Posts of a social timeline, whatever network they come from.

Offsets count code points of the text that is shown (Python's indices), the end exclusive, whatever the network counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any, Literal, Self

SpanKind = Literal["link", "mention", "hashtag"]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a post's text that is shown in the colour of links: `text[start:end]`."""

    start: int
    end: int
    kind: SpanKind


@dataclass(frozen=True, slots=True)
class CustomEmoji:
    """An emoji of the server: each `:shortcode:` in a text or name is drawn as this picture.

    path: the file in the posts' directory once it was fetched; without it, the shortcode stays as it is written.
    """

    shortcode: str
    url: str
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture, or the still of a video; `url` is None where the network names none.

    path: the file in the posts' directory once it was fetched. why_missing: the reason where it could not be fetched.
    """

    url: str | None
    alt: str = ""
    video: bool = False
    path: str | None = None
    why_missing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostAuthor:
    """Who wrote a post; `handle` is as people write it at the network, such as @ada or @ada@example.social."""

    name: str
    handle: str
    avatar: Picture | None = None
    emoji: tuple[CustomEmoji, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A post.

    id: the network's. url: the page where people read it.
    text: plain text as people read it: entities decoded, tracking links expanded, links to its own pictures removed.
    created: None where the network does not say.
    warning: the author's content warning, shown in place of the text and the pictures.
    reposted_by: the name of the person of the timeline, where somebody else wrote the post.
    replies_to: the handle that the post answers.
    quoted: the post that it quotes.
    """

    id: str
    author: PostAuthor
    text: str = ""
    spans: tuple[Span, ...] = ()
    emoji: tuple[CustomEmoji, ...] = ()
    url: str | None = None
    created: datetime | None = None
    pictures: tuple[Picture, ...] = ()
    warning: str = ""
    reposted_by: str | None = None
    replies_to: str | None = None
    quoted: Post | None = None

    def to_json(self) -> dict[str, Any]:
        """The post as JSON holds it, without what is empty."""
        return _record(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The post of a document by `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            **{
                **document,
                "author": _author(document["author"]),
                "spans": tuple(Span(**span) for span in document.get("spans", ())),
                "emoji": _emoji(document),
                "created": datetime.fromisoformat(document["created"]) if document.get("created") else None,
                "pictures": tuple(Picture(**picture) for picture in document.get("pictures", ())),
                "quoted": cls.from_json(document["quoted"]) if document.get("quoted") else None,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PostQuery:
    """Which posts are wanted: the newest `count` of `user`, newest first.

    user: as a person writes it: a handle, or for a feed its address.
    """

    user: str
    count: int
    replies: bool = True
    reposts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PostPages:
    """How far the reading of a timeline has come; saved after each page, so that no page is asked for twice.

    cursor: what the network names the next page; None before the first page, and where there is none.
    complete: whether there are no more pages.
    """

    posts: tuple[Post, ...] = ()
    cursor: str | None = None
    complete: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The pages as JSON holds them."""
        return _record(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The pages of a document by `to_json`."""
        return cls(**{**document, "posts": tuple(Post.from_json(post) for post in document.get("posts", ()))})


def _author(document: Mapping[str, Any]) -> PostAuthor:
    avatar = document.get("avatar")
    return PostAuthor(
        name=document["name"],
        handle=document["handle"],
        avatar=Picture(**avatar) if avatar else None,
        emoji=_emoji(document),
    )


def _emoji(document: Mapping[str, Any]) -> tuple[CustomEmoji, ...]:
    return tuple(CustomEmoji(**emoji) for emoji in document.get("emoji", ()))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return _record(value) if is_dataclass(value) else value


def _record(value: Any) -> dict[str, Any]:
    """A dataclass as JSON holds it, without what has its default."""
    items = {described.name: (getattr(value, described.name), described.default) for described in fields(value)}
    return {name: _plain(item) for name, (item, default) in items.items() if item not in (default, {})}
