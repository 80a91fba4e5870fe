"""Writes the marks of a frame as text: `<class> cx cy w h ` a line, relative to its sides (YOLO), or with the label (DEFAULT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vidd.integrations.datasets.labels import Classes, Mark, MarkedFrame


def yolo(frame: MarkedFrame, classes: Classes) -> str:
    """A line for each mark that has a class; marks without one, and parts outside of the frame, are left out."""
    return "".join(
        f"{index} {numbers} \n" for mark, numbers in _numbers(frame) if (index := classes.index_of(mark)) is not None
    )


def default(frame: MarkedFrame) -> str:
    """A line for each mark, for data sets without a list of labels. The last four words of a line are the numbers."""
    return "".join(f"{' '.join(mark.label.split())} {numbers} \n" for mark, numbers in _numbers(frame))


def _numbers(frame: MarkedFrame) -> Iterator[tuple[Mark, str]]:
    for mark in frame.marks:
        box = mark.within(frame.width, frame.height)
        if box is not None:
            left, top, right, bottom = box
            across, down = (left + right) / 2 / frame.width, (top + bottom) / 2 / frame.height
            wide, high = (right - left) / frame.width, (bottom - top) / frame.height
            yield mark, f"{across:.6f} {down:.6f} {wide:.6f} {high:.6f}"
