"""Makes tasks of existing task videos, frame by frame, without their recording. Never imported by the daemon."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.frames.task_store import TaskStore
from vidd.media.probe.worker.reader import open_media, video_streams
from vidd.model.frame_manifest import Sample, Task
from vidd.model.task_video import TaskVideo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from vidd.media.frames.client import VideoRequest
    from vidd.processes.worker import Progress


def adopt_videos(request: VideoRequest, report: Progress) -> dict[str, Any]:
    """Link the videos into the tree of tasks, with a row for each frame. Refused with the address of a broken one."""
    videos = [TaskVideo(**video) for video in request.videos]
    store = TaskStore(Path(request.room), request.called, request.per_task, names=[video.name for video in videos])
    tasks = store.load_finished()
    found = sum(task.frames for task in tasks)
    for number, video in enumerate(videos[len(tasks) :], len(tasks)):
        report(number, len(videos))
        path = Path(request.path) / video.path
        frames = _count_frames(path, video)
        part = store.begin(number)
        os.link(path, part / path.name)
        rows = [
            # Of the recording's frame nothing is known.
            Sample(video.name, index, frame=index - 1, pts=index - 1, time=0.0, hash="")
            for index in range(1, min(frames, video.frames or frames) + 1)
        ]
        tasks.append(store.finish(number, part, rows, video=True))
    return {"tasks": [asdict(task) for task in tasks], "found": found, **_describe(request, videos, tasks)}


def _describe(request: VideoRequest, videos: list[TaskVideo], tasks: list[Task]) -> dict[str, Any]:
    sizes, rates = [], []
    for video in videos:
        with _open(Path(request.path) / video.path, video) as (_, stream):
            sizes.append((stream.width, stream.height))
            rates.append(float(stream.average_rate or 1))
    short = [
        [quoted(video.shown), f"it has {task.frames} frames and its task {video.frames}"]
        for video, task in zip(videos, tasks, strict=True)
        if task.frames < video.frames
    ]
    return {
        "width": max(width for width, _ in sizes),
        "height": max(height for _, height in sizes),
        "rate": rates[0],
        "source_rate": rates[0],
        "time_base": "1",
        "lost": 0,
        "unreadable": short,
        "dropped": 0,
        "deinterlaced": 0,
    }


def _count_frames(path: Path, video: TaskVideo) -> int:
    """How many frames can be decoded: all that the video says it has, at least one. Refused otherwise."""
    frames = 0
    with _open(path, video) as (container, stream):
        # A decoder's threads that log an error wait for Python, which waits for them where the decoder is closed.
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            if frame.is_corrupt:
                break
            frames += 1
        promised = stream.frames
    if not frames or frames < promised:
        raise _refusal(video, f"only {frames} of {promised} frames can be decoded")
    return frames


@contextmanager
def _open(path: Path, video: TaskVideo) -> Iterator[tuple[InputContainer, VideoStream]]:
    try:
        with open_media(path, video.shown) as container:
            yield container, video_streams(container)[0]
    except (Refused, IndexError):
        raise _refusal(video, "it cannot be read as a video") from None


def _refusal(video: TaskVideo, why: str) -> Refused:
    return Refused(
        f"The video {quoted(video.shown)} of the task {quoted(video.name)} is broken ({why}): put it back and retry the"
        " job, or put the recording back and send the call again."
    )
