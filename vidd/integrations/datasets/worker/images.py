"""Makes the files of a task's frames: images, thumbnails, texts, and augmentations."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from PIL import Image

from vidd.errors import FaultCode, Refused
from vidd.files.disk_space import retry_if_full
from vidd.integrations.datasets.formats.yolo import default, yolo
from vidd.integrations.datasets.labels import Classes, LabelClass, Mark, MarkedFrame
from vidd.integrations.datasets.model import scale_marks
from vidd.media.frames.worker.image_tasks import UNREADABLE, read_image, why_unreadable
from vidd.media.frames.worker.jpeg import save_thumbnail, to_image
from vidd.media.frames.worker.normalize import Normalizer
from vidd.media.probe.worker.reader import open_media, video_streams
from vidd.model.augmentation import Recipe, move_boxes, recipe_geometry
from vidd.model.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_EXIF_ORIENTATION = 0x0112


class FrameWriter:
    """Writes what `frames` of the orders, in the order of their numbers, name as `missing` below `directory`."""

    def __init__(self, orders: Mapping[str, Any], report: Callable[..., None]) -> None:
        self._orders, self._report = orders, report
        self._directory = Path(orders["directory"])
        self._classes = Classes([LabelClass(*row) for row in orders["labels"]])

    def run(self) -> None:
        """Make all files, and report the size of each frame and what was made of it."""
        frames: Sequence[Mapping[str, Any]] = self._orders["frames"]
        from_video = self._decode_video([frame for frame in frames if frame["index"] is not None])
        with retry_if_full():
            for frame in frames:
                self._make_frame(frame, next(from_video) if frame["index"] is not None else None)

    def _make_frame(self, frame: Mapping[str, Any], image: Image.Image | None) -> None:
        made: dict[str, list[Any]] = {}
        data = None
        if frame["image"] is not None:
            data = Path(frame["image"]).read_bytes()
            image = self._read_image(frame, data)
        size = image.size if image is not None else tuple(frame["size"])
        missing = frame["missing"]
        if "image" in missing and image is not None:
            made["image"] = self._write_image(missing["image"], image, data)
            # All else is made of the image that is sent, so that it has the same bytes when it is made another time.
            image = self._read_image(frame, (self._directory / missing["image"]).read_bytes())
        if "thumbnail" in missing and image is not None:
            made["thumbnail"] = self._write_thumbnail(missing["thumbnail"], image)
        marks = self._scaled_marks(frame, *size)
        if "text" in missing:
            made["text"] = self._write(missing["text"], self._text(marks, *size).encode())
        for kind, keys in missing["augmentations"].items():
            how = Recipe.from_json(keys["how"])
            if "image" in keys and image is not None:
                made |= self._write_augmented(keys, _augmented(image, how), kind)
            if "text" in keys:
                made[f"{kind} text"] = self._write(keys["text"], self._augmented_text(marks, how, *size).encode())
        self._report(frame=frame["number"], size=size, made=made)

    def _scaled_marks(self, frame: Mapping[str, Any], width: int, height: int) -> list[Mark]:
        return scale_marks((Mark(*mark) for mark in frame["marks"]), self._orders["drawn_on"], width, height)

    def _text(self, marks: Sequence[Mark], width: int, height: int) -> str:
        frame = MarkedFrame("", width, height, marks)
        return yolo(frame, self._classes) if self._classes.entries else default(frame)

    def _augmented_text(self, marks: Sequence[Mark], how: Recipe, width: int, height: int) -> str:
        where = recipe_geometry(how, width, height)
        boxes = move_boxes(self._boxes(marks, width, height), where)
        moved = [Mark(box.x, box.y, box.w, box.h, box.label) for box in boxes]
        return default(MarkedFrame("", where.width, where.height, moved))

    def _boxes(self, marks: Sequence[Mark], width: int, height: int) -> list[Box]:
        """The visible parts of marks that have a class, labelled with its number."""
        found = []
        for mark in marks:
            index, visible = self._classes.index_of(mark), mark.within(width, height)
            if visible is not None and (index is not None or not self._classes.entries):
                left, top, right, bottom = visible
                found.append(Box(left, top, right - left, bottom - top, mark.label if index is None else str(index)))
        return found

    def _write_augmented(self, keys: Mapping[str, str], image: Image.Image, kind: str) -> dict[str, list[Any]]:
        return {
            f"{kind} image": self._save(keys["image"], image),
            f"{kind} thumbnail": self._write_thumbnail(keys["thumbnail"], image),
        }

    def _read_image(self, frame: Mapping[str, Any], data: bytes) -> Image.Image:
        try:
            return read_image(data)[0]
        except UNREADABLE as error:
            raise Refused(
                f"the image of frame {frame['number']} cannot be read ({why_unreadable(error)}): replace it with an intact one"
            ) from None

    def _write_image(self, key: str, image: Image.Image, data: bytes | None) -> list[Any]:
        # An upright JPEG is sent as it is.
        if data is not None and data.startswith(b"\xff\xd8\xff") and _is_plain(data):
            return self._write(key, data)
        return self._save(key, image)

    def _write_thumbnail(self, key: str, image: Image.Image) -> list[Any]:
        path = self._path(key)
        save_thumbnail(image.copy(), path, self._orders["largest"])
        return _made(key, path.read_bytes())

    def _save(self, key: str, image: Image.Image) -> list[Any]:
        path = self._path(key)
        image.save(path, "JPEG", quality=self._orders["quality"])
        return _made(key, path.read_bytes())

    def _write(self, key: str, data: bytes) -> list[Any]:
        self._path(key).write_bytes(data)
        return _made(key, data)

    def _path(self, key: str) -> Path:
        path = self._directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _decode_video(self, frames: Sequence[Mapping[str, Any]]) -> Iterator[Image.Image]:
        """The frames of the task's video with these numbers (`index`, from 1), decoded once."""
        if not frames:
            return
        normalize, number, done = Normalizer(deinterlace=True), 0, 0
        with open_media(Path(self._orders["video"]), self._orders["name"]) as container:
            streams = video_streams(container)
            if not streams:
                raise Refused("its video has no frames")
            try:
                for decoded in container.decode(streams[0]):
                    number += 1
                    while frames[done]["index"] == number:
                        yield to_image(normalize(decoded))
                        done += 1
                        if done == len(frames):
                            return
            except av.FFmpegError as error:
                raise Refused(f"its video cannot be decoded after {number} frames ({error})") from None
        raise Refused(f"its video has {number} frames, and there is a frame {frames[done]['number']}")


def _augmented(image: Image.Image, how: Recipe) -> Image.Image:
    try:
        # OpenCV is an extra, and data sets without augmentations do without it.
        import numpy as np  # noqa: PLC0415

        from vidd.integrations.datasets.worker.augmentation import augment  # noqa: PLC0415
    except ImportError as error:
        raise Refused(
            f"augmentations need {error.name!r}, which is not installed: install vidd[annotate]",
            code=FaultCode.NOT_INSTALLED,
        ) from None
    return Image.fromarray(augment(np.asarray(image), how))


def _is_plain(data: bytes) -> bool:
    """Whether every viewer shows a JPEG file as it is stored: not turned by its EXIF, and in RGB or grey."""
    with Image.open(io.BytesIO(data)) as image:
        return image.mode in {"RGB", "L"} and image.getexif().get(_EXIF_ORIENTATION, 1) == 1


def _made(key: str, data: bytes) -> list[Any]:
    return [key, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()]
