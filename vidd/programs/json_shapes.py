"""The JSON shapes of an analysis of people: poses and boxes, 2D and 3D, of a scene or of all scenes, and indices.

Frames are numbered from 0 through the whole video; an `end_frame` is the last frame of its scene. Further members are
allowed. The shapes are dictionaries, not objects: a minute of two people has a million joints.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Scene = Annotated[int, Field(ge=-1)]
"""The number of a scene; some programs call the first one -1, and the step `results` numbers them from 0."""
Identity = int | str | None
Score = Number | list[Number] | None


class Joint(TypedDict):
    """A joint in the frame, in pixels."""

    x: Number
    y: Number


class Joint3D(TypedDict):
    """A joint in space, in metres; a person's first joint is the pelvis."""

    x: Number
    y: Number
    z: Number


def _check_box(box: list[float]) -> list[float]:
    if len(box) not in {0, 4, 6}:
        raise ValueError(f"a box has 4 numbers, or 6, and not {len(box)}")
    return box


def _check_box3d(box: list[float]) -> list[float]:
    if len(box) not in {0, 6}:
        raise ValueError(f"a box in space has 6 numbers, and not {len(box)}")
    return box


Box = Annotated[list[Number], AfterValidator(_check_box)]
Box3D = Annotated[list[Number], AfterValidator(_check_box3d)]


class Person(TypedDict):
    """A person in the frame; a box without numbers stands for nobody."""

    id: Identity
    BBox: Box
    keypoints: list[Joint]
    score: NotRequired[Score]


class Person3D(TypedDict):
    """A person in space."""

    id: Identity
    BBox: Box3D
    keypoints: list[Joint3D]


class PersonBox(TypedDict):
    """The box of a person in the frame."""

    id: Identity
    BBox: Box
    score: NotRequired[Score]


class PersonBox3D(TypedDict):
    """The box of a person in space, in metres."""

    id: Identity
    BBox: Box3D


def _check_count(frame: Any) -> Any:
    if frame["no_person"] != len(frame["poses"]):
        raise ValueError(f"no_person is {frame['no_person']}, but there are {len(frame['poses'])} poses")
    return frame


def _check_scene(scene: Any) -> Any:
    first, last, frames = scene["start_frame"], scene["end_frame"], scene["frames"]
    if last < first:
        raise ValueError(f"it ends with frame {last}, before it starts with {first}")
    if len(frames) != last - first + 1:
        raise ValueError(f"frames {first} to {last} are {last - first + 1}, but there are {len(frames)}")
    for index, frame in enumerate(frames):
        if frame["frame_no"] != first + index:
            raise ValueError(f"frames[{index}] has the number {frame['frame_no']}, and should have {first + index}")
    return scene


def _check_scenes(scenes: list[Any]) -> list[Any]:
    below = bool(scenes) and scenes[0]["scene_no"] == -1
    for index, scene in enumerate(scenes):
        if scene["scene_no"] != index - below:
            raise ValueError(f"[{index}] has the scene number {scene['scene_no']}")
        if scene["start_frame"] != (scenes[index - 1]["end_frame"] + 1 if index else 0):
            raise ValueError(
                f"[{index}] starts with frame {scene['start_frame']}, which does not follow the one before"
            )
    return scenes


def _frame(person: Any, name: str) -> Any:
    fields = {"frame_no": Count, "no_person": Count, "poses": list[person]}
    return Annotated[TypedDict(name, fields), AfterValidator(_check_count)]  # type: ignore[operator]


def _scene(person: Any, name: str) -> Any:
    frame = _frame(person, f"{name}Frame")
    fields = {"scene_no": Scene, "start_frame": Count, "end_frame": Count, "frames": list[frame]}  # type: ignore[valid-type]
    return Annotated[TypedDict(name, fields), AfterValidator(_check_scene)]  # type: ignore[operator]


def _together(scene: Any, name: str) -> Any:
    return TypedDict(name, {"scenes": Annotated[list[scene], AfterValidator(_check_scenes)]})  # type: ignore[operator]


class Entry(TypedDict):
    """A scene in an index: `path` is that of its file, from the parent of the directory of results."""

    scene_no: Scene
    start_frame: Count
    end_frame: Count
    path: Annotated[str, Field(min_length=1)]


class Entry3D(Entry):
    """A scene in an index with the extent of its people in space, in metres."""

    min_x: NotRequired[Number]
    max_x: NotRequired[Number]
    min_y: NotRequired[Number]
    max_y: NotRequired[Number]
    min_z: NotRequired[Number]
    max_z: NotRequired[Number]


_SCENES = {
    "poses": _scene(Person, "ScenePoses"),
    "poses3d": _scene(Person3D, "ScenePoses3D"),
    "boxes": _scene(PersonBox, "SceneBoxes"),
    "boxes3d": _scene(PersonBox3D, "SceneBoxes3D"),
}
SHAPES: dict[str, TypeAdapter[Any]] = {
    **{f"scene_{name}": TypeAdapter(scene) for name, scene in _SCENES.items()},
    **{name: TypeAdapter(_together(scene, name.title())) for name, scene in _SCENES.items()},
    "index": TypeAdapter(Annotated[list[Entry], AfterValidator(_check_scenes)]),
    "index3d": TypeAdapter(Annotated[list[Entry3D], AfterValidator(_check_scenes)]),
}
NAMES = frozenset(SHAPES)


class ShapeError(Exception):
    """A file has another shape; the message says where in it, and why."""


def read(text: bytes, shape: str) -> Any:
    """The content of a file of this shape; ShapeError if it has another."""
    try:
        return SHAPES[shape].validate_json(text)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
        said = detail["msg"].removeprefix("Value error, ").removeprefix("Invalid JSON: ")
        if detail["type"] == "json_invalid":
            raise ShapeError(f"it is no JSON ({said})") from None
        raise ShapeError(f"at {where}: {said}" if where else said) from None
