"""Fetches the avatars, pictures and custom emoji of posts into a directory, each address once, side by side."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.aio.shield import in_thread
from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, Refused
from vidd.files.atomic import commit, temporary_path
from vidd.files.disk_space import check_free_space, retry_if_full
from vidd.files.removal import remove

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vidd.model.post import CustomEmoji, Picture, Post
    from vidd.ports import StepContext
    from vidd.transfer.public_fetch import PublicWeb

_ATTEMPTS = 3
_NO_ADDRESS = "The network gives no address of it."
_MOST = 100
_TOO_MANY = f"vidd fetches at most {_MOST} pictures of a post."
_MOST_SILENT = 3
"""Addresses at a host that cannot be reached after which vidd leaves out the others there."""


class Pictures:
    """The pictures of a job's posts, in `folder` below `tree`. The name of a file is made of its address."""

    def __init__(self, context: StepContext, web: PublicWeb, tree: Path, folder: str, most: int) -> None:
        """`most` is how many bytes all pictures may have together."""
        self._context, self._web = context, web
        self._tree, self._folder, self._left = tree, folder, most
        self._paths: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self._silent: Counter[str] = Counter()

    async def fetch(self, posts: Sequence[Post], parallel: int) -> None:
        """Fetch what is not there yet, `parallel` at once. Raises RetryLater where the disk is full."""
        urls = list(dict.fromkeys(url for post in posts for url in islice(_addresses(post), _MOST)))
        found = await in_thread(self._find_kept, urls)
        self._context.progress(len(found), len(urls), "pictures", None)

        async def fetch_and_count(url: str) -> None:
            await self._fetch(url)
            self._context.progress(len(self._paths) + len(self._reasons), len(urls), "pictures", None)

        await gather_bounded(parallel, [url for url in urls if url not in found], fetch_and_count)

    def _find_kept(self, urls: Sequence[str]) -> set[str]:
        """The addresses whose files an attempt before has left; removes every other file."""
        by_stem, folder = {_stem(url): url for url in urls}, self._tree / self._folder
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            url = by_stem.get(path.stem)
            if url is None or url in self._paths:
                remove(path)
            else:
                self._paths[url] = f"{self._folder}/{path.name}"
                self._left -= path.stat().st_size
        return set(self._paths)

    async def _fetch(self, url: str) -> None:
        host = url.partition("://")[2].partition("/")[0]
        if self._silent[host] >= _MOST_SILENT:
            self._reasons[url] = f"{printable(host, 80)} cannot be reached."
            return
        try:
            found = await retry(lambda: self._web.fetch(url), sleep=self._context.tools.clock.sleep, attempts=_ATTEMPTS)
            if found.status != 200 or (suffix := picture_suffix(found.body)) is None:
                raise Refused("What is there is no JPEG, PNG, GIF, WebP or AVIF picture.")
            if len(found.body) > self._left:
                raise Refused("The pictures of this job have more bytes than the settings allow.", code=FaultCode.QUOTA)
        except Fault as fault:
            self._reasons[url] = fault.sentence
            self._silent[host] += fault.code is FaultCode.UNREACHABLE
            return
        self._left -= len(found.body)
        name = f"{_stem(url)}{suffix}"
        await self._keep(found.body, self._tree / self._folder / name)
        self._paths[url] = f"{self._folder}/{name}"

    async def _keep(self, body: bytes, final: Path) -> None:
        check_free_space(final.parent, self._context.tools.encoder.disk_reserve, len(body))
        with retry_if_full():
            part = temporary_path(final)
            await in_thread(part.write_bytes, body)
            await commit(part, final)

    def resolve(self, post: Post) -> Post:
        """The post with the files of its pictures, or the reasons why they are missing."""
        author = post.author
        avatar = author.avatar and self._picture(author.avatar)
        return replace(
            post,
            author=replace(author, avatar=avatar, emoji=tuple(self._emoji(emoji) for emoji in author.emoji)),
            pictures=tuple(self._picture(picture) for picture in post.pictures),
            emoji=tuple(self._emoji(emoji) for emoji in post.emoji),
            quoted=post.quoted and self.resolve(post.quoted),
        )

    def _picture(self, picture: Picture) -> Picture:
        if picture.url is None:
            return replace(picture, why_missing=picture.why_missing or _NO_ADDRESS)
        path = self._paths.get(picture.url)
        reason = None if path else self._reasons.get(picture.url, _TOO_MANY)
        return replace(picture, path=path, why_missing=reason)

    def _emoji(self, emoji: CustomEmoji) -> CustomEmoji:
        return replace(emoji, path=self._paths.get(emoji.url))

    def describe_missing(self, posts: Sequence[Post]) -> list[str]:
        """A sentence for each picture that is missing in these resolved posts, with the number of its post."""
        sentences = [
            sentence for number, post in enumerate(posts, 1) for sentence in self._missing(post, f"post {number}")
        ]
        return list(dict.fromkeys(sentences))

    def _missing(self, post: Post, where: str) -> Iterator[str]:
        author = post.author
        if author.avatar is not None and author.avatar.why_missing:
            yield f"The avatar of {printable(author.handle, 80)} is missing: {author.avatar.why_missing}"
        for at, picture in enumerate(post.pictures, 1):
            if picture.why_missing:
                which = "" if len(post.pictures) == 1 else f" {at}"
                yield f"Picture{which} of {where} is missing: {picture.why_missing}"
        for emoji in (*author.emoji, *post.emoji):
            if emoji.path is None:
                reason = self._reasons.get(emoji.url, _TOO_MANY)
                yield f"The emoji :{printable(emoji.shortcode, 40)}: is missing: {reason}"
        if post.quoted is not None:
            yield from self._missing(post.quoted, f"what {where} quotes")


def picture_suffix(head: bytes) -> str | None:
    """The suffix of a picture's file by its first bytes; None where they are of no picture that cards can show."""
    if head[4:12] in {b"ftypavif", b"ftypavis"}:
        return ".avif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for start, suffix in _STARTS.items() if head.startswith(start)), None)


_STARTS = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG\r\n\x1a\n": ".png",
    b"GIF87a": ".gif",
    b"GIF89a": ".gif",
    b"\0\0\1\0": ".ico",
}


def _stem(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _addresses(post: Post) -> Iterator[str]:
    """The addresses of all that is to be seen at a post."""
    avatar = (post.author.avatar,) if post.author.avatar else ()
    yield from (picture.url for picture in (*avatar, *post.pictures) if picture.url is not None)
    yield from (emoji.url for emoji in (*post.author.emoji, *post.emoji))
    if post.quoted is not None:
        yield from _addresses(post.quoted)
