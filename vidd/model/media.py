"""What is known of a media file. Times are seconds as float throughout, sizes are bytes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Video:
    """One video stream. `width` and `height` are as stored; `rotation` is clockwise degrees for showing it.

    `rate` is the average frame rate; `variable` says that frame distances differ. `frames` is None where
    the container does not say. `interlaced` says that the first pictures are of two fields. `aspect` is the shape of a
    stored pixel, width to height. `colours` are primaries, transfer and matrix (ITU-T H.273 code points, 2: it does not
    say) and the range (1: limited, 2: full, 0: it does not say).
    """

    codec: str
    width: int
    height: int
    rate: float
    duration: float | None = None
    start: float = 0.0
    frames: int | None = None
    rotation: int = 0
    variable: bool = False
    pixel_format: str = "yuv420p"
    interlaced: bool = False
    aspect: str = "1:1"
    colours: tuple[int, int, int, int] = (2, 2, 2, 0)

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as a person sees them."""
        return (self.height, self.width) if self.rotation % 180 else (self.width, self.height)


@dataclass(frozen=True, slots=True)
class Audio:
    """One audio stream. `layout` is what ffmpeg calls its channels, such as 5.1; empty where it is not known."""

    codec: str
    rate: int
    channels: int
    duration: float | None = None
    start: float = 0.0
    language: str | None = None
    layout: str = ""


@dataclass(frozen=True, slots=True)
class Media:
    """One file: `duration` is the container's, or the longest stream's."""

    container: str
    duration: float
    size: int
    video: tuple[Video, ...] = ()
    audio: tuple[Audio, ...] = ()
    start: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Media:
        """The opposite of `to_json`."""
        return cls(
            container=data["container"],
            duration=data["duration"],
            size=data["size"],
            video=tuple(_video(track) for track in data.get("video", ())),
            audio=tuple(Audio(**track) for track in data.get("audio", ())),
            start=data.get("start", 0.0),
        )


def _video(data: Mapping[str, Any]) -> Video:
    # A record of an older vidd says nothing of colours; JSON has no tuples.
    return Video(**{**data, "colours": tuple(data.get("colours", (2, 2, 2, 0)))})


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory of files: how many there are below it, and the SHA-256 (hex) of their sizes and places."""

    files: int
    digest: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file a step made. `path` is relative to the job's directory; `role` is unique within a job.

    Roles: `source` (what was fetched), `talk` (the cut), `rendition-720p` and so on.
    With `tree` it is a directory and all files below it, which go on as they lie there; `size` is theirs together.
    """

    role: str
    path: str
    size: int
    content_type: str = "video/mp4"
    media: Media | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    tree: Tree | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step leaves: files, and facts (JSON) that later steps, templates and pages can use."""

    artifacts: tuple[Artifact, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A finished step. `fingerprint` changes when its settings do, so a changed step runs again."""

    job: str
    name: str
    kind: str
    fingerprint: str
    outcome: Outcome
    seconds: float
