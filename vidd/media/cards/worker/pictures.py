"""Opens the pictures of posts, which strangers made, and scales them; draws emoji."""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from PIL import ExifTags, Image, ImageCms, ImageDraw, ImageOps, UnidentifiedImageError

from vidd.media.cards.worker.fonts import EMOJI, Face, load_font

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "ICO")
_MOST_PIXELS = 64_000_000
_REDUCIBLE = frozenset({"CMYK", "L", "RGB", "RGBA"})
# Of EXIF, from 2: how a picture is brought upright.
_TURNS = dict(
    enumerate(
        (
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ),
        2,
    )
)
_ON_ITS_SIDE = frozenset({5, 6, 7, 8})
_WHITE = (255, 255, 255, 255)
# Noto Color Emoji has one size, in pixels to the em.
_EMOJI_PPEM = 109

warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is checked before anything is decoded


class Unusable(Exception):
    """Why a picture cannot be shown, as the rest of a sentence about it: "is damaged"."""


class PictureFiles:
    """The pictures in a directory of posts. Paths are below it; sizes are width and height in pixels."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self.square = lru_cache(maxsize=64)(self._square)
        self.custom_emoji = lru_cache(maxsize=256)(self._custom_emoji)

    def _square(self, path: str, side: int) -> Image.Image:
        """The middle of a picture as a square, RGB. Raises Unusable."""
        return self.cover(path, (side, side))

    def cover(self, path: str, size: tuple[int, int]) -> Image.Image:
        """A picture that fills `size`, without its margins, RGB. Raises Unusable."""
        with self._open(path, size) as image:
            return _flat(ImageOps.fit(image, size, _filter(image, size)))

    def _custom_emoji(self, path: str, size: tuple[int, int]) -> Image.Image:
        """A custom emoji, as large as `size` allows, RGBA. Raises Unusable."""
        with self._open(path, size) as image:
            return ImageOps.contain(image, size, _filter(image, size)).convert("RGBA")

    def shape(self, path: str) -> float:
        """The width of a picture to its height, as it is shown. Raises Unusable."""
        with _faults(), self._header(path) as image:
            width, height = image.size
            return height / width if _orientation(image) in _ON_ITS_SIDE else width / height

    @contextmanager
    def _open(self, path: str, size: tuple[int, int]) -> Iterator[Image.Image]:
        """A picture, decoded, upright, 8 bits a channel, RGB or RGBA in sRGB, not much larger than `size` where that is cheap."""
        with _faults(), self._header(path) as image:
            longest = max(size)
            image.draft("RGB", (longest, longest))
            image.load()
            factor = min(image.size) // (2 * longest)
            reduced = image.reduce(factor) if factor > 1 and image.mode in _REDUCIBLE else image
            turn = _TURNS.get(_orientation(image))
            yield _to_srgb(reduced if turn is None else reduced.transpose(turn))

    def _header(self, path: str) -> Image.Image:
        file = (self._root / path).resolve()
        if not file.is_relative_to(self._root):
            raise Unusable("is not in the directory of the posts")
        Image.MAX_IMAGE_PIXELS = None
        image = Image.open(file, formats=_FORMATS)
        # What is within a picture (ICO) has a size of its own, which Pillow compares with twice this when it decodes.
        Image.MAX_IMAGE_PIXELS = _MOST_PIXELS // 2
        if image.width * image.height > _MOST_PIXELS:
            image.close()
            raise Unusable(f"has {image.width:,} x {image.height:,} pixels, more than vidd decodes")
        return image


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except Unusable:
        raise
    except UnidentifiedImageError:
        raise Unusable("is damaged, or no JPEG, PNG, WebP, GIF or AVIF") from None
    except (MemoryError, Image.DecompressionBombError):
        raise Unusable("is larger than vidd decodes") from None
    except FileNotFoundError:
        raise Unusable("is not in the directory of the posts") from None
    except Exception:  # noqa: BLE001 - a broken file raises whatever a decoder stumbles over: struct.error, IndexError, …
        raise Unusable("is damaged") from None


def _filter(image: Image.Image, size: tuple[int, int]) -> Image.Resampling:
    """Hamming makes pictures smaller as well as Lanczos does for the eye, in a third of the time; it is not for enlarging."""
    return Image.Resampling.HAMMING if image.width > size[0] else Image.Resampling.BICUBIC


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1 (upright) where there is none, or where it is broken: the picture may be whole all the same."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - a broken table raises whatever its parser stumbles over
        return 1
    return found if isinstance(found, int) else 1


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    profile = image.info.get("icc_profile")
    if profile and image.mode in {"RGB", "CMYK", "L"}:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _srgb(), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # the colours of a profile that cannot be read are as if there were none
        else:
            return converted or image
    has_alpha = image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info
    return image.convert("RGBA" if has_alpha else "RGB")


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _flat(image: Image.Image) -> Image.Image:
    """The picture on white, where it is transparent."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, _WHITE)
    return Image.alpha_composite(ground, image).convert("RGB")


@lru_cache(maxsize=1024)
def emoji_picture(text: str, width: int) -> Image.Image:
    """An emoji as RGBA; `width` is that of a single glyph, in pixels. A sequence that the font does not know has several."""
    font = load_font(Face(EMOJI), _EMOJI_PPEM)
    left, top, right, bottom = font.getbbox(text)
    glyphs = Image.new("RGBA", (max(1, round(right - left)), max(1, round(bottom - top))))
    ImageDraw.Draw(glyphs).text((-left, -top), text, font=font, embedded_color=True)
    scale = width / emoji_advance()
    size = (max(1, round(glyphs.width * scale)), max(1, round(glyphs.height * scale)))
    return glyphs.resize(size, Image.Resampling.LANCZOS)


def emoji_width(text: str, width: int) -> float:
    """The width of `emoji_picture` with the room around it."""
    return width * load_font(Face(EMOJI), _EMOJI_PPEM).getlength(text) / emoji_advance()


@cache
def emoji_advance() -> float:
    """The width of a glyph of Noto Color Emoji."""
    return load_font(Face(EMOJI), _EMOJI_PPEM).getlength("\U0001f600")
