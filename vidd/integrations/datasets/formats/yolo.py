"""What is on a frame as a text: `<class> cx cy w h ` a line, in parts of its sides (YOLO), or with the label's name (DEFAULT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vidd.integrations.datasets.labels import Classes, Mark, Marked


def yolo(frame: Marked, classes: Classes) -> str:
    """A line for each mark of a class; marks of none, and what lies beyond the frame, are left out."""
    return "".join(
        f"{place} {numbers} \n" for mark, numbers in _numbers(frame) if (place := classes.place(mark)) is not None
    )


def default(frame: Marked) -> str:
    """A line for each mark, for data sets that name no labels. The last four words of a line are the numbers."""
    return "".join(f"{' '.join(mark.label.split())} {numbers} \n" for mark, numbers in _numbers(frame))


def _numbers(frame: Marked) -> Iterator[tuple[Mark, str]]:
    for mark in frame.marks:
        box = mark.within(frame.width, frame.height)
        if box is not None:
            left, top, right, bottom = box
            across, down = (left + right) / 2 / frame.width, (top + bottom) / 2 / frame.height
            wide, high = (right - left) / frame.width, (bottom - top) / frame.height
            yield mark, f"{across:.6f} {down:.6f} {wide:.6f} {high:.6f}"
