"""A directory of results of an analysis of people: whether all of it is right, and what can be made of the rest.

By scene there are poses and boxes, in the plane and in space, and bodies; beside them one file with all scenes and an
index. Boxes are poses without their joints. What is missing and follows from what is there is made; what is there is
only looked at. It is run as a program of its own: the files may be large and from anywhere.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.files.tree import leaves
from vidd.processes.worker import serve
from vidd.programs.json_shapes import ShapeError, read

if TYPE_CHECKING:
    from vidd.processes.worker import Progress


@dataclass(frozen=True)
class Kind:
    """A directory of one kind: `scene` is a scene's file, `{}` its number; `poses` is the kind whose boxes these are."""

    name: str
    scene: str
    shape: str
    together: str
    index: str
    poses: str | None = None

    def scene_files(self, root: Path) -> list[Path]:
        """The files of the scenes, in their order; ShapeError where one is missing or not named as it should be."""
        found = sorted(path for path in (root / self.name).glob("scene_*.json"))
        for at, path in enumerate(found):
            wanted = self.scene.format(f"{at:03}")
            if path.name != wanted:
                raise ShapeError(f"is {path.name} where {wanted} should be: scenes are numbered from 000 without a gap")
        return found


KINDS = (
    Kind("2d_poses", "scene_{}_poses.json", "poses", "poses.json", "index"),
    Kind("3d_poses", "scene_{}_poses3d.json", "poses3d", "poses.json", "index3d"),
    Kind("2d_BoundingBoxes", "scene_{}.json", "boxes", "BBs.json", "index", "2d_poses"),
    Kind("3d_BoundingBoxes", "scene_{}_3d.json", "boxes3d", "BBs.json", "index3d", "3d_poses"),
)
BODIES = "body"
_BODY = re.compile(r"scene_\d{3,}/[^/]+_\d+\.(glb|obj)")


@dataclass
class Refusal(Exception):
    """A file (its place below the directory of results), or what is missing, is not right."""

    place: str
    why: str


