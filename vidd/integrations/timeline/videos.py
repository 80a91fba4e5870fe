"""The names of a timeline's video: its id, its files, and the directory in which they are shown.

The directory of a video holds its files, each called as in its address, and `video.json`, which describes them. It is
renamed into place as a whole: a video is there with everything, or not at all.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from vidd.files.removal import remove

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMATS: Mapping[str, str] = {"mp4": ".mp4", "webm": ".webm", "ogg": ".ogg", "av1": "-av1.mp4"}
"""The formats that may be asked for, each with the end of its file's name."""
DESCRIPTION = "video.json"

_USER = r"[A-Za-z0-9_.@-]{1,60}"
_KEY = r"[0-9a-f]{32}"
_ID = re.compile(rf"{_USER}-({_KEY})")
_FILE = re.compile(rf"({_USER}-{_KEY})[.-][A-Za-z0-9_.-]{{1,80}}")
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,80}")
_LEFTOVER = 86400.0
"""Seconds after which what a killed run left belongs to nobody any more."""


def video_id(user: str, key: str) -> str:
    """The id of a video: the user as a part of an address, and the key (32 hex digits)."""
    name = re.sub(r"[^A-Za-z0-9_.@-]+", "-", user.removeprefix("https://").removeprefix("http://"))
    return f"{name[:60].strip('.-@') or 'posts'}-{key}"


def video_name(video: str, form: str) -> str:
    """The name of a video's file in a format."""
    return f"{video}{FORMATS[form]}"


def key_in(video: str) -> str | None:
    """The key in a video's id; None if no video can have this id."""
    found = _ID.fullmatch(video)
    return found[1] if found else None


def file_path(directory: Path, file: str, *inside: str) -> Path | None:
    """The path of a file by the parts of its address; None if no file can have it."""
    found = _FILE.fullmatch(file)
    if found is None or not all(_PART.fullmatch(part) for part in inside):
        return None
    return (directory / found[1] / file).joinpath(*inside)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFile:
    """A file of a video. `name` is its path below the video's directory, and in its address.

    type: its content type. label: what people read, such as "MP4" and its size. duration: in seconds.
    """

    name: str
    role: str
    type: str
    size: int
    label: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A video that can be watched: the job that made it, its files in the order in which a player should try them.

    poster: the name of the still. notes: sentences about what is missing in it.
    """

    id: str
    job: str
    user: str
    network: str
    files: tuple[VideoFile, ...] = ()
    poster: str | None = None
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The video of a document by `to_json`. Raises KeyError or TypeError for anything else."""
        files = tuple(VideoFile(**file) for file in document["files"])
        return cls(**{**document, "files": files, "notes": tuple(document["notes"])})


def read_video(directory: Path, video: str) -> Video | None:
    """The description of the video with this id; None where it is not there. Blocks."""
    try:
        return Video.from_json(json.loads((directory / video / DESCRIPTION).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_old_videos(directory: Path, now: float, keep: float) -> int:
    """Remove the videos that were published `keep` seconds ago or earlier, and what killed runs left. Blocks.

    `now` is in seconds since 1970. Returns how many videos it removed.
    """
    removed = 0
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if path.name.startswith("."):
            if path.stat().st_mtime < now - _LEFTOVER:
                remove(path, ignore_errors=True)
            continue
        description = path / DESCRIPTION
        if _ID.fullmatch(path.name) and description.is_file() and description.stat().st_mtime <= now - keep:
            remove_video(directory, path.name)
            removed += 1
    return removed


def remove_video(directory: Path, video: str) -> None:
    """Remove a video, from one moment to the next. Blocks."""
    gone = directory / f".{video}.gone"
    remove(gone, ignore_errors=True)
    if (directory / video).is_dir():
        (directory / video).rename(gone)
    remove(gone, ignore_errors=True)
