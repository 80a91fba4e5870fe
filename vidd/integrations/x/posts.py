"""Makes posts of what X answers, by the names of both API descriptions (`tweet…` and `post…`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from vidd.integrations.x.errors import dicts
from vidd.integrations.x.text import ShownText, shown_text, unescaped
from vidd.model.post import Picture, Post, PostAuthor

_SITE = "https://x.com"
_OWN_PICTURE = re.compile(
    r"https?://(?:www\.)?(?:x|twitter)\.com/[^/]+/status/\d+/(?:photo|video)/\d+/?", re.IGNORECASE
)
_STATUS = re.compile(r"https?://(?:www\.|mobile\.)?(?:x|twitter)\.com/(\w{1,15})/status/(\d+)", re.IGNORECASE)
_CUT_REPOST = re.compile(r"RT @(\w{1,15}): ")


class Page:
    """An answer with posts. `owner` is the user whose timeline it is, as X describes users."""

    def __init__(self, body: Mapping[str, Any], owner: Mapping[str, Any]) -> None:
        includes = body.get("includes")
        found: Mapping[str, Any] = includes if isinstance(includes, dict) else {}
        self._owner = owner
        self._users = {str(user.get("id")): user for user in (owner, *dicts(found.get("users")))}
        self._media = {str(media.get("media_key")): media for media in dicts(found.get("media"))}
        referenced = [*dicts(found.get("tweets")), *dicts(found.get("posts"))]
        self._referenced = {str(post.get("id")): post for post in referenced}
        self._documents = [post for post in dicts(body.get("data")) if post.get("id")]

    def posts(self) -> list[Post]:
        """The posts of the page, in its order."""
        return [self._post(document) for document in self._documents]

    def _post(self, document: Mapping[str, Any]) -> Post:
        reposted = _reference(document, "retweeted")
        if reposted is None:
            return self._own(document)
        owner = _author(self._owner).name
        cut = _CUT_REPOST.match(str(document.get("text") or ""))
        if (original := self._referenced.get(reposted)) is not None:
            return replace(self._written_by(self._own(original), cut and cut[1]), reposted_by=owner)
        # X does not show the original (any more): what it sent is cut off, and begins with who wrote it.
        post = self._own(document)
        if cut is None:
            return replace(post, reposted_by=owner)
        shown = ShownText(post.text, post.spans).without_start(cut.end())
        author = self._author_by_name(cut[1])
        return replace(post, text=shown.text, spans=shown.spans, author=author, reposted_by=owner)

    def _written_by(self, post: Post, name: str | None) -> Post:
        """The post by the user of this name, where X does not say who wrote it."""
        if post.author.handle or not name:
            return post
        return replace(post, author=self._author_by_name(name), url=_address(name, post.id))

    def _own(self, document: Mapping[str, Any], *, quoting: bool = True) -> Post:
        """The post as its author wrote it."""
        quoted_id = _reference(document, "quoted") if quoting else None
        quoted_document = self._referenced.get(quoted_id) if quoted_id else None
        raw, entities = _full_text(document)

        def is_dropped(link: Mapping[str, Any]) -> bool:
            address = str(link.get("expanded_url") or "")
            status = _STATUS.match(address)
            is_quoted = quoted_document is not None and status is not None and status[2] == quoted_id
            return bool(link.get("media_key")) or _OWN_PICTURE.fullmatch(address) is not None or is_quoted

        shown = shown_text(raw, entities, is_dropped)
        author = self._author_of(document)
        quoted = None
        if quoted_document is not None:
            name = _name_in_link(entities, quoted_id)
            quoted = self._written_by(self._own(quoted_document, quoting=False), name)
        identity = str(document["id"])
        return Post(
            id=identity,
            author=author,
            text=shown.text,
            spans=shown.spans,
            url=_address(author.handle.removeprefix("@") or "i", identity),
            created=_time(document.get("created_at")),
            pictures=tuple(self._pictures(document)),
            replies_to=self._replies_to(document),
            quoted=quoted,
        )

    def _author_of(self, document: Mapping[str, Any]) -> PostAuthor:
        identity = document.get("author_id")
        if identity is None:
            # The answer names no author for posts of the timeline itself.
            own = any(document is post for post in self._documents)
            return _author(self._owner) if own else PostAuthor(name="", handle="")
        return _author(self._users.get(str(identity), {}))

    def _author_by_name(self, name: str) -> PostAuthor:
        known = (user for user in self._users.values() if str(user.get("username")).casefold() == name.casefold())
        return _author(next(known, {"username": name}))

    def _replies_to(self, document: Mapping[str, Any]) -> str | None:
        answered = document.get("in_reply_to_user_id")
        if answered is None:
            original = self._referenced.get(_reference(document, "replied_to") or "")
            answered = original.get("author_id") if original is not None else None
        if answered is None:
            return None
        user = self._users.get(str(answered)) or _mentioned(document, str(answered))
        return _author(user).handle or None

    def _pictures(self, document: Mapping[str, Any]) -> list[Picture]:
        attachments = document.get("attachments")
        keys = attachments.get("media_keys") if isinstance(attachments, dict) else None
        return [self._picture(str(key)) for key in keys] if isinstance(keys, list) else []

    def _picture(self, key: str) -> Picture:
        media = self._media.get(key)
        if media is None:
            return Picture(url=None, why_missing="X names no address of it.")
        is_photo = media.get("type") == "photo"
        url = media.get("url") if is_photo else media.get("preview_image_url")
        alt = unescaped(str(media.get("alt_text") or ""))
        return Picture(url=str(url) if url else None, alt=alt, video=not is_photo)


def _author(user: Mapping[str, Any]) -> PostAuthor:
    name, avatar = str(user.get("username") or ""), str(user.get("profile_image_url") or "")
    return PostAuthor(
        name=unescaped(str(user.get("name") or name)),
        handle=f"@{name}" if name else "",
        avatar=Picture(url=re.sub(r"_normal(\.\w+)$", r"\1", avatar)) if avatar else None,
    )


def _reference(document: Mapping[str, Any], kind: str) -> str | None:
    """The id of the post that a post passes on, quotes or answers."""
    references = [*dicts(document.get("referenced_tweets")), *dicts(document.get("referenced_posts"))]
    found = (str(reference.get("id")) for reference in references if reference.get("type") == kind)
    return next(found, None)


def _full_text(document: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The whole text and its entities; a long post has them apart."""
    for note in (document.get("note_tweet"), document.get("note_post")):
        if isinstance(note, dict) and note.get("text"):
            return str(note["text"]), _with_pictures(note.get("entities"), document.get("entities"))
    entities = document.get("entities")
    return str(document.get("text") or ""), entities if isinstance(entities, dict) else {}


def _with_pictures(note: Any, entities: Any) -> Mapping[str, Any]:
    """The entities of a long text. Only those of the short text say which link is that of a picture."""
    own: dict[str, Any] = dict(note) if isinstance(note, dict) else {}
    short = dicts(entities.get("urls")) if isinstance(entities, dict) else []
    pictures = [{**link, "start": None} for link in short if link.get("media_key") and link.get("url")]
    own["urls"] = [*pictures, *dicts(own.get("urls"))]
    return own


def _name_in_link(entities: Mapping[str, Any], identity: str | None) -> str | None:
    """The user name in a link to a post of this id."""
    found = (_STATUS.match(str(link.get("expanded_url") or "")) for link in dicts(entities.get("urls")))
    return next((status[1] for status in found if status and status[2] == identity), None)


def _mentioned(document: Mapping[str, Any], identity: str) -> Mapping[str, Any]:
    entities = document.get("entities")
    mentions = dicts(entities.get("mentions")) if isinstance(entities, dict) else []
    return next((mention for mention in mentions if str(mention.get("id")) == identity), {})


def _address(name: str, identity: str) -> str:
    return f"{_SITE}/{name}/status/{identity}"


def _time(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None