class Results:
    """The directory `root` with results; its files are called `prefix`/… in the indexes it gets."""

    def __init__(self, root: Path, prefix: str) -> None:
        self.root, self.prefix = root, prefix.rstrip("/")
        self.made: list[str] = []
        self.people = 0
        # By scene: first frame, last frame; and the space its people take.
        self.scenes: list[tuple[int, int]] = []
        self.spaces: list[dict[str, float]] = []

    def arrange(self) -> dict[str, Any]:
        """Look at all of it, make what is missing; what there is, for the record. Refusal names the first broken file."""
        kinds = {kind.name: kind for kind in KINDS}
        for kind in KINDS:
            if kind.poses is not None:
                self._boxes(kind, kinds[kind.poses])
            self._look(kind)
        for kind in KINDS:
            self._together(kind)
            self._index(kind)
        bodies = self._bodies()
        frames = self.scenes[-1][1] + 1 if self.scenes else 0
        return {
            "scenes": len(self.scenes),
            "frames": frames,
            "people": self.people,
            "bodies": bodies,
            "made": self.made,
        }

    def _files(self, kind: Kind) -> list[Path]:
        try:
            found = kind.scene_files(self.root)
        except ShapeError as broken:
            raise Refusal(kind.name, f"there {broken}") from None
        if not found:
            raise Refusal(kind.name, f"there is no {kind.scene.format('000')}, nor any other scene")
        return found

    def _read(self, path: Path, shape: str) -> Any:
        try:
            return read(path.read_bytes(), shape)
        except ShapeError as broken:
            raise Refusal(self._place(path), str(broken)) from None

    def _place(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _look(self, kind: Kind) -> None:
        """Read the scenes' files one after another: their numbers and frames must be those of the first kind."""
        files = self._files(kind)
        for at, path in enumerate(files):
            scene = self._read(path, f"scene_{kind.shape}")
            found = scene["start_frame"], scene["end_frame"]
            if scene["scene_no"] != at:
                raise Refusal(self._place(path), f"its scene_no is {scene['scene_no']}, and its name says {at}")
            if kind is KINDS[0]:
                follows = self.scenes[-1][1] + 1 if self.scenes else 0
                if found[0] != follows:
                    raise Refusal(self._place(path), f"it starts with frame {found[0]}, and {follows} comes next")
                self.scenes.append(found)
            elif at >= len(self.scenes) or self.scenes[at] != found:
                raise Refusal(
                    self._place(path), f"its frames {found[0]} to {found[1]} are not those of {KINDS[0].name}"
                )
            self.people = max(
                self.people, *(sum(bool(pose["BBox"]) for pose in frame["poses"]) for frame in scene["frames"])
            )
            if kind.shape == "poses3d":
                self.spaces.append(_space(scene))
        if len(files) != len(self.scenes):
            raise Refusal(kind.name, f"there are {len(files)} scenes, and {KINDS[0].name} has {len(self.scenes)}")

    def _boxes(self, kind: Kind, poses: Kind) -> None:
        """Make the boxes of scenes that have none: they are the poses without their joints."""
        (self.root / kind.name).mkdir(exist_ok=True)
        for at, path in enumerate(self._files(poses)):
            target = self.root / kind.name / kind.scene.format(f"{at:03}")
            if target.exists():
                continue
            scene = json.loads(path.read_bytes())
            for frame in scene["frames"]:
                for person in frame["poses"]:
                    person.pop("keypoints", None)
            self._write(target, json.dumps(scene).encode())

    def _together(self, kind: Kind) -> None:
        path, files = self.root / kind.name / kind.together, self._files(kind)
        if not path.exists():
            self._write(path, b'{"scenes": [' + b", ".join(file.read_bytes().strip() for file in files) + b"]}")
            return
        scenes = self._read(path, kind.shape)["scenes"]
        self._agree(path, [(scene["start_frame"], scene["end_frame"]) for scene in scenes])

    def _index(self, kind: Kind) -> None:
        path, files = self.root / kind.name / "index.json", self._files(kind)
        if path.exists():
            entries = self._read(path, kind.index)
            self._agree(path, [(entry["start_frame"], entry["end_frame"]) for entry in entries])
            for entry, file in zip(entries, files, strict=True):
                if entry["path"].rpartition("/")[2] != file.name:
                    raise Refusal(self._place(path), f"scene {entry['scene_no']} is {entry['path']}, not {file.name}")
            return
        entries = []
        for at, file in enumerate(files):
            first, last = self.scenes[at]
            entry = {
                "scene_no": at,
                "start_frame": first,
                "end_frame": last,
                "path": f"{self.prefix}/{self._place(file)}",
            }
            entries.append(entry | (self.spaces[at] if kind.index == "index3d" else {}))
        self._write(path, json.dumps(entries, indent=1).encode())

    def _agree(self, path: Path, found: list[tuple[int, int]]) -> None:
        if found != self.scenes:
            raise Refusal(self._place(path), f"it has the scenes {found}, and the files beside it {self.scenes}")

    def _write(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        self.made.append(self._place(path))

    def _bodies(self) -> int:
        root = self.root / BODIES
        if not root.is_dir():
            return 0
        count = 0
        for leaf in leaves(root):
            place = f"{BODIES}/{leaf.path}"
            if not _BODY.fullmatch(leaf.path):
                raise Refusal(place, "bodies are called scene_000/PERSON_FRAME.glb")
            if int(leaf.path[6 : leaf.path.index("/")]) >= len(self.scenes):
                raise Refusal(place, f"there are only {len(self.scenes)} scenes")
            if leaf.path.endswith(".glb") and (why := _not_glb(root / leaf.path, leaf.size)):
                raise Refusal(place, why)
            count += 1
        return count


def _not_glb(path: Path, size: int) -> str | None:
    """What is wrong with a binary glTF (glTF 2.0, 4.4.2: magic, version, length of all); None where nothing is."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] != b"glTF" or int.from_bytes(head[4:8], "little") != 2:
        return "it is no binary glTF 2.0"
    length = int.from_bytes(head[8:12], "little")
    return None if length == size else f"it says that it has {length} bytes, and has {size}"


def _space(scene: Any) -> dict[str, float]:
    """A metre around where the pelvises are, and from the lowest joint to a metre above the highest; 0 without people."""
    people = [person["keypoints"] for frame in scene["frames"] for person in frame["poses"] if person["keypoints"]]
    if not people:
        return dict.fromkeys(("min_x", "max_x", "min_y", "max_y", "min_z", "max_z"), 0.0)
    heights = [joint["y"] for joints in people for joint in joints]
    across, deep = [joints[0]["x"] for joints in people], [joints[0]["z"] for joints in people]
    return {
        "min_x": min(across) - 1,
        "max_x": max(across) + 1,
        "min_y": min(heights),
        "max_y": max(heights) + 1,
        "min_z": min(deep) - 1,
        "max_z": max(deep) + 1,
    }


def _arrange(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    """What was `found`, or `place` and `why` of the first broken file."""
    try:
        return {"found": Results(Path(question["root"]), question["prefix"]).arrange()}
    except Refusal as refusal:
        return {"place": refusal.place, "why": refusal.why}


if __name__ == "__main__":
    serve({"arrange": _arrange})
