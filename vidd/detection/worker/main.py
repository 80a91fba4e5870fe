"""Looks at frames in a child of its own: `python -P -m vidd.detection.worker.main`.

It answers `check` (load each of the `detectors` and show it a blank picture), `detect` (look at the frames of all tasks
that are not yet whole), `ask` (list the frames that a program has not answered yet) and `gather` (read its answers).
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.detection import results
from vidd.detection.model_cache import Shelf, by_task
from vidd.errors import Refused
from vidd.model.boxes import Seen
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from vidd.detection.worker.detector import Detector
    from vidd.model.frame_manifest import Sample
    from vidd.processes.worker import Progress

_OFTEN = 0.1


class _Telling:
    """Says how many frames are done, ten times a second at most."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total = progress, total
        self._done, self._told = 0, 0.0

    def add(self, frames: int) -> None:
        self._done += frames
        now = time.monotonic()
        if self._done >= self._total or now - self._told >= _OFTEN:
            self._told = now
            self._progress(self._done, self._total)


def check(orders: dict[str, Any], _: Progress) -> dict[str, Any]:
    """What each detector is; Refused with the version of the first that cannot be had."""
    from vidd.detection.worker.detector import detector_of  # noqa: PLC0415 - only the child has what it needs

    found = {}
    for version, settings in orders["detectors"].items():
        try:
            found[version] = detector_of(settings, orders["threads"]).about
        except Refused as refused:
            raise Refused(f"Version {version} cannot be used. {refused.sentence}") from None
    return {"found": found}


def detect(orders: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Look at all frames, task by task; Refused where no frame can be read."""
    from vidd.detection.worker.detector import detector_of  # noqa: PLC0415

    manifest, shelf = Path(orders["manifest"]), Shelf(Path(orders["room"]))
    telling = _Telling(progress, sum(len(samples) for samples in by_task(manifest)))
    detector = detector_of(orders["detector"], orders["threads"])
    for number, samples in enumerate(by_task(manifest)):
        if shelf.has(number):
            telling.add(len(samples))
            continue
        seen, unreadable = _look(detector, Path(orders["tree"]), samples, telling)
        shelf.put(number, samples, seen, unreadable)
    made = shelf.gather(manifest)
    if made["frames"] and made["unread"] == made["frames"]:
        raise Refused(f"None of the {made['frames']} frames can be read: have them made anew.")
    return made


def _look(detector: Detector, tree: Path, samples: list[Sample], telling: _Telling) -> tuple[list[Seen], list[int]]:
    from vidd.detection.worker.frame_loader import frames  # noqa: PLC0415

    seen, unreadable = [], []
    found = frames(tree, samples)
    while some := list(islice(found, detector.batch)):
        readable = [(sample, picture) for sample, picture in some if picture is not None]
        unreadable += [sample.index for sample, picture in some if picture is None]
        boxes = detector([picture for _, picture in readable]) if readable else []
        seen += [Seen(sample.task, sample.index, its) for (sample, _), its in zip(readable, boxes, strict=True)]
        telling.add(len(some))
    return seen, unreadable


def _ask(orders: dict[str, Any], _: Progress) -> dict[str, Any]:
    return results.ask(orders)


def _gather(orders: dict[str, Any], _: Progress) -> dict[str, Any]:
    return results.gather(orders)


if __name__ == "__main__":
    serve(
        {"check": check, "detect": detect, "ask": _ask, "gather": _gather},
        extra="annotate",
        memory_setting="memory of the step",
    )
