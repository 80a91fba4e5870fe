"""Makes tasks of an image, or of the images in a zip file or a directory tree. Never imported by the daemon.

Files are named by number, never by their names in the zip, so nothing can be written anywhere else. An image that cannot
be read is left out, with its name and the reason. The frames of the task videos are as large as the largest image, and each
image lies in the upper left corner, at its own size: what is drawn on the video is where it is on the image.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image, ImageOps, UnidentifiedImageError

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.frames.client import IMAGE_SUFFIXES
from vidd.media.frames.task_store import TASKS, TaskStore
from vidd.media.frames.worker.jpeg import save_images, task_size
from vidd.media.frames.worker.task_video import TaskVideo, TaskVideoSettings
from vidd.model.frame_manifest import Sample, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vidd.media.frames.client import ImageRequest
    from vidd.processes.worker import Progress

_MOST_IMAGES, _MOST_BYTES = 1_000_000, 256 << 20
_MOST_UNREADABLE_NAMED = 20
_RATE = Fraction(4)
# The limit of H.264's levels in browsers, and of x264.
_LONGEST_SIDE = 16384
# The orientations of EXIF that turn an image by a quarter.
_ORIENTATION, _TURNED = 0x0112, {5, 6, 7, 8}
UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    SyntaxError,  # of a PNG file that ends in the head of a chunk
)
Image.MAX_IMAGE_PIXELS = 250_000_000


class Images:
    """The images of a zip or a directory (`root`), by name in natural order: 2 before 10."""

    def __init__(self, names: Iterable[str], root: Path, zipped: zipfile.ZipFile | None = None) -> None:
        self._root, self._zipped = root, zipped
        own = {name for name in names if not _is_hidden(name)}
        images = [name for name in own if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]
        self.names = sorted(images, key=_natural_key)
        self.others = len(own) - len(self.names)

    def read(self, name: str) -> bytes:
        """The bytes of an image; ValueError where there are too many."""
        if self._zipped is None:
            if (self._root / name).stat().st_size > _MOST_BYTES:
                raise ValueError("it is too large")
            return (self._root / name).read_bytes()
        with self._zipped.open(name) as file:
            # The size in the directory of the zip may be false.
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError("it is too large")
        return data

    def film_size(self) -> tuple[int, int]:
        """Width and height of a frame that holds each image, both even, at least 2. What cannot be read has no size."""
        width = height = 2
        for name in self.names:
            try:
                size = shown_size(self.read(name))
            except UNREADABLE:
                continue
            if max(size) <= _LONGEST_SIDE:
                width, height = max(width, size[0]), max(height, size[1])
        return width + width % 2, height + height % 2


def gather_images(request: ImageRequest, report: Progress) -> dict[str, Any]:
    """Make the tasks of all images; Refused with a sentence where there is none."""
    with open_images(Path(request.path), request.name) as images:
        if not images.names:
            raise Refused(
                f"There is no image in {quoted(request.name)}: put JPEG, PNG, BMP, WebP or TIFF files into it."
            )
        if len(images.names) > _MOST_IMAGES:
            raise Refused(
                f"{quoted(request.name)} has {len(images.names)} images: send {_MOST_IMAGES} at most at once."
            )
        return _ImageTaskMaker(request, images, report).run()


class _ImageTaskMaker:
    def __init__(self, request: ImageRequest, images: Images, report: Progress) -> None:
        self._request, self._images, self._report = request, images, report
        self._store = TaskStore(Path(request.room), request.called, request.per_task)
        self._tasks = self._store.load_finished()
        self._unreadable: dict[str, str] = {}
        self._film_size = images.film_size() if request.films else None

    def run(self) -> dict[str, Any]:
        found = self._frames
        self._read_left_out()
        while (task := self._make_task()) is not None:
            self._tasks.append(task)
            self._report(self._frames, len(self._images.names))
        unreadable = [[quoted(name), why] for name, why in self._unreadable.items()]
        if not self._tasks:
            raise Refused(
                f"No image of {quoted(self._request.name)} can be read ({': '.join(unreadable[0])}): send them again, whole."
            )
        width, height = self._film_size or task_size(self._store.directory / TASKS / self._tasks[0].name)
        return {
            "tasks": [asdict(finished) for finished in self._tasks],
            "width": width,
            "height": height,
            "rate": float(_RATE) if self._request.films else 0.0,
            "source_rate": 0.0,
            "time_base": "1",
            "lost": len(self._unreadable),
            "unreadable": unreadable[:_MOST_UNREADABLE_NAMED],
            "others": self._images.others,
            "dropped": 0,
            "deinterlaced": 0,
            "found": found,
        }

    @property
    def _frames(self) -> int:
        return sum(task.frames for task in self._tasks)

    @property
    def _begin(self) -> int:
        """The number of the first image after those of the tasks."""
        return self._tasks[-1].last + 1 if self._tasks else 0

    def _read_left_out(self) -> None:
        """Find again why an earlier run left images out."""
        readable = {row.frame for task in self._tasks for row in self._store.rows(task.number)}
        for at, name in enumerate(self._images.names[: self._begin]):
            if at not in readable:
                self._read(name)

    def _read(self, name: str) -> tuple[Image.Image, str] | None:
        try:
            image, digest = read_image(self._images.read(name))
        except UNREADABLE as error:
            self._unreadable[name] = why_unreadable(error)
            return None
        if self._film_size is not None and max(image.size) > _LONGEST_SIDE:
            self._unreadable[name] = f"it has more than {_LONGEST_SIDE} pixels a side, too many for a task video"
            return None
        return image, digest

    def _make_task(self) -> Task | None:
        """The next task; None where no image is left for one."""
        request, number, rows = self._request, len(self._tasks), list[Sample]()
        begin = self._begin
        part = self._store.begin(number)
        film: TaskVideo | None = None
        for at, name in enumerate(self._images.names[begin:], begin):
            found = self._read(name)
            if found is None:
                continue
            image, digest = found
            index = len(rows) + 1
            if self._film_size is not None:
                film = film or self._begin_film(number, part)
                film.add(self._film_frame(image, self._film_size))
            thumbnail = part / f"{index}_thumbnail.jpg" if request.thumbnails else None
            save_images(image, part / f"{index}.jpg", thumbnail, quality=request.quality, largest=request.thumbnail)
            rows.append(Sample(self._store.task_name(number), index, at, at, 0.0, digest, name))
            if len(rows) == request.per_task:
                break
        if not rows:
            part.rmdir()
            return None
        if film is not None:
            film.close()
        return self._store.finish(number, part, rows, video=film is not None)

    def _begin_film(self, number: int, part: Path) -> TaskVideo:
        request = self._request
        settings = TaskVideoSettings(request.crf, request.preset, request.keyframes, request.threads)
        return TaskVideo(part / f"{self._store.task_name(number)}.mp4", _RATE, settings)

    def _film_frame(self, image: Image.Image, size: tuple[int, int]) -> VideoFrame:
        whole = image
        if image.size != size:
            whole = Image.new("RGB", size)
            whole.paste(image)
        frame: VideoFrame = VideoFrame.from_image(whole)  # type: ignore[no-untyped-call]
        return frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


@contextmanager
def open_images(path: Path, name: str) -> Iterator[Images]:
    """The images of an image file, a zip file or a directory; Refused where the zip file, which people know by `name`, is broken."""
    if path.is_dir():
        yield Images((file.relative_to(path).as_posix() for file in path.rglob("*") if _is_regular_file(file)), path)
        return
    if path.suffix.lower() in IMAGE_SUFFIXES:
        yield Images([path.name], path.parent)
        return
    try:
        with zipfile.ZipFile(path) as zipped:
            if any(info.flag_bits & 1 for info in zipped.infolist()):
                raise Refused(f"{quoted(name)} is locked with a password: send it without one.")
            yield Images((info.filename for info in zipped.infolist() if not info.is_dir()), path, zipped)
    except zipfile.BadZipFile as error:
        raise Refused(f"{quoted(name)} cannot be read as a zip file ({error}): send it again, whole.") from None


def why_unreadable(error: Exception) -> str:
    """The reason why an image cannot be read, for people."""
    return "it is no image, or broken" if isinstance(error, UnidentifiedImageError) else str(error)


def read_image(data: bytes, background: str = "white") -> tuple[Image.Image, str]:
    """An image, upright and as 8-bit RGB, and the SHA-1 (hex) of its samples as they are in the file.

    The colour `background` shows where the image is transparent.
    """
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        digest = hashlib.sha1(image.tobytes(), usedforsecurity=False).hexdigest()
        return _rgb(ImageOps.exif_transpose(image), background), digest


def shown_size(data: bytes) -> tuple[int, int]:
    """Width and height of an image as it is shown, read from its head."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        return (height, width) if image.getexif().get(_ORIENTATION) in _TURNED else (width, height)


def _rgb(image: Image.Image, background: str) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits a sample: the upper eight can be shown.
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        canvas = Image.new("RGBA", image.size, background)
        canvas.alpha_composite(image.convert("RGBA"))
        return canvas.convert("RGB")
    return image.convert("RGB")


def _is_regular_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_hidden(name: str) -> bool:
    # The files that macOS puts beside each image have its suffix.
    return any(part.strip(".") and part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _natural_key(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part.casefold()) for part in re.split(r"(\d+)", name)]
