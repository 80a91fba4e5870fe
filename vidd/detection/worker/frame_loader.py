"""The sampled frames as pixels, from their JPEG files where there are any, else from the films. Never imported by the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import av
import numpy as np
from PIL import Image

from vidd.display_text import quoted
from vidd.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vidd.model.frame_manifest import Sample

Pixels: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]"
"""Rows of pixels of red, green and blue."""

Image.MAX_IMAGE_PIXELS = 250_000_000
_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def frames(tree: Path, samples: Sequence[Sample]) -> Iterator[tuple[Sample, Pixels | None]]:
    """The frames of one task, in order; None where one cannot be read.

    Refused where the task has neither a film nor pictures.
    """
    name = samples[0].task
    room, film = tree / name, tree / name / f"{name}.mp4"
    if all((room / f"{sample.index}.jpg").is_file() for sample in samples):
        yield from ((sample, image(room / f"{sample.index}.jpg")) for sample in samples)
    elif film.is_file():
        yield from _of_film(film, samples)
    else:
        raise Refused(
            f"The task {quoted(name)} has neither a film nor a picture of each frame: have its frames made anew."
        )


def image(path: Path) -> Pixels | None:
    """The pixels of an image; None where it cannot be read."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except _UNREADABLE:
        return None


def _of_film(film: Path, samples: Sequence[Sample]) -> Iterator[tuple[Sample, Pixels | None]]:
    pictures = _pictures(film)
    at = 0
    for sample in samples:
        picture = None
        while at < sample.index:
            picture = next(pictures, None)
            at += 1
        yield sample, picture


def _pictures(film: Path) -> Iterator[Pixels]:
    """What of a film can be decoded, up to the first damage: after that nobody knows which frame is which."""
    try:
        with av.open(f"file:{film}") as file:
            stream = file.streams.video[0]
            stream.codec_context.thread_type = "AUTO"
            for frame in file.decode(stream):
                if frame.is_corrupt:
                    return
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except (av.error.FFmpegError, IndexError):
        return
