"""Makes a post of a status of Mastodon (docs.joinmastodon.org/entities/Status)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

from vidd.integrations.posts.html_text import PlainText, clean, html_text
from vidd.integrations.posts.json_answer import dicts
from vidd.model.post import CustomEmoji, Picture, Post, PostAuthor

PUBLIC = frozenset({"", "public", "unlisted"})
_SENSITIVE = "Its author marked it as sensitive."
_STILLS = frozenset({"audio", "gifv", "video"})
_HIDDEN, _QUOTE_LINE = frozenset({"invisible"}), frozenset({"invisible", "quote-inline"})


@dataclass(frozen=True, slots=True)
class Origin:
    """The server that a status came from: its address, and what the handles of its own users end in."""

    url: str
    domain: str

    def address(self, value: Any) -> str | None:
        """An address, which may be relative to the server's; None where there is none."""
        text = clean(value).strip()
        try:
            return urljoin(f"{self.url}/", text) if text else None
        except ValueError:
            return None

    def handle(self, account: Mapping[str, Any]) -> str:
        """The handle of an account or a mention, with its domain."""
        name = clean(account.get("acct")) or clean(account.get("username"))
        return f"@{name}" if "@" in name else f"@{name}@{self.domain}"

    def author(self, account: Mapping[str, Any]) -> PostAuthor:
        """Who wrote a status; without a name, the user's."""
        avatar = self.address(account.get("avatar_static") or account.get("avatar"))
        handle = self.handle(account)
        return PostAuthor(
            name=clean(account.get("display_name")).strip() or clean(account.get("username")) or handle,
            handle=handle,
            avatar=Picture(url=avatar) if avatar else None,
            emoji=self.emoji(account),
        )

    def emoji(self, owner: Mapping[str, Any]) -> tuple[CustomEmoji, ...]:
        """The custom emoji of a status, an account or a poll; the still ones of moving ones."""
        named = [(clean(emoji.get("shortcode")), emoji) for emoji in dicts(owner.get("emojis"))]
        found = {code: self.address(emoji.get("static_url") or emoji.get("url")) for code, emoji in named if code}
        return tuple(CustomEmoji(code, url) for code, url in found.items() if url)


def post_of(status: Mapping[str, Any], origin: Origin) -> Post | None:
    """The post; that of a reblog is the whole status that it passes on. None where it is not for everybody to see."""
    reblog = status.get("reblog")
    shown = reblog if isinstance(reblog, dict) else status
    if not {clean(status.get("visibility")), clean(shown.get("visibility"))} <= PUBLIC:
        return None
    reposted_by = _bare_name(_author(status, origin)) if shown is reblog else None
    return _post(shown, origin, clean(status.get("id")), reposted_by, quotes=True)


def answers_other(status: Mapping[str, Any]) -> bool:
    """Whether it answers a post of another account; who goes on with an own post answers nobody."""
    account = status.get("account")
    own = account.get("id") if isinstance(account, dict) else None
    return bool(status.get("in_reply_to_id")) and status.get("in_reply_to_account_id") != own


def _post(status: Mapping[str, Any], origin: Origin, number: str, reposted_by: str | None, *, quotes: bool) -> Post:
    quoted = _quoted(status, origin) if quotes else None
    content = html_text(clean(status.get("content")), hidden_classes=_QUOTE_LINE if quoted else _HIDDEN)
    emoji = {emoji.shortcode: emoji for emoji in (*content.emoji, *origin.emoji(status), *_poll_emoji(status, origin))}
    return Post(
        id=number,
        author=_author(status, origin),
        text=_with_poll(content, status),
        spans=content.spans,
        emoji=tuple(emoji.values()),
        url=origin.address(status.get("url") or status.get("uri")),
        created=_time(status.get("created_at")),
        pictures=tuple(_picture(media, status, origin) for media in dicts(status.get("media_attachments"))),
        warning=clean(status.get("spoiler_text")).strip(),
        reposted_by=reposted_by,
        replies_to=_replies_to(status, origin),
        quoted=quoted,
    )


def _author(status: Mapping[str, Any], origin: Origin) -> PostAuthor:
    account = status.get("account")
    return origin.author(account if isinstance(account, dict) else {})


def _bare_name(author: PostAuthor) -> str:
    """The name without custom emoji, which a post has of its own author only."""
    name = author.name
    for emoji in author.emoji:
        name = name.replace(f":{emoji.shortcode}:", "")
    return " ".join(name.split()) or author.handle


def _quoted(status: Mapping[str, Any], origin: Origin) -> Post | None:
    """The quoted post, where its author agreed. Servers before 4.5 and other software give the status itself."""
    quote = status.get("quote")
    if not isinstance(quote, dict):
        return None
    if "state" in quote and quote["state"] != "accepted":
        return None
    inner = quote.get("quoted_status") if "state" in quote else quote
    if not isinstance(inner, dict) or "account" not in inner or clean(inner.get("visibility")) not in PUBLIC:
        return None
    return _post(inner, origin, clean(inner.get("id")), None, quotes=False)


def _picture(media: Mapping[str, Any], status: Mapping[str, Any], origin: Origin) -> Picture:
    kind, alt = clean(media.get("type")), clean(media.get("description")).strip()
    still = kind in _STILLS
    if status.get("sensitive") and not clean(status.get("spoiler_text")).strip():
        return Picture(url=None, alt=alt, video=still, why_missing=_SENSITIVE)
    large, small = origin.address(media.get("url")), origin.address(media.get("preview_url"))
    # What is of an unknown type is a file that the server did not take over.
    url = small if still or kind == "unknown" else large or small
    return Picture(url=url, alt=alt, video=still)


def _replies_to(status: Mapping[str, Any], origin: Origin) -> str | None:
    number, account = status.get("in_reply_to_account_id"), status.get("account")
    if not number:
        return None
    people = [account, *dicts(status.get("mentions"))] if isinstance(account, dict) else dicts(status.get("mentions"))
    return next((origin.handle(person) for person in people if person.get("id") == number), None)


def _poll(status: Mapping[str, Any]) -> Mapping[str, Any]:
    poll = status.get("poll")
    return poll if isinstance(poll, dict) else {}


def _poll_emoji(status: Mapping[str, Any], origin: Origin) -> tuple[CustomEmoji, ...]:
    return origin.emoji(_poll(status))


def _with_poll(content: PlainText, status: Mapping[str, Any]) -> str:
    """The text with the choices of a poll below it."""
    choices = [f"○ {clean(option.get('title')).strip()}" for option in dicts(_poll(status).get("options"))]
    return "\n\n".join(part for part in (content.text, "\n".join(choices)) if part)


def _time(value: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
