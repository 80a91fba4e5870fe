"""A version of a data set: what its document asks for, the keys of its objects, and which part of it a frame is in; no I/O."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.model.annotations import Label
from vidd.model.augmentation import Augmentation, augmentation_of
from vidd.printable import quoted

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
    labels: tuple[Label, ...]
    augmentations: tuple[Augmentation, ...]
    shares: tuple[float, ...]

    @property
    def format(self) -> str:
        """What the documents call the lines of its texts."""
        return "YOLO" if self.labels else "DEFAULT"

    @property
    def texts(self) -> str:
        """Stands for what decides the lines of a frame, besides its boxes."""
        return digest([[one.index, one.name, dict(one.attributes)] for one in self.labels])


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
        return Version(
            identity,
            part("dataSetGroupId"),
            part("versionNo"),
            named,
            _labels(document.get("labelAttributeList")),
            _augmentations(document.get("augmentationTypes")),
            _shares(document.get("splitCount")),
        )
    except ValueError as error:
        raise Refused(f"The data set version {identity} cannot be made: {error}.") from None


def _labels(given: Any) -> tuple[Label, ...]:
    if given is not None and not isinstance(given, list):
        raise ValueError("its labelAttributeList is no list")
    found = []
    for index, one in enumerate(given or ()):
        if not isinstance(one, dict) or not isinstance(one.get("mainLabel"), str):
            raise ValueError(f"entry {index} of its labelAttributeList has no mainLabel")  # noqa: TRY004 - it is data
        attributes = one.get("attributes")
        if one.get("isEnabled"):
            plain = json.loads(json.dumps(attributes if isinstance(attributes, dict) else {}, default=str))
            found.append(Label(index, " ".join(one["mainLabel"].split()), plain))
    return tuple(found)


def _augmentations(given: Any) -> tuple[Augmentation, ...]:
    found: dict[str, Augmentation] = {}
    groups = given.get("IMAGE_LEVEL") if isinstance(given, dict) else None
    for group in groups or ():
        for one in (group.get("properties") if isinstance(group, dict) else None) or ():
            made = augmentation_of(str(one.get("id")), one.get("values")) if isinstance(one, dict) else None
            if made is not None:
                found[made.name] = made
    return tuple(found.values())


def _shares(given: Any) -> tuple[float, ...]:
    """Of [{percentage}, …] or [70, 20, 10]; without any, all is for training."""
    numbers = []
    for one in given if isinstance(given, list) else ():
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


def chosen(frames: Iterable[int], share: float, seed: str) -> frozenset[int]:
    """So large a share of the frames, drawn by the seed."""
    ranked = sorted(frames, key=lambda one: digest(seed, one))
    return frozenset(ranked[: int(share * len(ranked) + 1e-9)])


def parts(frames: Sequence[int], marked: Mapping[int, int], shares: Sequence[float], seed: str) -> dict[int, int]:
    """In which part (1 train, 2 validation, 3 test) each frame is. Who is `marked` stays; the others fill what lacks most."""
    found = {frame: part for frame, part in marked.items() if 1 <= part <= 3}
    counts = Counter(found[frame] for frame in frames if frame in found)
    for frame in sorted((one for one in frames if one not in found), key=lambda one: digest(seed, one)):
        part = max(range(1, len(shares) + 1), key=lambda one: (shares[one - 1] * len(frames) - counts[one], -one))
        found[frame] = part
        counts[part] += 1
    return {frame: found[frame] for frame in frames}
