"""Media files, artifacts and the outcomes of steps. Times are in seconds (float), sizes in bytes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Video:
    """One video stream.

    width, height: the stored size in pixels; a player turns the frame by `rotation` (degrees clockwise).
    rate: the average number of frames per second; `variable` means that the distances between frames differ.
    frames: None if the container does not say.
    interlaced: whether the first frames consist of two fields.
    aspect: the shape of a stored pixel, width to height.
    colours: primaries, transfer, matrix (code points of ITU-T H.273; 2: unspecified), and the range (1: limited, 2: full,
        0: unspecified).
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
    def display_size(self) -> tuple[int, int]:
        """Width and height in pixels after the rotation."""
        return (self.height, self.width) if self.rotation % 180 else (self.width, self.height)


@dataclass(frozen=True, slots=True)
class Audio:
    """One audio stream. `rate` is in Hz; `layout` is ffmpeg's name of the channel layout, such as 5.1, or empty."""

    codec: str
    rate: int
    channels: int
    duration: float | None = None
    start: float = 0.0
    language: str | None = None
    layout: str = ""


@dataclass(frozen=True, slots=True)
class Media:
    """One media file. `duration` is the container's, or the longest stream's; `size` is in bytes."""

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
        """From the fields that `to_json` writes."""
        return cls(
            container=data["container"],
            duration=data["duration"],
            size=data["size"],
            video=tuple(_video(track) for track in data.get("video", ())),
            audio=tuple(Audio(**track) for track in data.get("audio", ())),
            start=data.get("start", 0.0),
        )


def _video(data: Mapping[str, Any]) -> Video:
    # A record of an older vidd has no colours. JSON has no tuples.
    return Video(**{**data, "colours": tuple(data.get("colours", (2, 2, 2, 0)))})


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory of files: how many it holds, and the SHA-256 (hex) of their sizes and paths."""

    files: int
    digest: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a step made. `path` is relative to the job's directory; `role` is unique within a job.

    Roles: `source` (the fetched file), `talk` (the cut), `rendition-720p` and so on.
    An artifact with a `tree` is a directory with all files below it; `size` is the sum of their sizes.
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
    """What a step produced: files, and facts (JSON) for later steps, templates and pages.

    left: by the name of a later step, the digest of the files that it needs, where this step made or changed them.
    """

    artifacts: tuple[Artifact, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A finished step. `fingerprint` changes with its settings, so a changed step runs again.

    `seconds` is how long it ran; `ended` is when, None in a record of an older vidd.
    """

    job: str
    name: str
    kind: str
    fingerprint: str
    outcome: Outcome
    seconds: float
    ended: datetime | None = None
