"""What a program says of frames: which ones it is asked about, and its answers held to that. Standard library only.

It gets a file of JSON lines, one for each frame: `task`, `index`, and the paths of its `picture` (a JPEG, or null) and of
the task's `film` (or null), in which it is the `index`-th frame. It answers with a line for each: `task`, `index`, `boxes`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.detection.model_cache import Shelf, by_task
from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.model.boxes import Seen
from vidd.model.frame_manifest import TaskList

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST = 4 << 20
KEPT = "answers"


def ask(orders: dict[str, Any]) -> dict[str, Any]:
    """Write the frames nobody answered for yet to `asked`; how many there are. What an earlier run was told is kept.

    Of a program that was killed the last line may not be whole: what is no answer to a question is dropped here.
    """
    room, tree, manifest = Path(orders["room"]), Path(orders["tree"]), Path(orders["manifest"])
    left = {(sample.task, sample.index) for samples in by_task(manifest) for sample in samples}
    total = len(left)
    _keep(room, left)
    with Path(orders["asked"]).open("w") as file:
        for samples in by_task(manifest):
            name = samples[0].task
            film = tree / name / f"{name}.mp4"
            whole = str(film) if film.is_file() else None
            for sample in samples:
                picture = tree / name / f"{sample.index}.jpg"
                row = {"task": name, "index": sample.index, "picture": str(picture) if picture.is_file() else None}
                if (name, sample.index) in left:
                    file.write(json.dumps({**row, "film": whole}) + "\n")
    return {"frames": total, "left": len(left)}


def _keep(room: Path, left: set[tuple[str, int]]) -> None:
    """Put the answers that there are into one file; their frames are `left` no more."""
    kept = room / KEPT
    kept.mkdir(parents=True, exist_ok=True)
    earlier = sorted(kept.glob("*.jsonl"))
    with (kept / "whole").open("w") as file:
        for _, seen in _told(earlier, broken=True):
            frame = (seen.task, seen.index)
            if frame in left:
                left.discard(frame)
                file.write(json.dumps(seen.to_json()) + "\n")
        file.flush()
        os.fsync(file.fileno())
    (kept / "whole").rename(kept / "0.jsonl")
    for path in earlier:
        if path.name != "0.jsonl":
            path.unlink()


def gather(orders: dict[str, Any]) -> dict[str, Any]:
    """Sort the answers by task; Refused by line where one is no answer, and by frame where one is missing or is told twice."""
    room, manifest = Path(orders["room"]), Path(orders["manifest"])
    wanted = {(sample.task, sample.index) for samples in by_task(manifest) for sample in samples}
    answers: dict[tuple[str, int], Seen] = {}
    for where, seen in _told(sorted((room / KEPT).glob("*.jsonl")), broken=False):
        frame = (seen.task, seen.index)
        if frame not in wanted:
            raise Refused(
                f"{where} is of frame {seen.index} of {quoted(seen.task)}, and there is none: correct the program."
            )
        if frame in answers:
            raise Refused(f"{where} is of frame {seen.index} of {quoted(seen.task)} once more: correct the program.")
        answers[frame] = seen
    missing = Counter(task for task, _ in wanted - answers.keys())
    if missing:
        task, index = min(wanted - answers.keys())
        raise Refused(
            f"The program left out {missing.total()} of {len(wanted)} frames, such as {index} of {quoted(task)}: it must"
            " write a line for each, also where there is no box."
        )
    shelf, size = Shelf(room), _size(Path(orders["list"]))
    for number, samples in enumerate(by_task(manifest)):
        shelf.put(number, samples, [_cut(answers[sample.task, sample.index], size) for sample in samples], [])
    return shelf.gather(manifest)


def _size(listed: Path) -> tuple[float, float]:
    """Width and height of all frames; of images each has its own."""
    found = TaskList.from_json(json.loads(listed.read_text()))
    return (found.width, found.height) if found.rate else (inf, inf)


def _cut(seen: Seen, size: tuple[float, float]) -> Seen:
    boxes = [box.within(*size) for box in seen.boxes]
    return Seen(seen.task, seen.index, [box for box in boxes if box is not None])


def _told(paths: Sequence[Path], *, broken: bool) -> Iterator[tuple[str, Seen]]:
    """Each answer and where it stands; what is none is left out where `broken` ones may be, and otherwise Refused."""
    for path in paths:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST), b""), 1):
                where = f"Line {number} of what the program wrote"
                if not line.strip():
                    continue
                try:
                    yield where, _read(line)
                except (ValueError, RecursionError) as error:
                    if not broken:
                        raise Refused(f"{where} is no answer ({error}): correct the program.") from None


def _read(line: bytes) -> Seen:
    if len(line) >= _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} bytes")
    return Seen.from_json(json.loads(line))
