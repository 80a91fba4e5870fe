"""What was seen, task by task, on the disk: what is whole of an earlier run stays. Standard library only.

Of each task there is a file of JSON lines: first how many frames were looked at and which could not be read, then a
`Seen` for each frame that has boxes. It gets its name once it is whole.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from vidd.model.frame_manifest import grouped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vidd.model.boxes import Seen
    from vidd.model.frame_manifest import Sample

FILE = "annotations.jsonl"
_MOST_NAMED = 20


@dataclass
class Tally:
    """How many frames there are, how many of them have boxes, how many boxes; which could not be read."""

    frames: int = 0
    annotated: int = 0
    boxes: int = 0
    unread: int = 0
    unreadable: list[str] = field(default_factory=list)


def by_task(manifest: Path) -> Iterator[list[Sample]]:
    """The frames of each task, in order."""
    with manifest.open() as file:
        yield from grouped(file)


class Shelf:
    """The files of one run below `room`."""

    def __init__(self, room: Path) -> None:
        self._room = room
        (room / "seen").mkdir(parents=True, exist_ok=True)

    def has(self, number: int) -> bool:
        """Whether the task of this number (from 0) is whole."""
        return self._path(number).exists()

    def put(self, number: int, samples: Sequence[Sample], seen: Sequence[Seen], unreadable: Sequence[int]) -> None:
        """Take a task in."""
        path = self._path(number)
        part = path.with_suffix(".part")
        with part.open("w") as file:
            file.write(json.dumps({"frames": len(samples), "unreadable": list(unreadable)}) + "\n")
            file.writelines(json.dumps(one.to_json()) + "\n" for one in seen if one.boxes)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)

    def gather(self, manifest: Path) -> dict[str, object]:
        """Put all tasks into one file, `annotations.jsonl`; what there is, in numbers."""
        tally = Tally()
        with (self._room / FILE).open("w") as whole:
            for number, samples in enumerate(by_task(manifest)):
                with self._path(number).open() as file:
                    head = json.loads(file.readline())
                    tally.frames += head["frames"]
                    tally.unread += len(head["unreadable"])
                    tally.unreadable += [f"{samples[0].task} {index}" for index in head["unreadable"]]
                    tally.unreadable = tally.unreadable[:_MOST_NAMED]
                    for line in file:
                        whole.write(line)
                        tally.annotated += 1
                        tally.boxes += len(json.loads(line)["boxes"])
        return asdict(tally)

    def _path(self, number: int) -> Path:
        return self._room / "seen" / f"{number:06}.jsonl"
