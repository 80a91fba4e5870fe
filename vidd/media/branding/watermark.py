"""A watermark: an image over every frame of the talk, at a fixed distance from one corner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from PIL import Image
from pydantic import Field

from vidd.media.branding.images import read_image
from vidd.media.ffmpeg import colours
from vidd.media.ffmpeg.settings import Length, pixels
from vidd.settings.types import Options

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.model.media import Video

PART = "watermark"


class Watermark(Options):
    """The settings of a watermark."""

    image: str = Field(
        min_length=1, description="The image file: PNG (or WebP, JPEG), whose transparency counts; no SVG."
    )
    position: Literal["top-left", "top-right", "bottom-left", "bottom-right", "centre"] = Field(
        "top-right", description="The corner it lies in as the video is shown, or the centre."
    )
    margin: Length = Field(
        "8px",
        description="How far from the edges, in pixels or percent of the frame's height; at most a quarter of it.",
    )
    height: Length = Field(
        "50px", description="Its height, in pixels or percent of the frame's height; smaller where it does not fit."
    )
    opacity: float = Field(1.0, gt=0, le=1, description="1 is opaque; with less the video shows through.")


@dataclass(frozen=True, slots=True)
class PlacedWatermark:
    """A watermark prepared for frames of one size: the image `path` lies at (x, y), in pixels from the top left.

    It `covers` this part of them: left, top, width and height as shares of the frame's.
    """

    path: Path
    x: int
    y: int
    covers: tuple[float, float, float, float] | None = None


def position_in_frame(settings: Watermark, image: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of an image (given its size) in a frame as shown; all even, as 4:2:0 needs."""
    across, down = frame
    margin = min(pixels(settings.margin, down), across / 4, down / 4)
    height = pixels(settings.height, down)
    scale = min(height / image[1], (across - 2 * margin) / image[0], (down - 2 * margin) / image[1])
    width, height = (max(2, round(side * scale / 2) * 2) for side in image)
    beyond = (across - width, down - height)
    near = (round(margin / 2) * 2,) * 2
    far = (beyond[0] - near[0], beyond[1] - near[1])
    left, top = {
        "top-left": near,
        "top-right": (far[0], near[1]),
        "bottom-left": (near[0], far[1]),
        "bottom-right": far,
        "centre": (beyond[0] // 4 * 2, beyond[1] // 4 * 2),
    }[settings.position]
    return max(0, left), max(0, top), width, height


def prepare(settings: Watermark, source: Path, output: Path, frame: tuple[int, int]) -> PlacedWatermark:
    """Write the image, scaled for frames of this size (as shown), to `output`, a PNG; blocking.

    Refused with a sentence where it cannot be read.
    """
    image = read_image(source, PART)
    left, top, width, height = position_in_frame(settings, image.size, frame)
    sized = image.resize((width, height), Image.Resampling.LANCZOS)
    if settings.opacity < 1:
        sized.putalpha(sized.getchannel("A").point(lambda value: round(value * settings.opacity)))
    sized.save(output, "PNG")
    across, down = frame
    return PlacedWatermark(output, left, top, (left / across, top / down, width / across, height / down))


def overlay_filters(watermark: PlacedWatermark, video: Video) -> str:
    """The filters that lay the watermark over frames with the colours of `video`, as one link of a filter chain."""
    # The image is read inside the graph (movie=), so that the chain keeps one input and one output.
    image = f"movie=filename={_escaped(str(watermark.path))}:format_name=png_pipe"
    own = (
        f"scale=out_color_matrix={colours.matrix(video)}:out_range=limited,format=yuva420p,{colours.tag_filter(video)}"
    )
    return f"null[under];{image},{own}[mark];[under][mark]overlay=x={watermark.x}:y={watermark.y}:format=yuv420"


def _escaped(text: str) -> str:
    """A filter's value, escaped for the filter and again for the graph (ffmpeg-filters, "Notes on filtergraph escaping")."""
    for special in ("\\':", "\\'[],;"):
        text = "".join(f"\\{character}" if character in special else character for character in text)
    return text
