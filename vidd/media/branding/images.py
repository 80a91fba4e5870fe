"""Reads the image files that the settings name: a watermark, the background of a card."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from vidd.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

_FORMATS = ("PNG", "WEBP", "JPEG")
_MOST_PIXELS = 100_000_000


def read_image(path: Path, what: str) -> Image.Image:
    """The image in a file, as RGBA; Refused, with a sentence that begins with `what`, where it cannot be read."""
    shown = f"The {what} {path}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is checked below
            with Image.open(path, formats=_FORMATS) as image:
                width, height = image.size
                if width * height > _MOST_PIXELS:
                    raise Refused(f"{shown} is {width}x{height} pixels: make it smaller.")
                return image.convert("RGBA")
    except UnidentifiedImageError:
        what_it_is = "is a drawing (SVG): export it as PNG" if _is_svg(path) else "is no PNG, WebP or JPEG: convert it"
        raise Refused(f"{shown} {what_it_is}.") from None
    except Image.DecompressionBombError:
        raise Refused(f"{shown} has too many pixels: make it smaller.") from None
    except OSError as error:
        if error.strerror:
            raise Refused(f"{shown} cannot be opened ({error.strerror}): correct its path or its rights.") from None
        raise Refused(f"{shown} is damaged ({error}): export it again.") from None
    except (SyntaxError, ValueError) as error:
        # Pillow raises these for PNG files whose chunks do not fit together.
        raise Refused(f"{shown} is damaged ({error}): export it again.") from None


def _is_svg(path: Path) -> bool:
    with path.open("rb") as file:
        return b"<svg" in file.read(4096)
