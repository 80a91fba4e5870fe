"""Numbers scenes from 0 where an analysis began at -1.

Programs that count scenes from 1 take 1 off for the names of bodies. Of a video without a cut, whose only scene they number
0, that leaves `scene_-01`. Scenes are numbered anew only by steps of 1, for all scenes of a directory alike, so that no scene
becomes another.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_NAME = re.compile(r"scene_(-?\d+)(?=[_.]|$)")
_NUMBERED_BELOW_0 = re.compile(rb'"scene_no"\s*:\s*-')


def number_of(name: str) -> int | None:
    """The number of the scene that a file or directory is called after, such as -1 of `scene_-01`; None without one."""
    found = _NAME.match(name)
    return int(found[1]) if found else None


def begins_below_0(directory: Path) -> bool:
    """Whether the lowest number among the scenes in a directory is -1."""
    numbers = [number for path in directory.iterdir() if (number := number_of(path.name)) is not None]
    return min(numbers, default=0) == -1


def rename_from_0(directory: Path) -> list[str]:
    """Rename the scenes in a directory that begins below 0; returns the old names."""
    numbered = [(number, path) for path in directory.iterdir() if (number := number_of(path.name)) is not None]
    # The highest first, so that each finds its new name free.
    for _, path in sorted(numbered, reverse=True):
        path.rename(path.with_name(_next_name(path.name)))
    return sorted(path.name for _, path in numbered)


def renumber_from_0(paths: Sequence[Path]) -> list[Path]:
    """Number the scenes of JSON files that together begin below 0; returns the files. Broken files stay as they are."""
    if not any(_NUMBERED_BELOW_0.search(path.read_bytes()) for path in paths):
        return []
    try:
        documents = {path: json.loads(path.read_bytes()) for path in paths}
    except ValueError:
        return []
    scenes = [scene for document in documents.values() for scene in _scenes(document)]
    numbers = [scene["scene_no"] for scene in scenes]
    if not all(type(number) is int for number in numbers) or min(numbers, default=0) != -1:
        return []
    for scene in scenes:
        if isinstance(place := scene.get("path"), str):
            above, slash, name = place.rpartition("/")
            scene["path"] = f"{above}{slash}{_next_name(name) if number_of(name) == scene['scene_no'] else name}"
        scene["scene_no"] += 1
    for path, document in documents.items():
        # The file may be a hard link to the analysis's own, which stays as it is.
        part = path.with_name(f".{path.name}.part")
        part.write_text(json.dumps(document))
        part.replace(path)
    return list(documents)


def _next_name(name: str) -> str:
    return _NAME.sub(lambda found: f"scene_{int(found[1]) + 1:03}", name, count=1)


def _scenes(document: Any) -> Iterator[dict[str, Any]]:
    """The scenes in a scene's file, a file of all scenes, or an index."""
    together = document.get("scenes") if isinstance(document, dict) and "scenes" in document else document
    for scene in together if isinstance(together, list) else [together]:
        if isinstance(scene, dict) and "scene_no" in scene:
            yield scene
