"""Makes tasks of the frames of a recording, or of images, in a child (`vidd.media.frames.worker.main`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.processes.worker_client import retry_if_died, run_worker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.ports import StepContext

_WORKER = "vidd.media.frames.worker.main"
_MEMORY = 8 << 30
# Seconds without a report of progress; before the first one all packets of a recording are read.
_QUIET = 900.0
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""The suffixes of images, in small letters."""


@dataclass(frozen=True)
class ImageRequest:
    """A request for tasks of images; its fields are the keys of the worker's JSON.

    `path` is an image, or a zip file or a directory of images, `name` what the operator knows it by, `called` its name in
    the names of tasks, `room` the directory of the `TaskStore`. `per_task` are the frames of a task. `films` are task
    videos, encoded with `crf`, `preset` and at most `keyframes` frames between keyframes, in `threads` threads. `quality`
    is that of JPEG (1 to 100), `thumbnail` the longer side of thumbnails (pixels).
    """

    path: str
    name: str
    called: str
    room: str
    per_task: int
    films: bool
    thumbnails: bool
    thumbnail: int
    quality: int
    crf: int
    preset: str
    keyframes: int
    threads: int


@dataclass(frozen=True)
class SampleRequest(ImageRequest):
    """A request for the frames of a recording (`path`) at `rate`, frames a second as a fraction.

    Another system finished the first `finished_tasks`, with the recording's first `finished_frames`.
    """

    rate: str
    images: bool
    deinterlace: bool
    prune: bool
    finished_tasks: int
    finished_frames: int


@dataclass(frozen=True)
class VideoRequest:
    """A request for tasks of existing task `videos`, the fields of `TaskVideo` each, below the directory `path`.

    The other fields are those of an `ImageRequest`.
    """

    path: str
    name: str
    called: str
    room: str
    per_task: int
    videos: Sequence[Mapping[str, Any]]


async def make_tasks(request: SampleRequest | ImageRequest | VideoRequest, context: StepContext) -> dict[str, Any]:
    """Make all tasks that are missing, and return what the worker reports about all of them.

    Refused or RetryLater with the worker's sentence; RetryLater where it ended without one.
    """
    verbs: dict[type, str] = {SampleRequest: "sample", ImageRequest: "gather", VideoRequest: "adopt"}
    order = {"ask": verbs[type(request)], "request": asdict(request)}
    memory = context.tools.encoder.memory or _MEMORY
    with retry_if_died(f"extracting the frames of {quoted(request.name)}"):
        return await run_worker(_WORKER, order, context, quiet=_QUIET, memory=memory)
