"""A video's scenes as ranges of its pictures, numbered from 0; pure arithmetic."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Scene:
    """Pictures `start` to `end`, both included, of the whole video."""

    number: int
    start: int
    end: int

    @property
    def name(self) -> str:
        """scene_000 and so on."""
        return f"scene_{self.number:03}"

    @property
    def length(self) -> int:
        """How many pictures."""
        return self.end - self.start + 1

    def to_json(self) -> dict[str, Any]:
        """As the indexes of results have it."""
        return {"scene_no": self.number, "start_frame": self.start, "end_frame": self.end}


def split_scenes(cuts: Sequence[int], frames: int, shortest: int) -> list[Scene]:
    """The scenes between these first pictures of a scene; one shorter than `shortest` goes to the one before it.

    A first scene that is too short takes what comes after it. Without a cut all of it is one scene.
    """
    starts = [0]
    for cut in sorted(set(cuts)):
        if cut - starts[-1] >= shortest and frames - cut >= shortest:
            starts.append(cut)
    return [
        Scene(at, start, end - 1) for at, (start, end) in enumerate(zip(starts, [*starts[1:], frames], strict=True))
    ]


def snap_to_keyframes(cuts: Sequence[int], keyframes: Sequence[int]) -> list[int]:
    """The nearest keyframe of each cut, the earlier one of two; none twice, and not the first picture."""
    found = []
    for cut in cuts:
        at = bisect_left(keyframes, cut)
        near = [keyframe for keyframe in keyframes[max(0, at - 1) : at + 1] if keyframe > 0]
        if near:
            found.append(min(near, key=lambda keyframe: (abs(keyframe - cut), keyframe)))
    return sorted(set(found))


def coverage_fault(scenes: Sequence[Scene], frames: int) -> str | None:
    """What keeps these scenes from covering all frames, each once; None where nothing does."""
    follows = 0
    for at, scene in enumerate(scenes):
        if scene.number != at or scene.start != follows or scene.end < scene.start:
            return f"{scene.name} has the frames {scene.start} to {scene.end}, and {follows} comes next"
        follows = scene.end + 1
    return None if follows == frames else f"the scenes end with frame {follows - 1}, and the video with {frames - 1}"
