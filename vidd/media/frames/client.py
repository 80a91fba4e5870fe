"""Takes frames out of a foreign recording, in a child of its own: `python -P -m vidd.media.frames.client`.

It answers `sample`, with the fields of `Orders`, and `gather`, with those of `ImageOrders`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.frames.task_store import TASKS, Shelf
from vidd.model.frame_manifest import Sample, Task
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vidd.media.frames.worker.reader import Samples
    from vidd.media.frames.worker.task_video import Film
    from vidd.processes.worker import Progress

_TELL_EVERY = 10


@dataclass(frozen=True)
class Orders:
    """What is wanted. `rate` is frames a second as a fraction, `quality` that of JPEG (1 to 100), `thumbnail` pixels at most."""

    path: str
    name: str
    called: str
    room: str
    rate: str
    per_task: int
    films: bool
    images: bool
    thumbnails: bool
    thumbnail: int
    quality: int
    crf: int
    preset: str
    keyframes: int
    deinterlace: bool
    prune: bool
    threads: int


@dataclass
class _Open:
    """The task that is being made."""

    number: int
    part: Path
    film: Film | None
    rows: list[Sample] = field(default_factory=list)


class _Sampler:
    def __init__(self, orders: Orders, shelf: Shelf, samples: Samples, progress: Progress) -> None:
        from vidd.media.frames.worker.normalize import Upright  # noqa: PLC0415 - only the child opens media

        self._orders, self._shelf, self._samples, self._progress = orders, shelf, samples, progress
        self._upright = Upright(deinterlace=orders.deinterlace)
        self._tasks: list[Task] = shelf.found()
        self._open: _Open | None = None
        self._there = self.found = sum(one.frames for one in self._tasks)

    def run(self, stream: VideoStream) -> dict[str, Any]:
        """Make what is missing."""
        samples = self._samples
        self._tell()
        for number, frame in samples.frames(stream, self._taken()):
            self._take(number, frame)
        if self._open is not None:
            self._finish(self._open)
        if not self._tasks:
            raise Refused(f"No frame of {quoted(self._orders.name)} could be decoded: send the file again, whole.")
        size = self._upright.size or self._size_of_films()
        return {
            "tasks": [asdict(one) for one in self._tasks],
            "width": size[0],
            "height": size[1],
            "source_rate": float(samples.source_rate),
            "time_base": str(samples.time_base),
            "lost": samples.lost if samples.total is None else samples.total - self._there,
            "dropped": samples.dropped,
            "deinterlaced": self._upright.deinterlaced,
            "found": self.found,
        }

    def _taken(self) -> int:
        """How many of the wanted frames the tasks that are there went through, decoded or lost."""
        if not self._tasks:
            return 0
        last = self._tasks[-1].last
        return sum(1 for one in self._samples.wanted if one <= last) if self._samples.wanted else self._there

    def _take(self, number: int, frame: VideoFrame) -> None:
        from vidd.media.frames.frame_hash import picture_hash  # noqa: PLC0415

        task = self._open = self._open or self._begin()
        row = Sample(
            task=self._shelf.called(task.number),
            index=len(task.rows) + 1,
            frame=number,
            pts=frame.pts or 0,
            time=round(float(((frame.pts or 0) - self._samples.begin) * self._samples.time_base), 6),
            hash=picture_hash(frame),
        )
        picture = self._upright(frame)
        if self._orders.images or self._orders.thumbnails:
            self._write_images(task.part, row.index, picture)
        if task.film is not None:
            task.film.add(picture)
        task.rows.append(row)
        self._there += 1
        if self._there % _TELL_EVERY == 0:
            self._tell()
        if len(task.rows) == self._orders.per_task:
            self._finish(task)

    def _begin(self) -> _Open:
        from vidd.media.frames.worker.task_video import Film, Look  # noqa: PLC0415

        orders, number = self._orders, len(self._tasks)
        part = self._shelf.begin(number)
        look = Look(orders.crf, orders.preset, orders.keyframes, orders.threads)
        path = part / f"{self._shelf.called(number)}.mp4"
        return _Open(number, part, Film(path, Fraction(orders.rate), look) if orders.films else None)

    def _finish(self, task: _Open) -> None:
        if task.film is not None:
            task.film.close()
        self._tasks.append(self._shelf.finish(task.number, task.part, task.rows, film=task.film is not None))
        self._open = None
        self._tell()

    def _write_images(self, part: Path, index: int, picture: VideoFrame) -> None:
        from vidd.media.frames.worker.jpeg import picture_of, save  # noqa: PLC0415

        orders = self._orders
        save(
            picture_of(picture),
            part / f"{index}.jpg" if orders.images else None,
            part / f"{index}_thumbnail.jpg" if orders.thumbnails else None,
            quality=orders.quality,
            largest=orders.thumbnail,
        )

    def _size_of_films(self) -> tuple[int, int]:
        """Where all was there already nothing was decoded: the size is that of what lies there."""
        from vidd.media.frames.worker.jpeg import size_of  # noqa: PLC0415

        return size_of(self._shelf.room / TASKS / self._tasks[0].name)

    def _tell(self) -> None:
        self._progress(self._there, self._samples.total)


def sample(orders: Orders, progress: Progress) -> dict[str, Any]:
    """All of it; Refused or RetryLater with a sentence."""
    from vidd.media.frames.worker.reader import Samples  # noqa: PLC0415

    shelf = Shelf(Path(orders.room), orders.called, orders.per_task)
    with _picture(orders) as stream:
        samples = Samples(stream, Fraction(orders.rate), orders.name, prune=orders.prune)
    with _picture(orders) as stream:
        return _Sampler(orders, shelf, samples, progress).run(stream)


@contextmanager
def _picture(orders: Orders) -> Iterator[VideoStream]:
    """The picture of the recording, open."""
    from vidd.media.probe.worker.reader import opened, picture_streams  # noqa: PLC0415

    with opened(Path(orders.path), orders.name) as container:
        streams = picture_streams(container)
        if not streams:
            raise Refused(f"The file {quoted(orders.name)} has no video stream: send the recording with picture.")
        streams[0].codec_context.thread_type = "AUTO"
        streams[0].codec_context.thread_count = orders.threads
        yield streams[0]


def _sample(question: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return sample(Orders(**question["orders"]), progress)


def _gather(question: dict[str, Any], progress: Progress) -> dict[str, Any]:
    from vidd.media.frames.worker.image_tasks import ImageOrders, gather  # noqa: PLC0415

    return gather(ImageOrders(**question["orders"]), progress)


if __name__ == "__main__":
    serve({"sample": _sample, "gather": _gather}, memory_setting="memory of [ffmpeg]")
