"""Posts survive being written down."""

import json
from datetime import UTC, datetime

from vidd.model.post import CustomEmoji, Picture, Post, PostAuthor, PostPages, Span

ADA = PostAuthor(
    name="Ada :cat:",
    handle="@ada@example.social",
    avatar=Picture(url="https://example.social/a.png", path="media/0.png"),
    emoji=(CustomEmoji("cat", "https://example.social/cat.png", "media/cat.png"),),
)
POST = Post(
    id="1",
    author=ADA,
    text="Look \U0001f468\u200d\u2764\ufe0f\u200d\U0001f468 https://example.org",
    spans=(Span(11, 30, "link"),),
    url="https://example.social/@ada/1",
    created=datetime(2026, 11, 20, 12, 30, tzinfo=UTC),
    pictures=(Picture(url=None, alt="A cat", why_missing="The server does not have it."),),
    reposted_by="Bob",
    quoted=Post(id="0", author=PostAuthor(name="", handle="@bob")),
)


def test_posts_are_the_same_after_they_were_written_down_and_read():
    pages = PostPages(posts=(POST, Post(id="2", author=ADA)), cursor="abc", facts={"user": "ada"})
    assert PostPages.from_json(json.loads(json.dumps(pages.to_json()))) == pages


def test_what_is_empty_is_not_written():
    assert Post(id="2", author=PostAuthor(name="Bob", handle="@bob")).to_json() == {
        "id": "2",
        "author": {"name": "Bob", "handle": "@bob"},
    }
