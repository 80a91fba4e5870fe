"""The worker that makes tasks of frames or images: `python -m vidd.media.frames.worker.main`.

It answers `sample`, with a `SampleRequest`, `gather`, with an `ImageRequest`, and `adopt`, with a `VideoRequest`, by the protocol of
`vidd.processes.worker`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.frames.client import ImageRequest, SampleRequest, VideoRequest
from vidd.media.frames.frame_hash import frame_hash
from vidd.media.frames.task_store import TASKS, TaskStore
from vidd.media.frames.worker.existing_tasks import adopt_videos
from vidd.media.frames.worker.image_tasks import gather_images
from vidd.media.frames.worker.jpeg import save_images, task_size, to_image
from vidd.media.frames.worker.normalize import Normalizer
from vidd.media.frames.worker.sampler import FrameSampler
from vidd.media.frames.worker.task_video import TaskVideo, TaskVideoSettings
from vidd.media.probe.worker.reader import open_media, video_streams
from vidd.model.frame_manifest import Sample, Task
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vidd.processes.worker import Progress

_PROGRESS_EVERY = 10


@dataclass
class _OpenTask:
    """The task that is being made."""

    number: int
    part: Path
    video: TaskVideo | None
    rows: list[Sample] = field(default_factory=list)


class _TaskMaker:
    """Makes the missing tasks of a recording from its sampled frames."""

    def __init__(self, request: SampleRequest, sampler: FrameSampler, report: Progress) -> None:
        first, self._finished = _finished(request, sampler)
        store = TaskStore(Path(request.room), request.called, request.per_task, first)
        self._request, self._store, self._sampler, self._report = request, store, sampler, report
        self._normalize = Normalizer(deinterlace=request.deinterlace)
        self._tasks: list[Task] = store.load_finished()
        self._open: _OpenTask | None = None
        self._frames = self._found = sum(task.frames for task in self._tasks)

    def run(self, stream: VideoStream) -> dict[str, Any]:
        """Make what is missing, and describe all tasks."""
        sampler = self._sampler
        self._report_progress()
        for number, frame in sampler.frames(stream, self._samples_done()):
            self._add(number, frame)
        if self._open is not None:
            self._finish(self._open)
        if not self._tasks:
            raise Refused(f"No frame of {quoted(self._request.name)} could be decoded: send the file again, whole.")
        size = self._normalize.size or self._size_of_tasks()
        return {
            "tasks": [asdict(task) for task in self._tasks],
            "width": size[0],
            "height": size[1],
            "rate": float(sampler.rate),
            "source_rate": float(sampler.source_rate),
            "time_base": str(sampler.time_base),
            "lost": sampler.lost if sampler.total is None else sampler.total - self._finished - self._frames,
            "dropped": sampler.dropped,
            "deinterlaced": self._normalize.deinterlaced,
            "found": self._found,
        }

    def _samples_done(self) -> int:
        """How many samples the existing tasks went through, decoded or lost."""
        if not self._tasks or not self._sampler.wanted:
            return self._finished + self._frames
        last = self._tasks[-1].last
        return sum(number <= last for number in self._sampler.wanted)

    def _add(self, number: int, frame: VideoFrame) -> None:
        task = self._open = self._open or self._begin()
        row = Sample(
            task=self._store.task_name(task.number),
            index=len(task.rows) + 1,
            frame=number,
            pts=frame.pts or 0,
            time=round(float(((frame.pts or 0) - self._sampler.begin) * self._sampler.time_base), 6),
            hash=frame_hash(frame),
        )
        normalized = self._normalize(frame)
        if self._request.images or self._request.thumbnails:
            self._write_images(task.part, row.index, normalized)
        if task.video is not None:
            task.video.add(normalized)
        task.rows.append(row)
        self._frames += 1
        if self._frames % _PROGRESS_EVERY == 0:
            self._report_progress()
        if len(task.rows) == self._request.per_task:
            self._finish(task)

    def _begin(self) -> _OpenTask:
        request, number = self._request, self._store.first + len(self._tasks)
        part = self._store.begin(number)
        if not request.films:
            return _OpenTask(number, part, None)
        settings = TaskVideoSettings(request.crf, request.preset, request.keyframes, request.threads)
        path = part / f"{self._store.task_name(number)}.mp4"
        return _OpenTask(number, part, TaskVideo(path, self._sampler.rate, settings))

    def _finish(self, task: _OpenTask) -> None:
        if task.video is not None:
            task.video.close()
        self._tasks.append(self._store.finish(task.number, task.part, task.rows, video=task.video is not None))
        self._open = None
        self._report_progress()

    def _write_images(self, part: Path, index: int, frame: VideoFrame) -> None:
        request = self._request
        save_images(
            to_image(frame),
            part / f"{index}.jpg" if request.images else None,
            part / f"{index}_thumbnail.jpg" if request.thumbnails else None,
            quality=request.quality,
            largest=request.thumbnail,
        )

    def _size_of_tasks(self) -> tuple[int, int]:
        """The size of the frames in the first task: where every task exists already, no frame is decoded."""
        return task_size(self._store.directory / TASKS / self._tasks[0].name)

    def _report_progress(self) -> None:
        self._report(self._finished + self._frames, self._sampler.total)


def _finished(request: SampleRequest, sampler: FrameSampler) -> tuple[int, int]:
    """How many tasks and samples another system finished; one task less where no sample would be left."""
    tasks, wanted = request.finished_tasks, sampler.wanted
    samples = sum(number < request.finished_frames for number in wanted) if wanted else tasks * request.per_task
    if tasks and samples == sampler.total:
        return tasks - 1, max(0, samples - request.per_task)
    return tasks, samples


def make_frame_tasks(request: SampleRequest, report: Progress) -> dict[str, Any]:
    """Make the tasks of a recording; Refused or RetryLater with a sentence."""
    with _open_video(request) as stream:
        sampler = FrameSampler(stream, Fraction(request.rate), request.name, prune=request.prune)
    with _open_video(request) as stream:
        return _TaskMaker(request, sampler, report).run(stream)


@contextmanager
def _open_video(request: SampleRequest) -> Iterator[VideoStream]:
    """The video stream of the recording, open."""
    with open_media(Path(request.path), request.name) as container:
        streams = video_streams(container)
        if not streams:
            raise Refused(f"The file {quoted(request.name)} has no video stream: send the recording with its video.")
        streams[0].codec_context.thread_type = "AUTO"
        streams[0].codec_context.thread_count = request.threads
        yield streams[0]


def _sample(question: dict[str, Any], report: Progress) -> dict[str, Any]:
    return make_frame_tasks(SampleRequest(**question["request"]), report)


def _gather(question: dict[str, Any], report: Progress) -> dict[str, Any]:
    return gather_images(ImageRequest(**question["request"]), report)


def _adopt(question: dict[str, Any], report: Progress) -> dict[str, Any]:
    return adopt_videos(VideoRequest(**question["request"]), report)


if __name__ == "__main__":
    serve({"sample": _sample, "gather": _gather, "adopt": _adopt}, memory_setting="memory of [ffmpeg]")
