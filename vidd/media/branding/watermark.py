"""A watermark: an image over every picture of the talk, always the same number of pixels from the same corner."""

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

WHAT = "watermark"


class Watermark(Options):
    """What is put over the talk's pictures, and where."""

    image: str = Field(
        min_length=1, description="The image file: PNG (or WebP, JPEG), whose transparency counts; no SVG."
    )
    position: Literal["top-left", "top-right", "bottom-left", "bottom-right", "centre"] = Field(
        "top-right", description="The corner it lies in as the picture is seen, or the centre."
    )
    margin: Length = Field(
        "8px",
        description="How far from the edges, in pixels or percent of the picture's height; at most a quarter of it.",
    )
    height: Length = Field(
        "50px", description="Its height, in pixels or percent of the picture's height; smaller where it does not fit."
    )
    opacity: float = Field(1.0, gt=0, le=1, description="1 shows it as it is, less lets the picture shine through.")


@dataclass(frozen=True, slots=True)
class Mark:
    """A watermark made ready for pictures of one size: `path` is laid at (x, y), in pixels from the top left.

    It `covers` this much of them: left, top, width and height as shares of the picture's.
    """

    path: Path
    x: int
    y: int
    covers: tuple[float, float, float, float] | None = None


def place(wanted: Watermark, image: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of an image (its size) in a picture as shown; all even, as colours are kept."""
    across, down = frame
    margin = min(pixels(wanted.margin, down), across / 4, down / 4)
    height = pixels(wanted.height, down)
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
    }[wanted.position]
    return max(0, left), max(0, top), width, height


def prepare(wanted: Watermark, source: Path, output: Path, frame: tuple[int, int]) -> Mark:
    """Write the image as it will lie in pictures of this size (as shown) to `output`, a PNG; blocking.

    Refused with a sentence where it cannot be read.
    """
    image = read_image(source, WHAT)
    left, top, width, height = place(wanted, image.size, frame)
    sized = image.resize((width, height), Image.Resampling.LANCZOS)
    if wanted.opacity < 1:
        sized.putalpha(sized.getchannel("A").point(lambda value: round(value * wanted.opacity)))
    sized.save(output, "PNG")
    across, down = frame
    return Mark(output, left, top, (left / across, top / down, width / across, height / down))


def overlay(mark: Mark, video: Video) -> str:
    """The filters that lay it over the picture they follow in a chain; `video` says what that picture's colours are."""
    # A file of its own in the graph, for which the chain around it stays one with one beginning and one end.
    image = f"movie=filename={_escaped(str(mark.path))}:format_name=png_pipe"
    own = f"scale=out_color_matrix={colours.matrix(video)}:out_range=limited,format=yuva420p,{colours.marked(video)}"
    return f"null[under];{image},{own}[mark];[under][mark]overlay=x={mark.x}:y={mark.y}:format=yuv420"


def _escaped(text: str) -> str:
    """A value within a graph: escaped for the filter, and once more for the graph (ffmpeg-filters, "Notes on filtergraph escaping")."""
    for special in ("\\':", "\\'[],;"):
        text = "".join(f"\\{one}" if one in special else one for one in text)
    return text
