"""Reads the document of a data set version; names its objects; parts its frames into train, validation, test. No I/O."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.integrations.datasets.labels import Classes, Mark, parse_mark
from vidd.model.augmentation import Augmentation, parse_augmentations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_KEY_PART = re.compile(r"[A-Za-z0-9._+-]{1,100}")


def digest(*parts: Any) -> str:
    """A fingerprint of these plain JSON values: 24 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Version:
    """What to build. `shares` are those of the parts (train, validation, test) and sum up to 1."""

    id: str
    group: str
    number: str
    tasks: tuple[str, ...]
    classes: Classes
    augmentations: tuple[Augmentation, ...]
    shares: tuple[float, ...]

    @property
    def format(self) -> str:
        """The format of its text files as documents name it: DEFAULT (each box with its own label) where no label is enabled."""
        return "YOLO" if any(entry.enabled for entry in self.classes.entries) else "DEFAULT"

    @property
    def labels(self) -> list[list[Any]]:
        """The classes as plain JSON types, for `LabelClass(*row)`; none where none is enabled."""
        entries = self.classes.entries if self.format == "YOLO" else ()
        return [[entry.label, dict(entry.attributes), entry.enabled] for entry in entries]


def version_of(document: Mapping[str, Any]) -> Version:
    """The version that a document describes. Refused, with what to correct, where the document is not valid."""
    identity = str(document["_id"])

    def key_part(name: str) -> str:
        text = "" if document.get(name) is None else str(document[name])
        if not _is_key_part(text):
            raise Refused(
                f"The {name} of the data set version {identity} cannot be part of a key ({quoted(text)}): correct it."
            )
        return text

    tasks = document.get("taskList")
    if not isinstance(tasks, list) or not tasks:
        raise Refused(f"The data set version {identity} has no tasks in its taskList: add some.")
    named = tuple(dict.fromkeys(map(str, tasks)))
    if bad := [task for task in named if not _is_key_part(task)]:
        raise Refused(f"The data set version {identity} names a task that is no id ({quoted(bad[0])}): correct it.")
    try:
        version = Version(
            identity,
            key_part("dataSetGroupId"),
            key_part("versionNo"),
            named,
            _classes(document.get("labelAttributeList")),
            tuple(_augmentations(document.get("augmentationTypes"))),
            _shares(document.get("splitCount")),
        )
        _check_formats(document.get("exportFormats"), version.format, "COCO", "CVAT")
    except ValueError as error:
        raise Refused(f"vidd cannot build the data set version {identity}: {error}.") from None
    return version


def _is_key_part(text: str) -> bool:
    return _KEY_PART.fullmatch(text) is not None and text not in {".", ".."}


def _check_formats(given: Any, *names: str) -> None:
    """ValueError where vidd could not write into these fields of `exportFormats`."""
    fields = {"exportFormats": given}
    if isinstance(given, dict):
        fields = {f"exportFormats.{name}": given.get(name) for name in names}
    for name, value in fields.items():
        if value is not None and not isinstance(value, dict):
            raise ValueError(f"its {name} is {quoted(str(value)[:80])}: make it an object, or leave it out")


def _classes(given: Any) -> Classes:
    rows = given or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("its labelAttributeList is no list of labels")
    return Classes.from_documents({**row, "attributes": _plain(row.get("attributes"))} for row in rows)


def _augmentations(given: Any) -> list[Augmentation]:
    groups = given.get("IMAGE_LEVEL") if isinstance(given, dict) else None
    try:
        return parse_augmentations(groups or ())
    except (AttributeError, TypeError) as error:
        raise ValueError(f"its augmentationTypes cannot be read ({error})") from None


def mark_from(box: Any) -> Mark:
    """The mark of a box in a frame's document, with the attributes that were drawn with it. ValueError where it is none."""
    found = box.get("boundaries") if isinstance(box, dict) else None
    mark = parse_mark({"boundaries": found}) if isinstance(found, dict) else None
    if mark is None or not mark.label.strip():
        raise ValueError("it is no rectangle with a label and numbers for x, y, w and h")
    return replace(mark, attributes=_plain(mark.attributes), confidence=None)


