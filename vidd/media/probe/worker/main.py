"""Answers the questions of `vidd.media.probe.client`: `python -P -m vidd.media.probe.worker.main`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.media.probe.worker import measure, reader, segments
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from vidd.processes.worker import Progress


def describe(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    """What a file holds."""
    return {"media": reader.describe(Path(question["path"]), question["name"]).to_json()}


def seek_point(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    """Where to seek to before a time."""
    return {"point": measure.seek_point(Path(question["path"]), question["name"], question["start"])}


def count(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    """How many frames lie between two times."""
    return {
        "number": measure.count_frames(Path(question["path"]), question["name"], question["start"], question["end"])
    }


def segment(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    """What a segment of an encode holds."""
    return segments.segment(Path(question["path"]), question["name"])


def keyframes(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    """Some of the last keyframes before a time."""
    return {"keyframes": segments.keyframes(Path(question["path"]), question["name"], question["before"])}


if __name__ == "__main__":
    serve(
        {
            "describe": describe,
            "seek_point": seek_point,
            "count": count,
            "segment": segment,
            "keyframes": keyframes,
        }
    )
