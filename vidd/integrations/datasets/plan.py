"""Plans one task of a data set: which objects it needs, which of them exist, and what its documents must say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vidd.errors import FaultCode, Refused
from vidd.integrations.datasets.annotations import FrameChange
from vidd.integrations.datasets.model import Keys, assign_parts, digest, mark_to_json, scale_marks
from vidd.model.augmentation import KINDS, make_recipe, select_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vidd.integrations.aws.s3_tree import ListedObject
    from vidd.integrations.datasets.annotations import FrameDocument, TaskDocument
    from vidd.integrations.datasets.build_record import TaskRecord
    from vidd.integrations.datasets.labels import Mark
    from vidd.integrations.datasets.model import Version
    from vidd.model.augmentation import Augmentation, Recipe

ROOT = "dataset"


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """JPEG `quality`, the `largest` side of thumbnails, the `share` of the frames for each augmentation, the `seed`.

    With `plain_names` the version is not in the names of augmented images.
    """

    quality: int
    largest: int
    share: float
    seed: int
    plain_names: bool


@dataclass(frozen=True)
class Inventory:
    """What exists: the task's `objects`, its frames' stored `images` and its `video`, as listed.

    `is_built` tells whether a listed object lies in the job's directory, to be sent.
    """

    objects: Mapping[str, ListedObject]
    images: Mapping[str, ListedObject]
    video: ListedObject | None
    is_built: Callable[[str, ListedObject], bool]

    def has(self, key: str, listed: ListedObject | None) -> bool:
        """Whether this very object is in the bucket, or is built."""
        return listed is not None and (self.objects.get(key) == listed or self.is_built(key, listed))


@dataclass(frozen=True)
class TaskInput:
    """What a plan is made from: the task, its frames, what exists, and the record of its objects."""

    task: str
    document: TaskDocument
    frames: Sequence[FrameDocument]
    inventory: Inventory
    record: TaskRecord


@dataclass
class PlannedFrame:
    """A frame to build.

    `source` is the key of its stored image, None where the image comes from the task's video; `made_of` the image's
    fingerprint; `image` the image's checksum, None until it is made. `missing` has the keys of what must be made: `image`,
    `thumbnail`, `text`, and under `augmentations` the same by kind, with the recipe as `how`.
    """

    document: FrameDocument
    keys: Keys
    source: str | None
    made_of: str
    part: int
    recipes: Sequence[Recipe]
    image: str | None = None
    size: tuple[int, int] | None = None
    missing: dict[str, Any] = field(default_factory=lambda: {"augmentations": {}})

    @property
    def is_complete(self) -> bool:
        """Whether nothing must be made, and the size is known."""
        return self.size is not None and self.missing == {"augmentations": {}}

    @property
    def needs_image(self) -> bool:
        """Whether a worker must see the frame's image."""
        missing = self.missing
        augmented = any("image" in keys for keys in missing["augmentations"].values())
        return self.size is None or "image" in missing or "thumbnail" in missing or augmented


@dataclass(frozen=True, slots=True)
class _Derived:
    """An object that is made from a frame's image: its name in `missing`, its key, its fingerprint once that is known."""

    kind: str
    name: str
    key: str
    fingerprint: str | None

    @property
    def full_name(self) -> str:
        return f"{self.kind} {self.name}" if self.kind else self.name


