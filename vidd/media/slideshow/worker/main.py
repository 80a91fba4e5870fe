"""The worker that reads pictures and audio for slideshows: `python -m vidd.media.slideshow.worker.main`.

It answers `prepare`, with a `PictureRequest`, and `audio`, by the protocol of `vidd.processes.worker`.

Each picture is decoded once, for all formats, and written once: of its frames only the first is kept, and with a crossfade
the last that is not blended. ffmpeg repeats and blends them.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import av
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.ffmpeg.formats import FORMATS
from vidd.media.frames.worker.image_tasks import UNREADABLE, open_images, read_image, shown_size, why_unreadable
from vidd.media.slideshow.client import PictureRequest
from vidd.media.slideshow.timing import Timing
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av.container import OutputContainer
    from av.video.stream import VideoStream

    from vidd.media.frames.worker.image_tasks import Images
    from vidd.processes.worker import Progress

# Hardware decoders play H.264 up to 4K.
_LONGEST_SIDE, _SHORTEST_SIDE = 3840, 16
_POSTER_QUALITY = 90
# The names of a series of pictures that a step numbered: 0001, 0002, …
_NUMBERED = re.compile(r"\d{3,6}")


class _FrameWriter:
    """Writes frames with their numbers as times, without loss; ffmpeg reads them once for each format."""

    def __init__(self, path: Path, size: tuple[int, int], fps: int) -> None:
        # NUT keeps times as they are, Matroska would round them to milliseconds.
        self._output: OutputContainer = av.open(f"file:{path}", "w", format="nut")
        # The fastest lossless encoder: it is a tenth of what decoding a picture costs.
        self._stream: VideoStream = self._output.add_stream("utvideo", rate=fps)
        self._stream.pix_fmt = "yuv420p"
        self._stream.width, self._stream.height = size
        self._ticks = Fraction(1, fps)
        self._stream.time_base = self._stream.codec_context.time_base = self._ticks
        self._stream.codec_context.color_range = 1
        self._stream.codec_context.colorspace = Colorspace.ITU709

    def write(self, picture: Image.Image, numbers: Sequence[int]) -> None:
        """Write a picture as the frames with these numbers."""
        frame: VideoFrame = VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        for number in numbers:
            frame.pts, frame.time_base, frame.duration = number, self._ticks, 1
            self._output.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is left."""
        self._output.mux(self._stream.encode(None))
        self._output.close()


def prepare(request: PictureRequest, report: Progress) -> dict[str, Any]:
    """Write the frames and the poster; returns the fields of `Prepared`. Refused where a picture is missing or damaged."""
    with open_images(Path(request.path), request.name) as pictures:
        _refuse_gaps(pictures.names, request.name)
        size = request.size or _most_common_size(pictures, request)
        timing = Timing(len(pictures.names), request.seconds, request.fps, request.crossfade)
        with closing(_FrameWriter(Path(request.frames), size, request.fps)) as writer:
            for slide, name in enumerate(pictures.names):
                with _refused_by_name(name, request.name):
                    picture = fit(read_image(pictures.read(name), request.background)[0], size, request.background)
                if not slide:
                    picture.save(request.poster, "JPEG", quality=_POSTER_QUALITY)
                writer.write(picture, timing.given_frames(slide))
                report(slide + 1, timing.slides)
        return {"slides": timing.slides, "width": size[0], "height": size[1], "others": pictures.others}


def _refuse_gaps(names: Sequence[str], tree: str) -> None:
    """A number that is missing in a series is a picture that was lost, and the slideshow would say nothing of it."""
    if not names:
        raise Refused(f"There is no picture in {quoted(tree)}: put JPEG, PNG, BMP, WebP or TIFF files into it.")
    stems = [PurePosixPath(name).stem for name in names]
    if not all(_NUMBERED.fullmatch(stem) for stem in stems) or len({len(stem) for stem in stems}) > 1:
        return
    numbers = {int(stem) for stem in stems}
    missing = set(range(min(numbers), max(numbers))) - numbers
    # Other numbers, such as those of a camera, have gaps.
    if missing and min(numbers) <= 1:
        raise Refused(
            f"The picture {min(missing):0{len(stems[0])}d} of {quoted(tree)} is missing, and later ones are there:"
            " have the step before this one make all of them."
        )


def _most_common_size(pictures: Images, request: PictureRequest) -> tuple[int, int]:
    """Width and height that most pictures have, the first of equals, both even and no larger than players can show."""
    sizes: Counter[tuple[int, int]] = Counter()
    for name in pictures.names:
        with _refused_by_name(name, request.name):
            sizes[shown_size(pictures.read(name))] += 1
    width, height = sizes.most_common(1)[0][0]
    shrink = min(1.0, _LONGEST_SIDE / max(width, height))
    return _even(width * shrink), _even(height * shrink)


def _even(side: float) -> int:
    return max(_SHORTEST_SIDE, int(side) // 2 * 2)


def fit(picture: Image.Image, size: tuple[int, int], background: str) -> Image.Image:
    """A picture in the middle of a frame, as large as fits, with bars of the colour `background` where its shape differs.

    A frame has even sides; where only that is the difference, the picture loses a line and is not resampled.
    """
    width, height = picture.size
    if (width // 2 * 2, height // 2 * 2) == size:
        return picture if picture.size == size else picture.crop((0, 0, *size))
    scale = min(size[0] / width, size[1] / height)
    width, height = max(1, min(size[0], round(width * scale))), max(1, min(size[1], round(height * scale)))
    scaled = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if scaled.size == size:
        return scaled
    canvas = Image.new("RGB", size, background)
    canvas.paste(scaled, ((size[0] - width) // 2, (size[1] - height) // 2))
    return canvas


@contextmanager
def _refused_by_name(name: str, tree: str) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise Refused(
            f"The picture {quoted(name)} of {quoted(tree)} cannot be read ({why_unreadable(error)}):"
            " make it anew; a slideshow without it would have a hole."
        ) from None


def audio_of(path: Path, what: str) -> dict[str, Any]:
    """The `duration` (seconds) of the first audio track of a file, read from its packets, and its `codec`."""
    shown = f"The {what} {quoted(path.name)}"
    try:
        limits = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file"}
        with av.open(f"file:{path}", options=limits) as container:
            stream = next((track for track in container.streams.audio if track.codec_context is not None), None)
            if stream is None:
                raise Refused(f"{shown} has no audio that can be played: name a file that has.")
            ends = [
                float((packet.pts + (packet.duration or 0)) * packet.time_base)
                for packet in container.demux(stream)
                if packet.pts is not None and packet.size
            ]
            begin = float((stream.start_time or 0) * (stream.time_base or 0))
            return {"duration": max(0.0, max(ends, default=0.0) - begin), "codec": stream.codec_context.name}
    except av.FFmpegError as error:
        raise Refused(f"{shown} cannot be read as audio ({error.strerror}): export it again.") from None
    except OSError as error:
        raise Refused(f"{shown} cannot be opened ({error.strerror}): correct its path or its rights.") from None


def _prepare(question: dict[str, Any], report: Progress) -> dict[str, Any]:
    fields = question["request"]
    size = tuple(fields["size"]) if fields["size"] else None
    return prepare(PictureRequest(**{**fields, "size": size}), report)


def _audio(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    return audio_of(Path(question["path"]), question["what"])


if __name__ == "__main__":
    serve({"prepare": _prepare, "audio": _audio})