def scale_marks(marks: Iterable[Mark], drawn_on: Sequence[float] | None, width: int, height: int) -> list[Mark]:
    """The marks on a frame of this size, where they were drawn on one of another size."""
    across, down = (width / drawn_on[0], height / drawn_on[1]) if drawn_on else (1.0, 1.0)
    return [replace(mark, x=mark.x * across, y=mark.y * down, w=mark.w * across, h=mark.h * down) for mark in marks]


def mark_to_json(mark: Mark) -> list[Any]:
    """As plain JSON types; `Mark(*row)` reads it."""
    return [mark.x, mark.y, mark.w, mark.h, mark.label, dict(mark.attributes)]


def _plain(attributes: Any) -> dict[str, Any]:
    """Attributes as plain JSON types: ids of documents and the like become text."""
    return dict(json.loads(json.dumps(attributes, default=str))) if isinstance(attributes, dict) else {}


def _shares(given: Any) -> tuple[float, ...]:
    """The shares of [{percentage}, …] or [70, 20, 10], which sum up to 1; without any, all frames are for training."""
    if given is not None and not isinstance(given, list):
        raise ValueError(f"its splitCount is {quoted(str(given)[:80])}: make it a list of percentages")
    numbers = []
    for entry in given or ():
        value: Any = entry.get("percentage", entry.get("count")) if isinstance(entry, dict) else entry
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = -1.0
        if not isfinite(number) or number < 0:
            raise ValueError(f"its splitCount has {value!r} where a percentage should be")
        numbers.append(number)
    if len(numbers) > 3:
        raise ValueError("its splitCount has more than three parts, and there are train, validation and test")
    total = sum(numbers)
    return tuple(share / total for share in numbers) if total else (1.0,)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a frame's objects below `root`; `number` is the version's.

    Of the kinds of augmentation that are `plain`, the version is not in the names of image and thumbnail.
    """

    root: str
    number: str
    frame: int
    plain: frozenset[str] = frozenset()

    @property
    def _directory(self) -> str:
        return f"{self.root}{self.frame}/"

    @property
    def image(self) -> str:
        """The frame's image; all versions of a group share it."""
        return f"{self._directory}{self.frame}.jpg"

    @property
    def thumbnail(self) -> str:
        """The small image; all versions of a group share it."""
        return f"{self._directory}{self.frame}_thumbnail.jpg"

    @property
    def text(self) -> str:
        """The text file of its marks."""
        return f"{self._directory}{self.number}_{self.frame}.txt"

    def augmented(self, kind: str) -> tuple[str, str, str]:
        """Image, thumbnail and text of an augmentation.

        The version is in their names, because two versions may ask for different strengths.
        """
        directory, name = f"{self._directory}augmentations/", f"{self.number}_{kind}_{self.frame}"
        image = f"{directory}{kind}_{self.frame}" if kind in self.plain else f"{directory}{name}"
        return f"{image}.jpg", f"{image}_thumbnail.jpg", f"{directory}{name}.txt"


def assign_parts(frames: Sequence[int], known: Mapping[int, int], shares: Sequence[float], seed: str) -> dict[int, int]:
    """The part (1 train, 2 validation, 3 test) of each frame.

    A frame whose part is `known` keeps it; each other frame goes to the part that lacks most.
    """
    found = {frame: part for frame, part in known.items() if 1 <= part <= 3}
    counts = Counter(found[frame] for frame in frames if frame in found)

    def lacking(part: int) -> tuple[float, int]:
        return shares[part - 1] * len(frames) - counts[part], -part

    for frame in sorted((frame for frame in frames if frame not in found), key=lambda frame: digest(seed, frame)):
        part = max(range(1, len(shares) + 1), key=lacking)
        found[frame] = part
        counts[part] += 1
    return {frame: found[frame] for frame in frames}
