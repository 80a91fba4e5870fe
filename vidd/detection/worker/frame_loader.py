"""Loads the sampled frames as pixels: from their JPEG files where every frame has one, else from the task's video."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import av
import numpy as np
from PIL import Image

from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vidd.model.frame_manifest import Sample

Pixels: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]"
"""Rows of pixels of red, green and blue."""

Image.MAX_IMAGE_PIXELS = 250_000_000
_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def load_frames(tree: Path, samples: Sequence[Sample]) -> Iterator[tuple[Sample, Pixels | None]]:
    """The frames of one task, in order; None where one cannot be read.

    Refused where the task has neither a video nor an image of each frame.
    """
    name = samples[0].task
    directory, video = tree / name, tree / name / f"{name}.mp4"
    if all((directory / f"{sample.index}.jpg").is_file() for sample in samples):
        yield from ((sample, _read_image(directory / f"{sample.index}.jpg")) for sample in samples)
    elif video.is_file():
        yield from _read_video(video, samples)
    else:
        raise Refused(
            f"The task {quoted(name)} has neither a video nor an image of each frame: run the step frames again.",
            code=FaultCode.NOT_FOUND,
        )


def _read_image(path: Path) -> Pixels | None:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except _UNREADABLE:
        return None


def _read_video(video: Path, samples: Sequence[Sample]) -> Iterator[tuple[Sample, Pixels | None]]:
    frames = _decode(video)
    position = 0
    for sample in samples:
        frame = None
        while position < sample.index:
            frame = next(frames, None)
            position += 1
        yield sample, frame


def _decode(video: Path) -> Iterator[Pixels]:
    """The frames of a video up to the first damage: after that nobody knows which frame is which."""
    try:
        with av.open(f"file:{video}") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_type = "AUTO"
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    return
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except (av.error.FFmpegError, IndexError):
        return
