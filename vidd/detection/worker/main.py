"""Runs detectors on frames, in a child: `python -P -m vidd.detection.worker.main`.

It answers `check` (load each of the `detectors` and run it on a blank frame), `detect` (run the detector on the frames of
all tasks that are not complete), `ask` (list the frames that a program must look at) and `collect` (read the program's
answers).
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.detection.worker.detector import make_detector
from vidd.detection.worker.program_answers import ask, collect
from vidd.detection.worker.task_results import TaskResults, read_tasks
from vidd.errors import Refused
from vidd.model.boxes import FrameBoxes
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from vidd.detection.worker.detector import Detector
    from vidd.model.frame_manifest import Sample
    from vidd.processes.worker import Progress

_INTERVAL = 0.1


class _FrameCount:
    """Reports how many frames are done, ten times a second at most."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total = progress, total
        self._done, self._reported = 0, 0.0

    def add(self, frames: int) -> None:
        self._done += frames
        now = time.monotonic()
        if self._done >= self._total or now - self._reported >= _INTERVAL:
            self._reported = now
            self._progress(self._done, self._total)


def check(orders: dict[str, Any], _: Progress) -> dict[str, Any]:
    """Describe each detector. Refused with the version of the first that cannot be loaded."""
    found = {}
    for version, settings in orders["detectors"].items():
        try:
            found[version] = make_detector(settings, orders["threads"]).about
        except Refused as refused:
            raise Refused(f"Version {version} cannot be used. {refused.sentence}") from None
    return {"found": found}


def detect(orders: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Run the detector on all frames, task by task. Refused where no frame can be read."""
    manifest, results = Path(orders["manifest"]), TaskResults(Path(orders["directory"]))
    count = _FrameCount(progress, sum(len(samples) for samples in read_tasks(manifest)))
    detector = make_detector(orders["detector"], orders["threads"])
    for number, samples in enumerate(read_tasks(manifest)):
        if results.has(number):
            count.add(len(samples))
            continue
        boxes, unreadable = _detect_task(detector, Path(orders["tree"]), samples, count)
        results.put(number, samples, boxes, unreadable)
    made = results.join(manifest)
    if made["frames"] and made["unread"] == made["frames"]:
        raise Refused(f"None of the {made['frames']} frames can be read: run the step frames again.")
    return made


def _detect_task(
    detector: Detector, tree: Path, samples: list[Sample], count: _FrameCount
) -> tuple[list[FrameBoxes], list[int]]:
    # `ask` and `collect` work without numpy, which this needs.
    from vidd.detection.worker.frame_loader import load_frames  # noqa: PLC0415

    found: list[FrameBoxes] = []
    unreadable: list[int] = []
    frames = load_frames(tree, samples)
    while batch := list(islice(frames, detector.batch)):
        readable = [(sample, pixels) for sample, pixels in batch if pixels is not None]
        unreadable += [sample.index for sample, pixels in batch if pixels is None]
        boxes = detector([pixels for _, pixels in readable]) if readable else []
        found += [
            FrameBoxes(sample.task, sample.index, frame_boxes)
            for (sample, _), frame_boxes in zip(readable, boxes, strict=True)
        ]
        count.add(len(batch))
    return found, unreadable


if __name__ == "__main__":
    serve(
        {"check": check, "detect": detect, "ask": ask, "collect": collect},
        extra="annotate",
        memory_setting="memory of the step",
    )
