"""Frames as JPEG files, and small ones to show in lists. Never imported by the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.frame import VideoFrame

_SMALL_QUALITY = 80


def picture_of(frame: VideoFrame) -> Image.Image:
    """A decoded picture as RGB; its own `to_image` copies line by line, which takes eight times as long."""
    made = frame.reformat(format="rgb24")
    plane = made.planes[0]
    size = (made.width, made.height)
    return Image.frombuffer("RGB", size, plane, "raw", "RGB", plane.line_size, 1)  # type: ignore[arg-type]


def save(picture: Image.Image, image: Path | None, small: Path | None, *, quality: int, largest: int) -> None:
    """Write a picture to `image`, and to `small` one whose longer side has `largest` pixels at most."""
    if image is not None:
        picture.save(image, "JPEG", quality=quality)
    if small is not None:
        save_small(picture, small, largest)


def save_small(picture: Image.Image, path: Path, largest: int) -> None:
    """Make a picture so small that its longer side has `largest` pixels at most, and write it."""
    # By factors of two first, which is much quicker and looks the same.
    picture.thumbnail((largest, largest), Image.Resampling.BICUBIC, reducing_gap=2.0)
    picture.save(path, "JPEG", quality=_SMALL_QUALITY)


def size_of(task: Path) -> tuple[int, int]:
    """Width and height of what a task's directory holds."""
    for path in sorted(task.iterdir()):
        if path.suffix == ".mp4":
            with av.open(f"file:{path}") as film:
                context = film.streams.video[0].codec_context
                return context.width, context.height
        if path.suffix == ".jpg" and not path.stem.endswith("_thumbnail"):
            with Image.open(path) as image:
                return image.size
    return 0, 0
