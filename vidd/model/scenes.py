"""Divides a video into scenes, which are ranges of its frames (numbered from 0); no I/O."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Scene:
    """The frames `start` to `end`, both included, of the whole video."""

    number: int
    start: int
    end: int

    @property
    def name(self) -> str:
        """The name of the scene, such as scene_000."""
        return f"scene_{self.number:03}"

    @property
    def length(self) -> int:
        """The number of frames."""
        return self.end - self.start + 1

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types, with the keys of the index files."""
        return {"scene_no": self.number, "start_frame": self.start, "end_frame": self.end}


def split_scenes(cuts: Sequence[int], frames: int, shortest: int) -> list[Scene]:
    """The scenes of a video with this many frames; each cut is the number of the first frame of a scene.

    A scene of fewer than `shortest` frames is joined to the scene before it, the first scene to the one after it. Without
    a cut the whole video is one scene.
    """
    starts = [0]
    for cut in sorted(set(cuts)):
        if cut - starts[-1] >= shortest and frames - cut >= shortest:
            starts.append(cut)
    return [
        Scene(at, start, end - 1) for at, (start, end) in enumerate(zip(starts, [*starts[1:], frames], strict=True))
    ]


def snap_to_keyframes(cuts: Sequence[int], keyframes: Sequence[int]) -> list[int]:
    """The nearest keyframe of each cut, the earlier of two; each keyframe once, and not frame 0."""
    found = []
    for cut in cuts:
        at = bisect_left(keyframes, cut)
        near = [keyframe for keyframe in keyframes[max(0, at - 1) : at + 1] if keyframe > 0]
        if near:
            found.append(min(near, key=lambda keyframe: (abs(keyframe - cut), keyframe)))
    return sorted(set(found))


def coverage_fault(scenes: Sequence[Scene], frames: int) -> str | None:
    """Why the scenes do not cover all frames exactly once; None if they do."""
    follows = 0
    for at, scene in enumerate(scenes):
        if scene.number != at or scene.start != follows or scene.end < scene.start:
            return f"{scene.name} has the frames {scene.start} to {scene.end}, and {follows} comes next"
        follows = scene.end + 1
    return None if follows == frames else f"the scenes end with frame {follows - 1}, and the video with {frames - 1}"
