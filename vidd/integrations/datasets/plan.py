"""Of one task: which objects it is to have, which of them are there, and what its documents are to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.integrations.datasets.annotations import FrameChange
from vidd.integrations.datasets.model import Keys, digest, mark_to_json, parts, scaled
from vidd.model.augmentation import recipe, select_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vidd.integrations.aws.s3_tree import ListedObject
    from vidd.integrations.datasets.annotations import FrameDocument, TaskDocument
    from vidd.integrations.datasets.labels import Mark
    from vidd.integrations.datasets.model import Version
    from vidd.integrations.datasets.split_record import Page
    from vidd.model.augmentation import Augmentation, Recipe

ROOT = "dataset"


@dataclass(frozen=True, slots=True)
class Manner:
    """How files are made: `quality` of JPEG, `largest` side of small pictures, `share` of the frames for each augmentation."""

    quality: int
    largest: int
    share: float
    seed: int


@dataclass(frozen=True)
class Seen:
    """What is there: objects of the task, its frames' stored `pictures` and its `film`, all as listed; `local` files besides."""

    there: Mapping[str, ListedObject]
    pictures: Mapping[str, ListedObject]
    film: ListedObject | None
    local: Callable[[str, ListedObject], bool]

    def has(self, key: str, one: ListedObject | None) -> bool:
        """Whether this very object is in the bucket, or lies here to be sent."""
        return one is not None and (self.there.get(key) == one or self.local(key, one))


@dataclass(frozen=True)
class Found:
    """What a plan is made from: the task, its frames, what is there, and what is known of its objects."""

    task: str
    document: TaskDocument
    frames: Sequence[FrameDocument]
    seen: Seen
    page: Page


@dataclass
class Frame:
    """A frame on its way: `image` is the sum of its picture, None while it must be made; `want` what must be made."""

    document: FrameDocument
    keys: Keys
    source: str | None
    made_of: str
    part: int
    changes: Sequence[Recipe]
    image: str | None = None
    size: tuple[int, int] | None = None
    want: dict[str, Any] = field(default_factory=lambda: {"changed": {}})

    @property
    def idle(self) -> bool:
        """Whether there is nothing to make, or to find out."""
        return self.size is not None and self.want == {"changed": {}}


