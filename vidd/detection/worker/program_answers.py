"""Lists the frames that a program must look at, and reads its answers. Standard library only.

The program gets a file of JSON lines, one for each frame: `task`, `index`, and the paths of its `picture` (a JPEG, or null)
and of the task's `film` (a video, or null), in which it is the `index`-th frame. It answers each with a line: `task`,
`index`, `boxes`.
"""

from __future__ import annotations

import json
import os
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.detection.worker.task_results import TaskResults, read_tasks
from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.model.boxes import FrameBoxes
from vidd.model.frame_manifest import TaskList

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vidd.processes.worker import Progress

_LONGEST = 4 << 20
_ANSWERS = "answers"


def ask(orders: dict[str, Any], _: Progress) -> dict[str, Any]:
    """Write the frames without an answer to the file `asked`; returns how many frames there are, and how many are `left`.

    Valid answers of an earlier run are kept. The last line of a program that was killed may be incomplete: lines that are
    not valid are dropped here.
    """
    directory, tree, manifest = Path(orders["directory"]), Path(orders["tree"]), Path(orders["manifest"])
    frames = {(sample.task, sample.index) for samples in read_tasks(manifest) for sample in samples}
    left = frames - _keep_answers(directory / _ANSWERS, frames)
    with Path(orders["asked"]).open("w") as file:
        for samples in read_tasks(manifest):
            name = samples[0].task
            video = tree / name / f"{name}.mp4"
            film = str(video) if video.is_file() else None
            for sample in samples:
                if (name, sample.index) in left:
                    image = tree / name / f"{sample.index}.jpg"
                    picture = str(image) if image.is_file() else None
                    row = {"task": name, "index": sample.index, "picture": picture, "film": film}
                    file.write(json.dumps(row) + "\n")
    return {"frames": len(frames), "left": len(left)}


def _keep_answers(directory: Path, frames: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Put the valid answers into one file; returns their frames."""
    directory.mkdir(parents=True, exist_ok=True)
    earlier = sorted(directory.glob("*.jsonl"))
    answered: set[tuple[str, int]] = set()
    part = directory / "whole"
    with part.open("w") as file:
        for _where, answer in _read_answers(earlier, skip_invalid=True):
            frame = (answer.task, answer.index)
            if frame in frames and frame not in answered:
                answered.add(frame)
                file.write(json.dumps(answer.to_json()) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.rename(directory / "0.jsonl")
    for path in earlier:
        if path.name != "0.jsonl":
            path.unlink()
    return answered


def collect(orders: dict[str, Any], _: Progress) -> dict[str, Any]:
    """Sort the answers by task. Refused where a line is not valid, or where a frame has no answer, or two."""
    directory, manifest = Path(orders["directory"]), Path(orders["manifest"])
    frames = {(sample.task, sample.index) for samples in read_tasks(manifest) for sample in samples}
    answers = _unique_answers(directory / _ANSWERS, frames)
    if missing := frames - answers.keys():
        task, index = min(missing)
        raise Refused(
            f"The program left out {len(missing)} of {len(frames)} frames, such as {index} of {quoted(task)}: it must"
            " write a line for each frame, also where there is no box."
        )
    results, size = TaskResults(directory), _frame_size(Path(orders["list"]))
    for number, samples in enumerate(read_tasks(manifest)):
        results.put(number, samples, [_clip(answers[sample.task, sample.index], size) for sample in samples], [])
    return results.join(manifest)


def _unique_answers(directory: Path, frames: set[tuple[str, int]]) -> dict[tuple[str, int], FrameBoxes]:
    answers: dict[tuple[str, int], FrameBoxes] = {}
    for where, answer in _read_answers(sorted(directory.glob("*.jsonl")), skip_invalid=False):
        frame, name = (answer.task, answer.index), f"frame {answer.index} of {quoted(answer.task)}"
        if frame not in frames:
            raise Refused(f"{where} is for {name}, which does not exist: correct the program.")
        if frame in answers:
            raise Refused(f"{where} is a second answer for {name}: correct the program.")
        answers[frame] = answer
    return answers


def _frame_size(task_list: Path) -> tuple[float, float]:
    """Width and height of all frames; infinite for images, whose sizes differ."""
    found = TaskList.from_json(json.loads(task_list.read_text()))
    return (found.width, found.height) if found.source_rate else (inf, inf)


def _clip(answer: FrameBoxes, size: tuple[float, float]) -> FrameBoxes:
    boxes = [box.within(*size) for box in answer.boxes]
    return FrameBoxes(answer.task, answer.index, [box for box in boxes if box is not None])


def _read_answers(paths: Sequence[Path], *, skip_invalid: bool) -> Iterator[tuple[str, FrameBoxes]]:
    """Each answer, and the words for its line. An invalid line is skipped, or else Refused."""
    for path in paths:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST), b""), 1):
                where = f"Line {number} of the program's answers"
                if not line.strip():
                    continue
                try:
                    yield where, _parse(line)
                except (ValueError, RecursionError) as error:
                    if not skip_invalid:
                        raise Refused(f"{where} is not valid ({error}): correct the program.") from None


def _parse(line: bytes) -> FrameBoxes:
    if len(line) >= _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} bytes")
    return FrameBoxes.from_json(json.loads(line))
