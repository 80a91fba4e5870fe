"""The files of a task's frames. Runs in a child; never imported by the daemon."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from PIL import Image

from vidd.errors import Refused
from vidd.files.disk_space import retry_if_full
from vidd.integrations.datasets.formats.yolo import default, yolo
from vidd.integrations.datasets.labels import Classes, Mark, Marked, Wanted
from vidd.integrations.datasets.model import scaled
from vidd.media.frames.worker.image_tasks import UNREADABLE, read, why_unreadable
from vidd.media.frames.worker.jpeg import picture_of, save_small
from vidd.media.frames.worker.normalize import Upright
from vidd.media.probe.worker.reader import opened, picture_streams
from vidd.model.augmentation import Recipe, geometry, move_boxes
from vidd.model.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class Task:
    """One task's orders: `frames` in the order of their numbers, with what is to be made of each, below `room`."""

    def __init__(self, orders: Mapping[str, Any], say: Callable[..., None]) -> None:
        self._orders, self._say = orders, say
        self._room = Path(orders["room"])
        self._classes = Classes([Wanted(*label) for label in orders["labels"]])

    def run(self) -> None:
        """Make all of it, and say of each frame what there is now."""
        frames: Sequence[Mapping[str, Any]] = self._orders["frames"]
        of_film = self._of_film([frame for frame in frames if frame["index"] is not None])
        with retry_if_full():
            for frame in frames:
                self._frame(frame, next(of_film) if frame["index"] is not None else None)

    def _frame(self, frame: Mapping[str, Any], picture: Image.Image | None) -> None:
        made: dict[str, list[Any]] = {}
        data = None
        if frame["picture"] is not None:
            data = Path(frame["picture"]).read_bytes()
            picture = self._picture(frame, data)
        size = picture.size if picture is not None else tuple(frame["size"])
        wanted = frame["want"]
        if "image" in wanted and picture is not None:
            made["image"] = self._image(wanted["image"], picture, data)
            # All else is made of what goes out, so that it comes out the same when it is made another time.
            picture = self._picture(frame, (self._room / wanted["image"]).read_bytes())
        if "small" in wanted and picture is not None:
            made["small"] = self._small(wanted["small"], picture)
        marks = self._marks(frame, *size)
        if "text" in wanted:
            made["text"] = self._write(wanted["text"], self._text(marks, *size).encode())
        for name, value in wanted["changed"].items():
            made |= self._changed(name, value, picture, size, marks)
        self._say(frame=frame["number"], size=size, made=made)

    def _marks(self, frame: Mapping[str, Any], width: int, height: int) -> list[Mark]:
        return scaled((Mark(*mark) for mark in frame["marks"]), self._orders["drawn_on"], width, height)

    def _text(self, marks: Sequence[Mark], width: int, height: int) -> str:
        frame = Marked("", width, height, marks)
        return yolo(frame, self._classes) if self._classes.wanted else default(frame)

    def _classed(self, marks: Sequence[Mark], width: int, height: int) -> list[Box]:
        """What is to be seen of the boxes, called by their classes."""
        found = []
        for mark in marks:
            place, there = self._classes.place(mark), mark.within(width, height)
            if there is not None and (place is not None or not self._classes.wanted):
                left, top, right, bottom = there
                called = mark.label if place is None else str(place)
                found.append(Box(left, top, right - left, bottom - top, called))
        return found

    def _changed(
        self, name: str, one: Mapping[str, Any], picture: Image.Image | None, size: Sequence[int], marks: list[Mark]
    ) -> dict[str, list[Any]]:
        how = Recipe.from_json(one["how"])
        where = geometry(how, size[0], size[1])
        made = {}
        if "image" in one and picture is not None:
            new = _augmented(picture, how)
            made[f"{name} image"] = self._save(one["image"], new, self._orders["quality"])
            made[f"{name} small"] = self._small(one["small"], new)
        if "text" in one:
            boxes = move_boxes(self._classed(marks, size[0], size[1]), where)
            there = [Mark(box.x, box.y, box.w, box.h, box.label) for box in boxes]
            text = default(Marked("", where.width, where.height, there))
            made[f"{name} text"] = self._write(one["text"], text.encode())
        return made

    def _picture(self, frame: Mapping[str, Any], data: bytes) -> Image.Image:
        try:
            return read_image(data)[0]
        except UNREADABLE as error:
            raise Refused(
                f"the picture of frame {frame['number']} cannot be read ({why_unreadable(error)}): put it there again, whole"
            ) from None

    def _image(self, place: str, picture: Image.Image, data: bytes | None) -> list[Any]:
        # What is upright and a JPEG already goes out as it is.
        if data is not None and data.startswith(b"\xff\xd8\xff") and _is_plain(data):
            return self._write(place, data)
        return self._save(place, picture, self._orders["quality"])

    def _small(self, place: str, picture: Image.Image) -> list[Any]:
        path = self._path(place)
        save_thumbnail(picture.copy(), path, self._orders["largest"])
        return _said(place, path.read_bytes())

    def _save(self, place: str, picture: Image.Image, quality: int) -> list[Any]:
        path = self._path(place)
        picture.save(path, "JPEG", quality=quality)
        return _said(place, path.read_bytes())

    def _write(self, place: str, data: bytes) -> list[Any]:
        self._path(place).write_bytes(data)
        return _said(place, data)

    def _path(self, place: str) -> Path:
        path = self._room / place
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _of_film(self, frames: Sequence[Mapping[str, Any]]) -> Iterator[Image.Image]:
        """The pictures of the task's film with these numbers (`index`, from 1), decoded once."""
        if not frames:
            return
        upright, wanted, number = Normalizer(deinterlace=True), iter(frames), 0
        next_one = next(wanted)
        with open_media(Path(self._orders["film"]), self._orders["name"]) as container:
            streams = video_streams(container)
            if not streams:
                raise Refused("its video has no picture")
            try:
                for picture in container.decode(streams[0]):
                    number += 1
                    while next_one is not None and next_one["index"] == number:
                        yield to_image(upright(picture))
                        next_one = next(wanted, None)  # type: ignore[arg-type]
                    if next_one is None:
                        return
            except av.FFmpegError as error:
                raise Refused(f"its video cannot be decoded after {number} frames ({error})") from None
        raise Refused(f"its video has {number} frames, and there is a frame {next_one['number']}")


def _augmented(picture: Image.Image, how: Recipe) -> Image.Image:
    try:
        import numpy as np  # noqa: PLC0415 - who wants no augmentations needs none of it

        from vidd.integrations.datasets.worker.augmentation import augment  # noqa: PLC0415
    except ImportError as error:
        raise Refused(f"augmentations need {error.name!r}, which is not installed: install vidd[annotate]") from None
    return Image.fromarray(augment(np.asarray(picture), how))


def _is_plain(data: bytes) -> bool:
    """Whether all viewers show a JPEG file as it is stored: not turned by its EXIF, and in RGB or grey."""
    with Image.open(io.BytesIO(data)) as image:
        return image.mode in {"RGB", "L"} and image.getexif().get(0x0112, 1) == 1


def _said(place: str, data: bytes) -> list[Any]:
    return [place, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()]