class TaskPlan:
    """One task's. `settle` adds to the page what was made."""

    def __init__(self, version: Version, found: Found, manner: Manner) -> None:
        self.version, self.task, self.document = version, found.task, found.document
        self.seen, self.page, self._manner = found.seen, found.page, manner
        task, frames = found.task, found.frames
        self.root = f"{ROOT}/{version.group}/{task}/"
        numbers = [frame.number for frame in frames]
        in_part = parts(numbers, self._marked(frames), version.shares, f"{manner.seed}:{version.group}:{task}")
        drawn = [(augmentation, self._drawn(augmentation, numbers)) for augmentation in version.augmentations]
        self.frames = [
            self._frame(frame, in_part[frame.number], self._changes(frame.number, drawn)) for frame in frames
        ]
        self._by_number = {frame.document.number: frame for frame in self.frames}
        for frame in self.frames:
            self._look(frame)

    def _name(self, number: int) -> str:
        """The same in all versions of a group, so that they change a frame alike."""
        return f"{self.version.group}/{self.task}/{number}"

    def _drawn(self, one: Augmentation, numbers: Sequence[int]) -> frozenset[str]:
        manner = self._manner
        names = [self._name(number) for number in numbers]
        return frozenset(select_frames(names, one, manner.seed, manner.share) if manner.share else ())

    def _changes(self, number: int, drawn: Sequence[tuple[Augmentation, frozenset[str]]]) -> list[Recipe]:
        name = self._name(number)
        return [recipe(augmentation, name, self._manner.seed) for augmentation, names in drawn if name in names]

    def _marked(self, frames: Sequence[FrameDocument]) -> dict[int, int]:
        """The parts that frames say they are in; none count where the version's shares are others by now."""
        if self.page.shares not in (None, list(self.version.shares)):
            return {}
        known = range(1, len(self.version.shares) + 1)
        said = {frame.number: (frame.entry or {}).get("datasetType") for frame in frames}
        return {number: int(part) for number, part in said.items() if isinstance(part, int | float) and part in known}

    def _frame(self, one: FrameDocument, part: int, changes: Sequence[Recipe]) -> Frame:
        keys = Keys(self.root, self.version.number, one.number)
        if one.picture is not None and (listed := self.seen.pictures.get(one.picture)) is not None:
            return Frame(one, keys, one.picture, digest("picture", listed.etag), part, changes)
        if self.seen.film is not None:
            film = digest("film", self.seen.film.etag, one.number, self._manner.quality)
            return Frame(one, keys, None, film, part, changes)
        if one.picture is not None:
            raise Refused(
                f"the picture of frame {one.number} is not in the bucket ({one.picture!a}): put it there again"
            )
        if self.document.film is not None:
            raise Refused(f"its video is not in the bucket ({self.document.film!a}): put it there again")
        raise Refused(f"frame {one.number} has no imageUrl, and the task no S3_url: give one of them")

    def _look(self, one: Frame) -> None:
        seen, keys, made_of = self.seen, one.keys, one.made_of
        there = seen.there.get(keys.image)
        known = self.page.is_made(keys.image, made_of)
        if one.source == keys.image and there is not None:
            one.image = there.etag
        elif known is not None and seen.has(keys.image, known):
            one.image = known.etag
        elif there is not None and one.source is not None and there == seen.pictures[one.source]:
            one.image = there.etag
            self.page.made[keys.image] = (made_of, there.size, there.etag)
        one.size = self.page.sizes.get(one.document.number) if one.image is not None else None
        if one.image is None:
            one.want["image"] = keys.image
        for name, key, fingerprint in self._others(one):
            if fingerprint is None or not seen.has(key, self.page.is_made(key, fingerprint)):
                self._wish(one, name, key)

    def _wish(self, one: Frame, name: str, key: str) -> None:
        what, _, of = name.rpartition(" ")
        if not what:
            one.want[name] = key
            return
        how = next(change for change in one.changes if change.kind == what)
        order = one.want["changed"].setdefault(what, {"how": how.to_json()})
        order[of] = key
        if of != "text":
            # A picture and its small one are made in one go.
            order["image"], order["small"], _ = one.keys.changed(what)

    def _others(self, one: Frame) -> list[tuple[str, str, str | None]]:
        """(what it is, its key, what it is made of) of all objects but the picture; None where that is not known yet."""
        keys, manner, image = one.keys, self._manner, one.image
        boxes = [
            [mark_to_json(mark) for mark in one.document.marks],
            self.version.labels,
            list(self.document.drawn_on or ()),
        ]

        def of(*more: Any) -> str | None:
            return None if image is None else digest(image, *more)

        found = [
            ("small", keys.small, of("small", manner.largest)),
            ("text", keys.text, of("text", boxes)),
        ]
        for how in one.changes:
            picture, small, text = keys.changed(how.kind)
            change = how.to_json()
            found += [
                (f"{how.kind} image", picture, of("changed", change, manner.quality)),
                (f"{how.kind} small", small, of("changed small", change, manner.quality, manner.largest)),
                (f"{how.kind} text", text, of("changed text", change, boxes)),
            ]
        return found

    def orders(self) -> list[Frame]:
        """The frames that something is to be made of."""
        return [frame for frame in self.frames if not frame.idle]

    def settle(self, number: int, size: Sequence[int], made: Mapping[str, Sequence[Any]]) -> None:
        """Note what was made of a frame."""
        frame = self._by_number[number]
        frame.size = (size[0], size[1])
        self.page.sizes[number] = frame.size
        if "image" in made:
            key, length, frame.image = made["image"]
            self.page.made[key] = (frame.made_of, length, str(frame.image))
        for name, key, fingerprint in self._others(frame):
            if name in made and fingerprint is not None:
                self.page.made[key] = (fingerprint, made[name][1], made[name][2])

    def wanted(self) -> list[str]:
        """The keys of all objects of the task, in the order of its frames."""
        return [key for frame in self.frames for key in (frame.keys.image, *(each[1] for each in self._others(frame)))]

    def to_send(self) -> list[list[Any]]:
        """(key, size, sum) of the objects that are not in the bucket yet."""
        made, there = self.page.made, self.seen.there
        sources = {frame.source for frame in self.frames}
        own = [(key, made[key][1], made[key][2]) for key in self.wanted() if key in made and key not in sources]
        return [[key, size, etag] for key, size, etag in own if key_differs(there.get(key), size, etag)]

    def gone(self, *, shared: bool) -> list[str]:
        """The keys of objects that the task had and is not to have any more; pictures stay where they are `shared`."""
        wanted = frozenset(self.wanted())
        return [key for key in self.page.made if key not in wanted and not (shared and is_picture(key))]

    def counts(self) -> dict[str, Any]:
        """What the version says of a task that is whole."""
        made = self.page.made
        files: dict[str, dict[str, int]] = {}
        for frame in self.frames:
            for how in frame.changes:
                entry = files.setdefault(how.kind, {"count": 0, "size": 0})
                entry["count"] += 1
                entry["size"] += made[frame.keys.changed(how.kind)[0]][1]
        total = sum(self._size_of(frame.keys.image) for frame in self.frames)
        return {"imageCount": len(self.frames), "imageDataSize": total, "augmentationFileCounts": files}

    def _size_of(self, key: str) -> int:
        there = self.seen.there.get(key)
        return self.page.made[key][1] if key in self.page.made else there.size if there is not None else 0

    def changes(self) -> list[FrameChange]:
        """What frames are to say, of those that do not say it yet."""
        return [
            change
            for frame in self.frames
            if (change := self._change(frame)).urls or not _says(frame.document.entry, change.entry)
        ]

    def _change(self, one: Frame) -> FrameChange:
        pictures = {}
        for how in one.changes:
            picture, small, text = one.keys.changed(how.kind)
            pictures[how.kind] = {"textFiles": text, "imageUrl": picture, "thumbnailUrl": small}
        entry = {
            "textFiles": {self.version.format: one.keys.text},
            "augmentationImages": pictures or None,
            "datasetType": one.part,
        }
        urls = {}
        if one.source is None:
            urls = {"imageUrl": one.keys.image, "thumbnailUrl": one.keys.small}
        elif one.document.small is None:
            urls = {"thumbnailUrl": one.keys.small}
        return FrameChange(one.document.id, entry, urls, one.document.listed)

    def row(self, one: Frame) -> dict[str, Any]:
        """A frame as the lists of the whole data set have it."""
        width, height = one.size or (0, 0)
        marks = [mark_to_json(mark) for mark in scaled(one.document.marks, self.document.drawn_on, width, height)]
        return {"key": one.keys.image, "w": width, "h": height, "part": one.part, "marks": marks}

    def doubts(self) -> dict[str, int]:
        """How many boxes lie partly or wholly outside of their picture, or are of no label of the version."""
        classes, drawn_on = self.version.classes if self.version.labels else None, self.document.drawn_on
        outside = unlisted = 0
        for frame in self.frames:
            size = drawn_on or frame.size or (0, 0)
            for mark in frame.document.marks:
                outside += not _inside(mark, *size)
                unlisted += classes is not None and classes.place(mark) is None
        return {"outside": outside, "unlisted": unlisted}


def key_differs(there: ListedObject | None, size: int, etag: str) -> bool:
    """Whether an object is not there, or is another."""
    return there is None or (there.size, there.etag) != (size, etag)


def is_picture(key: str) -> bool:
    """Whether it is a picture that all versions of a group share, or its small one."""
    return key.endswith(".jpg") and "/augmentations/" not in key


def _inside(mark: Mark, width: float, height: float) -> bool:
    # Half a pixel is how exactly people draw.
    there = mark.within(width, height)
    if there is None:
        return False
    left, top, right, bottom = there
    return abs(right - left - mark.w) < 0.5 and abs(bottom - top - mark.h) < 0.5


def _says(entry: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    return entry is not None and all(entry.get(name) == value for name, value in wanted.items())
