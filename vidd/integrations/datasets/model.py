"""A version of a data set: what its document asks for, the keys of its objects, and which part of it a frame is in; no I/O."""

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
from vidd.integrations.datasets.labels import Classes, Mark, mark_of
from vidd.model.augmentation import Augmentation, augmentations_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_PART = re.compile(r"[A-Za-z0-9._+-]{1,100}")


def digest(*parts: Any) -> str:
    """Stands for all of these, which are plain JSON types."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Version:
    """What is to be made. `shares` are those of the parts (train, validation, test), which sum up to 1."""

    id: str
    group: str
    number: str
    tasks: tuple[str, ...]
    classes: Classes
    augmentations: tuple[Augmentation, ...]
    shares: tuple[float, ...]

    @property
    def format(self) -> str:
        """What the documents call the lines of its texts: where no label is wanted, each box has its own."""
        return "YOLO" if any(entry.enabled for entry in self.classes.wanted) else "DEFAULT"

    @property
    def labels(self) -> list[list[Any]]:
        """The classes as plain JSON types; none where none is wanted."""
        wanted = self.classes.wanted if self.format == "YOLO" else ()
        return [[entry.label, dict(entry.attributes), entry.enabled] for entry in wanted]


def version_of(document: Mapping[str, Any]) -> Version:
    """Refused with a sentence where the document cannot be made sense of."""
    identity = str(document["_id"])

    def part(name: str) -> str:
        text = "" if document.get(name) is None else str(document[name])
        if not _PART.fullmatch(text) or text in {".", ".."}:
            raise Refused(
                f"The data set version {identity} has no {name} that keys could hold ({quoted(text)}): correct it."
            )
        return text

    tasks = document.get("taskList")
    if not isinstance(tasks, list) or not tasks:
        raise Refused(f"The data set version {identity} has no tasks in its taskList: add some.")
    named = tuple(dict.fromkeys(map(str, tasks)))
    if bad := [one for one in named if not _PART.fullmatch(one) or one in {".", ".."}]:
        raise Refused(f"The data set version {identity} names a task that is no id ({quoted(bad[0])}): correct it.")
    try:
        version = Version(
            identity,
            part("dataSetGroupId"),
            part("versionNo"),
            named,
            _classes(document.get("labelAttributeList")),
            tuple(_augmentations(document.get("augmentationTypes"))),
            _shares(document.get("splitCount")),
        )
        _check_formats(document.get("exportFormats"), version.format, "COCO", "CVAT")
    except ValueError as error:
        raise Refused(f"The data set version {identity} cannot be made: {error}.") from None
    return version


def _check_formats(given: Any, *names: str) -> None:
    """What was made is told in these objects."""
    shown = {"exportFormats": given}
    if isinstance(given, dict):
        shown = {f"exportFormats.{name}": given.get(name) for name in names}
    for name, value in shown.items():
        if value is not None and not isinstance(value, dict):
            told = quoted(str(value)[:80])
            raise ValueError(f"its {name} is {told}: make it an object, or leave it out")


def _classes(given: Any) -> Classes:
    rows = given or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("its labelAttributeList is no list of labels")
    return Classes.from_documents([{**row, "attributes": _plain(row.get("attributes"))} for row in rows])


def _augmentations(given: Any) -> list[Augmentation]:
    groups = given.get("IMAGE_LEVEL") if isinstance(given, dict) else None
    try:
        return augmentations_of(groups or ())
    except (AttributeError, TypeError) as error:
        raise ValueError(f"its augmentationTypes cannot be read ({error})") from None


def mark_from(box: Any) -> Mark:
    """A box of a frame's document; ValueError where it is none. Its attributes are those that are drawn with it."""
    found = box.get("boundaries") if isinstance(box, dict) else None
    mark = mark_of({"boundaries": found}) if isinstance(found, dict) else None
    if mark is None or not mark.label.strip():
        raise ValueError("it is no rectangle with a label and numbers for x, y, w and h")
    return replace(mark, attributes=_plain(mark.attributes), confidence=None)


def scaled(marks: Iterable[Mark], drawn_on: Sequence[float] | None, width: int, height: int) -> list[Mark]:
    """The boxes on a picture of this size, where they were drawn on one of another."""
    across, down = (width / drawn_on[0], height / drawn_on[1]) if drawn_on else (1.0, 1.0)
    return [replace(mark, x=mark.x * across, y=mark.y * down, w=mark.w * across, h=mark.h * down) for mark in marks]


def mark_to_json(mark: Mark) -> list[Any]:
    """As plain JSON types; `Mark(*…)` is the opposite."""
    return [mark.x, mark.y, mark.w, mark.h, mark.label, dict(mark.attributes)]


def _plain(attributes: Any) -> dict[str, Any]:
    """Values as JSON has them: ids of documents and the like become their text."""
    return dict(json.loads(json.dumps(attributes, default=str))) if isinstance(attributes, dict) else {}


def _shares(given: Any) -> tuple[float, ...]:
    """Of [{percentage}, …] or [70, 20, 10], in proportion; without any, all is for training."""
    if given is not None and not isinstance(given, list):
        raise ValueError(f"its splitCount is {quoted(str(given)[:80])}: make it a list of percentages")
    numbers = []
    for one in given or ():
        value: Any = one.get("percentage", one.get("count")) if isinstance(one, dict) else one
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
    return tuple(one / total for one in numbers) if total else (1.0,)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a frame's objects below `root`; `number` is the version's."""

    root: str
    number: str
    frame: int

    @property
    def _begin(self) -> str:
        return f"{self.root}{self.frame}/"

    @property
    def image(self) -> str:
        """The picture; all versions of a group share it."""
        return f"{self._begin}{self.frame}.jpg"

    @property
    def small(self) -> str:
        """The small picture."""
        return f"{self._begin}{self.frame}_thumbnail.jpg"

    @property
    def text(self) -> str:
        """What is on it."""
        return f"{self._begin}{self.number}_{self.frame}.txt"

    def changed(self, name: str) -> tuple[str, str, str]:
        """Picture, small picture and text of an augmentation.

        They are named after the version, too: two versions may ask for different strengths.
        """
        begin = f"{self._begin}augmentations/{self.number}_{name}_{self.frame}"
        return f"{begin}.jpg", f"{begin}_thumbnail.jpg", f"{begin}.txt"


def parts(frames: Sequence[int], marked: Mapping[int, int], shares: Sequence[float], seed: str) -> dict[int, int]:
    """In which part (1 train, 2 validation, 3 test) each frame is. Who is `marked` stays; the others fill what lacks most."""
    found = {frame: part for frame, part in marked.items() if 1 <= part <= 3}
    counts = Counter(found[frame] for frame in frames if frame in found)
    for frame in sorted((frame for frame in frames if frame not in found), key=lambda frame: digest(seed, frame)):
        part = max(range(1, len(shares) + 1), key=lambda one: (shares[one - 1] * len(frames) - counts[one], -one))
        found[frame] = part
        counts[part] += 1
    return {frame: found[frame] for frame in frames}