class TaskPlan:
    """The plan of one task. `record_frame` takes in what a worker made."""

    def __init__(self, version: Version, given: TaskInput, settings: BuildSettings) -> None:
        self.version, self.task, self.document = version, given.task, given.document
        self.inventory, self.record, self._settings = given.inventory, given.record, settings
        self.root = f"{ROOT}/{version.group}/{given.task}/"
        numbers = [frame.number for frame in given.frames]
        seed = f"{settings.seed}:{version.group}:{given.task}"
        parts = assign_parts(numbers, self._known_parts(given.frames), version.shares, seed)
        selected = [(augmentation, self._select(augmentation, numbers)) for augmentation in version.augmentations]
        self.frames = [
            self._plan(frame, parts[frame.number], self._recipes(frame.number, selected)) for frame in given.frames
        ]
        self._by_number = {frame.document.number: frame for frame in self.frames}
        for frame in self.frames:
            self._find_missing(frame)

    def _name(self, number: int) -> str:
        """A name that is the same in all versions of a group, so that they augment a frame alike."""
        return f"{self.version.group}/{self.task}/{number}"

    def _select(self, augmentation: Augmentation, numbers: Sequence[int]) -> frozenset[str]:
        settings = self._settings
        if not settings.share:
            return frozenset()
        names = [self._name(number) for number in numbers]
        return frozenset(select_frames(names, augmentation, settings.seed, settings.share))

    def _recipes(self, number: int, selected: Sequence[tuple[Augmentation, frozenset[str]]]) -> list[Recipe]:
        name = self._name(number)
        return [
            make_recipe(augmentation, name, self._settings.seed) for augmentation, names in selected if name in names
        ]

    def _known_parts(self, frames: Sequence[FrameDocument]) -> dict[int, int]:
        """The parts that frames say they are in; none where the version's shares have changed."""
        if self.record.shares not in (None, list(self.version.shares)):
            return {}
        valid = range(1, len(self.version.shares) + 1)
        known = {frame.number: (frame.entry or {}).get("datasetType") for frame in frames}
        return {number: int(part) for number, part in known.items() if isinstance(part, int | float) and part in valid}

    def _keys(self, frame: FrameDocument, recipes: Sequence[Recipe]) -> Keys:
        """The keys of a frame; what another version has under a plain name stays, and this one's gets the other name."""
        keys = Keys(self.root, self.version.number, frame.number)
        if not self._settings.plain_names:
            return keys
        keys = replace(keys, plain=frozenset(how.kind for how in recipes))
        return replace(keys, plain=frozenset(kind for kind in keys.plain if keys.augmented(kind)[0] not in frame.taken))

    def _plan(self, frame: FrameDocument, part: int, recipes: Sequence[Recipe]) -> PlannedFrame:
        inventory, keys = self.inventory, self._keys(frame, recipes)
        if frame.image is not None and (listed := inventory.images.get(frame.image)) is not None:
            return PlannedFrame(frame, keys, frame.image, digest("picture", listed.etag), part, recipes)
        if inventory.video is not None:
            made_of = digest("film", inventory.video.etag, frame.number, self._settings.quality)
            return PlannedFrame(frame, keys, None, made_of, part, recipes)
        if frame.image is not None:
            raise Refused(
                f"the image of frame {frame.number} is not in the bucket ({frame.image!a}): put it there again",
                code=FaultCode.NOT_FOUND,
            )
        if self.document.video is not None:
            raise Refused(
                f"its video is not in the bucket ({self.document.video!a}): put it there again",
                code=FaultCode.NOT_FOUND,
            )
        raise Refused(f"frame {frame.number} has no imageUrl, and the task no S3_url: give one of them")

    def _find_missing(self, frame: PlannedFrame) -> None:
        inventory, keys, made_of = self.inventory, frame.keys, frame.made_of
        existing, known = inventory.objects.get(keys.image), self.record.find(keys.image, made_of)
        if frame.source == keys.image and existing is not None:
            frame.image = existing.etag
        elif known is not None and inventory.has(keys.image, known):
            frame.image = known.etag
        elif existing is not None and frame.source is not None and existing == inventory.images[frame.source]:
            frame.image = existing.etag
            self.record.made[keys.image] = (made_of, existing.size, existing.etag)
        if frame.image is None:
            frame.missing["image"] = keys.image
        else:
            frame.size = self.record.sizes.get(frame.document.number)
        for derived in self._derived(frame):
            if derived.fingerprint is None or not inventory.has(
                derived.key, self.record.find(derived.key, derived.fingerprint)
            ):
                self._request(frame, derived)

    def _request(self, frame: PlannedFrame, derived: _Derived) -> None:
        if not derived.kind:
            frame.missing[derived.name] = derived.key
            return
        how = next(change for change in frame.recipes if change.kind == derived.kind)
        keys = frame.missing["augmentations"].setdefault(derived.kind, {"how": how.to_json()})
        keys[derived.name] = derived.key
        if derived.name != "text":
            # An image and its thumbnail are made together.
            keys["image"], keys["thumbnail"], _ = frame.keys.augmented(derived.kind)

    def _derived(self, frame: PlannedFrame) -> list[_Derived]:
        """All objects of a frame but its image. The words in fingerprints are those of earlier records."""
        keys, settings = frame.keys, self._settings
        boxes = [
            [mark_to_json(mark) for mark in frame.document.marks],
            self.version.labels,
            list(self.document.drawn_on or ()),
        ]

        def fingerprint(*parts: Any) -> str | None:
            return None if frame.image is None else digest(frame.image, *parts)

        found = [
            _Derived("", "thumbnail", keys.thumbnail, fingerprint("small", settings.largest)),
            _Derived("", "text", keys.text, fingerprint("text", boxes)),
        ]
        for how in frame.recipes:
            image, thumbnail, text = keys.augmented(how.kind)
            change, quality = how.to_json(), settings.quality
            small = fingerprint("changed small", change, quality, settings.largest)
            found += [
                _Derived(how.kind, "image", image, fingerprint("changed", change, quality)),
                _Derived(how.kind, "thumbnail", thumbnail, small),
                _Derived(how.kind, "text", text, fingerprint("changed text", change, boxes)),
            ]
        return found

    def incomplete_frames(self) -> list[PlannedFrame]:
        """The frames that a worker must make something of."""
        return [frame for frame in self.frames if not frame.is_complete]

    def record_frame(self, number: int, size: Sequence[int], made: Mapping[str, Sequence[Any]]) -> None:
        """Record what a worker made of a frame: (key, size, checksum) by the object's name."""
        frame = self._by_number[number]
        frame.size = (size[0], size[1])
        self.record.sizes[number] = frame.size
        if "image" in made:
            key, length, frame.image = made["image"]
            self.record.made[key] = (frame.made_of, length, str(frame.image))
        for derived in self._derived(frame):
            if derived.full_name in made and derived.fingerprint is not None:
                _, length, checksum = made[derived.full_name]
                self.record.made[derived.key] = (derived.fingerprint, length, checksum)

    def keys(self) -> list[str]:
        """The keys of all objects of the task, in the order of its frames."""
        found: list[str] = []
        for frame in self.frames:
            found += [frame.keys.image, *(derived.key for derived in self._derived(frame))]
        return found

    def to_send(self) -> list[list[Any]]:
        """(key, size, checksum) of the objects that are not in the bucket yet."""
        made, objects = self.record.made, self.inventory.objects
        sources = {frame.source for frame in self.frames}
        own = [(key, made[key][1], made[key][2]) for key in self.keys() if key in made and key not in sources]
        return [[key, size, etag] for key, size, etag in own if key_differs(objects.get(key), size, etag)]

    def obsolete_keys(self, *, shared: bool) -> list[str]:
        """The keys of objects that the task no longer needs; images stay where another version of the group has them."""
        needed = frozenset(self.keys())
        return [key for key in self.record.made if key not in needed and not (shared and is_shared_image(key))]

    def counts(self) -> dict[str, Any]:
        """What the version's document says of a complete task."""
        made = self.record.made
        augmented: dict[str, dict[str, int]] = {}
        for frame in self.frames:
            for how in frame.recipes:
                entry = augmented.setdefault(how.kind, {"count": 0, "size": 0})
                entry["count"] += 1
                entry["size"] += made[frame.keys.augmented(how.kind)[0]][1]
        total = sum(self._size_of(frame.keys.image) for frame in self.frames)
        return {"imageCount": len(self.frames), "imageDataSize": total, "augmentationFileCounts": augmented}

    def _size_of(self, key: str) -> int:
        if key in self.record.made:
            return self.record.made[key][1]
        existing = self.inventory.objects.get(key)
        return existing.size if existing is not None else 0

    def changes(self) -> list[FrameChange]:
        """The changes of all frames whose documents do not say it yet."""
        return [
            change
            for frame in self.frames
            if (change := self._change(frame)).urls or not _has_values(frame.document.entry, change.entry)
        ]

    def _change(self, frame: PlannedFrame) -> FrameChange:
        augmented = {}
        for how in frame.recipes:
            image, thumbnail, text = frame.keys.augmented(how.kind)
            augmented[how.kind] = {"textFiles": text, "imageUrl": image, "thumbnailUrl": thumbnail}
        entry = {
            "textFiles": {self.version.format: frame.keys.text},
            "augmentationImages": augmented or None,
            "datasetType": frame.part,
        }
        urls = dict(frame.document.renamed)
        if frame.source is None:
            urls = {"imageUrl": frame.keys.image, "thumbnailUrl": frame.keys.thumbnail}
        elif frame.document.thumbnail is None:
            urls["thumbnailUrl"] = frame.keys.thumbnail
        return FrameChange(frame.document.id, entry, urls, frame.document.has_versions)

    def row(self, frame: PlannedFrame) -> dict[str, Any]:
        """A frame's row in the lists of the whole data set."""
        width, height = frame.size or (0, 0)
        marks = scale_marks(frame.document.marks, self.document.drawn_on, width, height)
        rows = [mark_to_json(mark) for mark in marks]
        return {"key": frame.keys.image, "w": width, "h": height, "part": frame.part, "marks": rows}

    def doubtful_boxes(self) -> dict[str, int]:
        """How many boxes lie partly or wholly `outside` of their frame, or have a label that the version does not list."""
        classes, drawn_on = self.version.classes if self.version.labels else None, self.document.drawn_on
        outside = unlisted = 0
        for frame in self.frames:
            size = drawn_on or frame.size or (0, 0)
            for mark in frame.document.marks:
                outside += not _is_inside(mark, *size)
                unlisted += classes is not None and classes.index_of(mark) is None
        return {"outside": outside, "unlisted": unlisted}


def key_differs(listed: ListedObject | None, size: int, etag: str) -> bool:
    """Whether the bucket lacks an object, or has another one."""
    return listed is None or (listed.size, listed.etag) != (size, etag)


def is_shared_image(key: str) -> bool:
    """Whether it is an image or a thumbnail whose name any version of a group may have given."""
    directory, _, name = key.rpartition("/")
    return key.endswith(".jpg") and (not directory.endswith("/augmentations") or name.partition("_")[0] in KINDS)


def _is_inside(mark: Mark, width: float, height: float) -> bool:
    # People draw to about half a pixel.
    part = mark.within(width, height)
    if part is None:
        return False
    left, top, right, bottom = part
    return abs(right - left - mark.w) < 0.5 and abs(bottom - top - mark.h) < 0.5


def _has_values(entry: Mapping[str, Any] | None, values: Mapping[str, Any]) -> bool:
    return entry is not None and all(entry.get(name) == value for name, value in values.items())
