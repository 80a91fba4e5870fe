"""Images as tasks of so many: those of a zip file, or of a directory and all below it. Never imported by the daemon.

What is written is named by its number, never by what the zip says, so nothing can be written anywhere else. An image
that cannot be read is left out and named.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps, UnidentifiedImageError

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.frames.task_store import TASKS, Shelf
from vidd.media.frames.worker.jpeg import save, size_of
from vidd.model.frame_manifest import Sample, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vidd.processes.worker import Progress

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
_MOST, _LARGEST = 1_000_000, 256 << 20
_MOST_NAMED = 20
UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
)
Image.MAX_IMAGE_PIXELS = 250_000_000


@dataclass(frozen=True)
class ImageOrders:
    """What is wanted: `path` is the zip or the directory, `called` how tasks are named after it."""

    path: str
    name: str
    called: str
    room: str
    per_task: int
    thumbnails: bool
    thumbnail: int
    quality: int


class _Images:
    """The images there are, by name as people count: 2 before 10."""

    def __init__(self, zipped: zipfile.ZipFile | None, root: Path) -> None:
        self._zipped, self._root = zipped, root
        if zipped is not None:
            names = [one.filename for one in zipped.infolist() if not one.is_dir()]
        else:
            names = [path.relative_to(root).as_posix() for path in root.rglob("*") if _is_own(path)]
        own = {one for one in names if not _is_hidden(one)}
        self.names = sorted((one for one in own if PurePosixPath(one).suffix.lower() in _ENDINGS), key=_as_counted)
        self.others = len(own) - len(self.names)

    def bytes_of(self, name: str) -> bytes:
        if self._zipped is None:
            if (self._root / name).stat().st_size > _LARGEST:
                raise ValueError("it is too large")
            return (self._root / name).read_bytes()
        with self._zipped.open(name) as file:
            # What the directory of the zip says of its size may be a lie.
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ValueError("it is too large")
        return data


def gather(orders: ImageOrders, progress: Progress) -> dict[str, Any]:
    """All of it; Refused with a sentence where there is no image."""
    with _opened(orders) as images:
        if not images.names:
            raise Refused(
                f"There is no image in {quoted(orders.name)}: put JPEG, PNG, BMP, WebP or TIFF files into it."
            )
        if len(images.names) > _MOST:
            raise Refused(f"{quoted(orders.name)} has {len(images.names)} images: send {_MOST} at most at once.")
        return _Gathering(orders, images, progress).run()


class _Gathering:
    def __init__(self, orders: ImageOrders, images: _Images, progress: Progress) -> None:
        self._orders, self._images, self._progress = orders, images, progress
        self._shelf = Shelf(Path(orders.room), orders.called, orders.per_task)
        self._tasks = self._shelf.found()
        self._bad: dict[str, str] = {}

    def run(self) -> dict[str, Any]:
        found = self._frames
        self._name_again()
        while (task := self._task()) is not None:
            self._tasks.append(task)
            self._progress(self._frames, len(self._images.names))
        unreadable = [[quoted(name), why] for name, why in self._bad.items()]
        if not self._tasks:
            raise Refused(
                f"No image of {quoted(self._orders.name)} can be read ({': '.join(unreadable[0])}): send them again, whole."
            )
        width, height = size_of(self._shelf.room / TASKS / self._tasks[0].name)
        return {
            "tasks": [asdict(one) for one in self._tasks],
            "width": width,
            "height": height,
            "source_rate": 0.0,
            "time_base": "1",
            "lost": len(self._bad),
            "unreadable": unreadable[:_MOST_NAMED],
            "others": self._images.others,
            "dropped": 0,
            "deinterlaced": 0,
            "found": found,
        }

    @property
    def _frames(self) -> int:
        return sum(one.frames for one in self._tasks)

    @property
    def _begin(self) -> int:
        """The number of the first image that no task went through."""
        return self._tasks[-1].last + 1 if self._tasks else 0

    def _name_again(self) -> None:
        """Look why an earlier run left images out."""
        kept = {row.frame for task in self._tasks for row in self._shelf.rows(task.number)}
        for at, name in enumerate(self._images.names[: self._begin]):
            if at not in kept:
                self._read(name)

    def _read(self, name: str) -> tuple[Image.Image, str] | None:
        try:
            return read(self._images.bytes_of(name))
        except UNREADABLE as error:
            self._bad[name] = why_unreadable(error)
            return None

    def _task(self) -> Task | None:
        """The next task; None where no image is left for one."""
        orders, number, rows = self._orders, len(self._tasks), list[Sample]()
        begin = self._begin
        part = self._shelf.begin(number)
        for at, name in enumerate(self._images.names[begin:], begin):
            image = self._read(name)
            if image is None:
                continue
            picture, digest = image
            index = len(rows) + 1
            small = part / f"{index}_thumbnail.jpg" if orders.thumbnails else None
            save(picture, part / f"{index}.jpg", small, quality=orders.quality, largest=orders.thumbnail)
            rows.append(Sample(self._shelf.called(number), index, at, at, 0.0, digest, name))
            if len(rows) == orders.per_task:
                break
        if not rows:
            part.rmdir()
            return None
        return self._shelf.finish(number, part, rows, film=False)


@contextmanager
def _opened(orders: ImageOrders) -> Iterator[_Images]:
    path = Path(orders.path)
    if path.is_dir():
        yield _Images(None, path)
        return
    try:
        with zipfile.ZipFile(path) as zipped:
            if any(one.flag_bits & 1 for one in zipped.infolist()):
                raise Refused(f"{quoted(orders.name)} is locked with a password: send it without one.")
            yield _Images(zipped, path)
    except zipfile.BadZipFile as error:
        raise Refused(f"{quoted(orders.name)} cannot be read as a zip file ({error}): send it again, whole.") from None


def why_unreadable(error: Exception) -> str:
    """What the reader of an image says, for people."""
    return "it is no image, or broken" if isinstance(error, UnidentifiedImageError) else str(error)


def read(data: bytes) -> tuple[Image.Image, str]:
    """An image, upright and as RGB of 8 bits; and the SHA-1 of its samples as the file has them."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        digest = hashlib.sha1(image.tobytes(), usedforsecurity=False).hexdigest()
        return _rgb(ImageOps.exif_transpose(image)), digest


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits a sample: the upper eight are what can be shown.
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        return paper.convert("RGB")
    return image.convert("RGB")


def _is_own(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_hidden(name: str) -> bool:
    # What macOS puts beside each file has its ending, and is no image.
    return any(part.strip(".") and part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _as_counted(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part.casefold()) for part in re.split(r"(\d+)", name)]
