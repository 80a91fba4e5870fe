"""Writes frames as JPEG files and thumbnails. Never imported by the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.frame import VideoFrame

_THUMBNAIL_QUALITY = 80


def to_image(frame: VideoFrame) -> Image.Image:
    """A decoded frame as an RGB image; `VideoFrame.to_image` copies line by line, which takes eight times as long."""
    rgb = frame.reformat(format="rgb24")
    plane = rgb.planes[0]
    size = (rgb.width, rgb.height)
    return Image.frombuffer("RGB", size, plane, "raw", "RGB", plane.line_size, 1)  # type: ignore[arg-type]


def save_images(image: Image.Image, path: Path | None, thumbnail: Path | None, *, quality: int, largest: int) -> None:
    """Write an image to `path`, and to `thumbnail` one whose longer side has `largest` pixels at most."""
    if path is not None:
        image.save(path, "JPEG", quality=quality)
    if thumbnail is not None:
        save_thumbnail(image, thumbnail, largest)


def save_thumbnail(image: Image.Image, path: Path, largest: int) -> None:
    """Shrink an image in place until its longer side has `largest` pixels at most, and write it."""
    # By factors of two first, which is much faster and looks the same.
    image.thumbnail((largest, largest), Image.Resampling.BICUBIC, reducing_gap=2.0)
    image.save(path, "JPEG", quality=_THUMBNAIL_QUALITY)


def task_size(task: Path) -> tuple[int, int]:
    """Width and height (pixels) of the frames in a task's directory."""
    for path in sorted(task.iterdir()):
        if path.suffix == ".mp4":
            with av.open(f"file:{path}") as video:
                context = video.streams.video[0].codec_context
                return context.width, context.height
        if path.suffix == ".jpg" and not path.stem.endswith("_thumbnail"):
            with Image.open(path) as image:
                return image.size
    return 0, 0
