"""Checks a directory of results of the analysis of people, and makes files that are missing and follow from others.

A scene has poses and boxes, in two and three dimensions, and bodies; beside them are one file with all scenes and an index.
Boxes are poses without their joints. Existing files are checked only. Runs as a program of its own, because the files may be
large and are not trusted.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.files.tree import list_files
from vidd.integrations.analysis_results.scene_numbers import begins_below_0, number_of, rename_from_0, renumber_from_0
from vidd.processes.worker import serve
from vidd.programs.json_shapes import ShapeError, read

if TYPE_CHECKING:
    from vidd.processes.worker import Progress


@dataclass(frozen=True)
class Kind:
    """A directory of results.

    `scene` is the name of a scene's file with `{}` for its number, `shape` its shape in `vidd.programs.json_shapes`, `joined` the
    file with all scenes, `index` the shape of the index. `poses` is the kind whose boxes these are.
    """

    name: str
    scene: str
    shape: str
    joined: str
    index: str
    poses: str | None = None

    def scene_files(self, root: Path) -> list[Path]:
        """The files of the scenes, in order. ShapeError where one is missing or has a wrong name."""
        found = sorted((root / self.name).glob("scene_*.json"))
        for number, path in enumerate(found):
            expected = self.scene.format(f"{number:03}")
            if path.name != expected:
                raise ShapeError(
                    f"is {path.name} where {expected} should be: scenes are numbered from 000 without a gap"
                )
        return found


KINDS = (
    Kind("2d_poses", "scene_{}_poses.json", "poses", "poses.json", "index"),
    Kind("3d_poses", "scene_{}_poses3d.json", "poses3d", "poses.json", "index3d"),
    Kind("2d_BoundingBoxes", "scene_{}.json", "boxes", "BBs.json", "index", "2d_poses"),
    Kind("3d_BoundingBoxes", "scene_{}_3d.json", "boxes3d", "BBs.json", "index3d", "3d_poses"),
)
BODIES = "body"
_BODY = re.compile(r"scene_(?P<scene>\d{3,})/[^/]+_(?P<frame>\d+)\.(glb|obj)")


@dataclass
class InvalidFile(Exception):
    """A file, by its `path` below the directory of results, is missing or not valid."""

    path: str
    why: str


class Results:
    """The directory `root` of results; `prefix` is what the paths in new indexes begin with."""

    def __init__(self, root: Path, prefix: str) -> None:
        self.root, self.prefix = root, prefix.rstrip("/")
        self.made: list[str] = []
        self.renamed: list[str] = []
        self.people = 0
        # Of each scene: its first and last frame, and the space that its people occupy.
        self.scenes: list[tuple[int, int]] = []
        self.spaces: list[dict[str, float]] = []

    def arrange(self) -> dict[str, Any]:
        """Check all files, and make those that are missing.

        Returns the facts of the step. InvalidFile names the first broken file.
        """
        kinds = {kind.name: kind for kind in KINDS}
        self._number_from_0()
        for kind in KINDS:
            if kind.poses is not None:
                self._make_boxes(kind, kinds[kind.poses])
            self._check_scenes(kind)
        for kind in KINDS:
            self._join_scenes(kind)
            self._make_index(kind)
        bodies = self._check_bodies()
        frames = self.scenes[-1][1] + 1 if self.scenes else 0
        return {
            "scenes": len(self.scenes),
            "frames": frames,
            "people": self.people,
            "bodies": bodies,
            "made": self.made,
            "renamed": self.renamed,
        }

    def _number_from_0(self) -> None:
        """Rename scenes, and number them in files, where a directory begins with `scene_-01` or a file with -1."""
        for directory in [self.root / kind.name for kind in KINDS]:
            if not directory.is_dir():
                continue
            if begins_below_0(directory):
                self.renamed += [f"{directory.name}/{old}" for old in rename_from_0(directory)]
            scenes = sorted(directory.glob("scene_*.json"))
            others = [path for path in sorted(directory.glob("*.json")) if path not in scenes]
            for together in (scenes, *([path] for path in others)):
                self.renamed += [self._relative(path) for path in renumber_from_0(together)]

    def _scene_files(self, kind: Kind) -> list[Path]:
        try:
            found = kind.scene_files(self.root)
        except ShapeError as error:
            raise InvalidFile(kind.name, f"there {error}") from None
        if not found:
            raise InvalidFile(kind.name, f"there is no {kind.scene.format('000')}, nor any other scene")
        return found

    def _read(self, path: Path, shape: str) -> Any:
        try:
            return read(path.read_bytes(), shape)
        except ShapeError as error:
            raise InvalidFile(self._relative(path), str(error)) from None

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _check_scenes(self, kind: Kind) -> None:
        """Read the files of the scenes: their numbers and frames must be those of the first kind."""
        files = self._scene_files(kind)
        for number, path in enumerate(files):
            scene = self._read(path, f"scene_{kind.shape}")
            found = scene["start_frame"], scene["end_frame"]
            if scene["scene_no"] != number:
                raise InvalidFile(
                    self._relative(path), f"its scene_no is {scene['scene_no']}, and its name says {number}"
                )
            if kind is KINDS[0]:
                expected = self.scenes[-1][1] + 1 if self.scenes else 0
                if found[0] != expected:
                    raise InvalidFile(
                        self._relative(path), f"it starts with frame {found[0]}, and {expected} comes next"
                    )
                self.scenes.append(found)
            elif number >= len(self.scenes) or self.scenes[number] != found:
                raise InvalidFile(
                    self._relative(path), f"its frames {found[0]} to {found[1]} are not those of {KINDS[0].name}"
                )
            self.people = max(
                self.people, *(sum(bool(pose["BBox"]) for pose in frame["poses"]) for frame in scene["frames"])
            )
            if kind.shape == "poses3d":
                self.spaces.append(_space(scene))
        if len(files) != len(self.scenes):
            raise InvalidFile(kind.name, f"there are {len(files)} scenes, and {KINDS[0].name} has {len(self.scenes)}")

    def _make_boxes(self, kind: Kind, poses: Kind) -> None:
        """Make the boxes of scenes that have none, from the poses without their joints."""
        (self.root / kind.name).mkdir(exist_ok=True)
        for number, path in enumerate(self._scene_files(poses)):
            target = self.root / kind.name / kind.scene.format(f"{number:03}")
            if target.exists():
                continue
            scene = json.loads(path.read_bytes())
            for frame in scene["frames"]:
                for person in frame["poses"]:
                    person.pop("keypoints", None)
            self._write(target, json.dumps(scene).encode())

    def _join_scenes(self, kind: Kind) -> None:
        path, files = self.root / kind.name / kind.joined, self._scene_files(kind)
        if not path.exists():
            self._write(path, b'{"scenes": [' + b", ".join(file.read_bytes().strip() for file in files) + b"]}")
            return
        scenes = self._read(path, kind.shape)["scenes"]
        self._check_frames(path, [(scene["start_frame"], scene["end_frame"]) for scene in scenes])

    def _make_index(self, kind: Kind) -> None:
        path, files = self.root / kind.name / "index.json", self._scene_files(kind)
        if path.exists():
            entries = self._read(path, kind.index)
            self._check_frames(path, [(entry["start_frame"], entry["end_frame"]) for entry in entries])
            for entry, file in zip(entries, files, strict=True):
                if entry["path"].rpartition("/")[2] != file.name:
                    raise InvalidFile(
                        self._relative(path), f"scene {entry['scene_no']} is {entry['path']}, not {file.name}"
                    )
            return
        entries = []
        for number, file in enumerate(files):
            first, last = self.scenes[number]
            entry = {
                "scene_no": number,
                "start_frame": first,
                "end_frame": last,
                "path": f"{self.prefix}/{self._relative(file)}",
            }
            entries.append(entry | (self.spaces[number] if kind.index == "index3d" else {}))
        self._write(path, json.dumps(entries, indent=1).encode())

    def _check_frames(self, path: Path, found: list[tuple[int, int]]) -> None:
        if found != self.scenes:
            raise InvalidFile(self._relative(path), f"it has the scenes {found}, and the files beside it {self.scenes}")

    def _write(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        self.made.append(self._relative(path))

    def _check_bodies(self) -> int:
        root = self.root / BODIES
        if not root.is_dir():
            return 0
        renamed = self._number_bodies_from_0(root)
        count = 0
        for leaf in list_files(root):
            path = f"{BODIES}/{leaf.path}"
            found = _BODY.fullmatch(leaf.path)
            if found is None:
                raise InvalidFile(path, "bodies are called scene_000/PERSON_FRAME.glb")
            scene, frame = int(found["scene"]), int(found["frame"])
            if scene >= len(self.scenes):
                raise InvalidFile(path, f"there are only {len(self.scenes)} scenes")
            first, last = self.scenes[scene]
            if renamed and not first <= frame <= last:
                raise InvalidFile(
                    f"{BODIES}/scene_-01",
                    f"scenes from -1 on would be those from 0 on, but frame {frame} is not in scene {scene}"
                    f" (frames {first} to {last})",
                )
            if leaf.path.endswith(".glb") and (why := _glb_fault(root / leaf.path, leaf.size)):
                raise InvalidFile(path, why)
            count += 1
        return count

    def _number_bodies_from_0(self, root: Path) -> bool:
        """Rename the scenes of bodies where they begin with `scene_-01`; returns whether they did."""
        if not begins_below_0(root):
            return False
        highest = max(number for path in root.iterdir() if (number := number_of(path.name)) is not None)
        if highest + 1 >= len(self.scenes):
            raise InvalidFile(
                f"{BODIES}/scene_-01",
                f"beside it is scene_{highest:03}, and the video has {len(self.scenes)} scenes: one of them is left from"
                " an earlier run, so remove it",
            )
        self.renamed += [f"{BODIES}/{old}" for old in rename_from_0(root)]
        return True


def _glb_fault(path: Path, size: int) -> str | None:
    """What is wrong with the header of a binary glTF (glTF 2.0, section 4.4.2: magic, version, length); None if nothing."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] != b"glTF" or int.from_bytes(head[4:8], "little") != 2:
        return "it is no binary glTF 2.0"
    length = int.from_bytes(head[8:12], "little")
    return None if length == size else f"its header says that it has {length} bytes, and it has {size}"


def _space(scene: Any) -> dict[str, float]:
    """The space of a scene's people, in metres: a metre around their pelvises, and above the highest joint; 0 without people."""
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
    """What was `found`, or `path` and `why` of the first broken file."""
    try:
        return {"found": Results(Path(question["root"]), question["prefix"]).arrange()}
    except InvalidFile as invalid:
        return {"path": invalid.path, "why": invalid.why}


if __name__ == "__main__":
    serve({"arrange": _arrange})
