"""Posts, pictures, and a job of the step `cards`."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from builders.aws import a_job, a_step_context, the_tools
from vidd.files.tree import tree_artifact
from vidd.model.post import Picture, Post, PostAuthor
from vidd.ports import StepContext

WHEN = datetime(2026, 3, 12, 14, 5, tzinfo=UTC)
ADA = PostAuthor(name="Ada Lovelace", handle="@ada@example.social")


def a_picture(colour: str = "#2a6f97", size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A field of a colour with a white disc in its left upper quarter."""
    picture = Image.new("RGB", size, colour)
    ImageDraw.Draw(picture).ellipse((0, 0, size[0] // 3, size[1] // 3), fill="white")
    return picture


def shown(name: str, **more: Any) -> Picture:
    """A picture that was fetched: the file `media/<name>`."""
    return Picture(url=f"https://example.org/{name}", path=f"media/{name}", **more)


def gone(alt: str = "", why: str = "The server answered 404.") -> Picture:
    """A picture that could not be fetched."""
    return Picture(url="https://example.org/gone.jpg", alt=alt, why_missing=why)


def a_post(text: str = "", pictures: int | tuple[Picture, ...] = 0, **more: Any) -> Post:
    """A post with these pictures, or with so many of those that `a_cards_step` lays in."""
    found = tuple(shown(f"{number}.png") for number in range(pictures)) if isinstance(pictures, int) else pictures
    return Post(**{"id": "1", "author": ADA, "text": text, "created": WHEN, "pictures": found, **more})


def huge_png() -> bytes:
    """The beginning of a PNG of 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def lay_in(root: Path, posts: list[Post], files: dict[str, bytes] | None = None) -> Path:
    """The tree that the step `posts` leaves, with the pictures 0.png to 3.png and other files below `media`."""
    media = root / "media"
    media.mkdir(parents=True)
    for number, colour in enumerate(("#2a6f97", "#9b2226", "#588157", "#6d597a")):
        a_picture(colour).save(media / f"{number}.png")
    for name, content in (files or {}).items():
        (media / name).write_bytes(content)
    document = {"network": "x", "user": "ada", "posts": [post.to_json() for post in posts]}
    (root / "posts.json").write_text(json.dumps(document))
    return root


def a_cards_step(
    directory: Path, posts: list[Post], files: dict[str, bytes] | None = None, progress=lambda *_: None
) -> StepContext:
    """The context of a job with these posts; `directory` is the job's."""
    lay_in(directory / "posts", posts, files)
    context = a_step_context(directory, a_job("timeline:1"), the_tools(directory.parent), progress)
    return replace(context, artifacts={"posts": tree_artifact("posts", directory, "posts")})
