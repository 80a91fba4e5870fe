"""Where a watermark lies, and images that are none."""

from pathlib import Path

import pytest
from PIL import Image

from vidd.errors import Refused
from vidd.media.branding.images import read_image
from vidd.media.branding.watermark import PlacedWatermark, Watermark, overlay_filters, position_in_frame, prepare
from vidd.model.media import Video

HD = (1920, 1080)


@pytest.mark.parametrize(
    ("options", "image", "frame", "wanted"),
    [
        ({}, (100, 50), HD, (1812, 8, 100, 50)),
        ({}, (200, 100), HD, (1812, 8, 100, 50)),
        ({"position": "top-left"}, (100, 50), HD, (8, 8, 100, 50)),
        ({"position": "bottom-left"}, (100, 50), HD, (8, 1022, 100, 50)),
        ({"position": "bottom-right"}, (100, 50), HD, (1812, 1022, 100, 50)),
        ({"position": "centre"}, (100, 50), HD, (910, 514, 100, 50)),
        ({"height": "10%", "margin": "5%"}, (100, 100), HD, (1758, 54, 108, 108)),
        ({"height": 20, "margin": 0}, (100, 100), HD, (1900, 0, 20, 20)),
        ({"position": "bottom-right"}, (50, 50), (720, 1280), (662, 1222, 50, 50)),
        # A frame that is smaller than the watermark wants to be.
        ({}, (400, 50), (96, 64), (8, 8, 80, 10)),
        ({"height": "100%"}, (50, 50), (96, 64), (40, 8, 48, 48)),
    ],
)
def test_a_watermark_lies_in_its_corner(options, image, frame, wanted):
    assert position_in_frame(Watermark(image="logo.png", **options), image, frame) == wanted


@pytest.mark.parametrize("height", ["50 lines", "-3", "7 %%", True, None])
def test_a_length_is_pixels_or_percent(height):
    with pytest.raises(ValueError, match="is no length; write it like 50px"):
        Watermark(image="logo.png", height=height)


@pytest.mark.parametrize("margin", ["300%", "20000px"])
def test_a_length_that_no_picture_has_is_refused(margin):
    with pytest.raises(ValueError, match="larger than any frame: 16384 px or 100% at most"):
        Watermark(image="logo.png", margin=margin)


def test_the_image_gets_its_size_and_its_opacity(tmp_path):
    Image.new("RGBA", (100, 100), (255, 0, 0, 200)).save(tmp_path / "logo.png")
    wanted = Watermark(image="logo.png", opacity=0.5, height="20px")
    mark = prepare(wanted, tmp_path / "logo.png", tmp_path / "mark.png", HD)
    assert mark == PlacedWatermark(tmp_path / "mark.png", 1892, 8, (1892 / 1920, 8 / 1080, 20 / 1920, 20 / 1080))
    with Image.open(mark.path) as made:
        assert (made.size, made.mode, made.getpixel((5, 5))) == ((20, 20), "RGBA", (255, 0, 0, 100))


def test_a_path_of_whatever_letters_is_one_word_of_the_graph():
    words = overlay_filters(PlacedWatermark(Path("/a b/it's [1],2;3:4\\x.png"), 3, 4), Video("h264", 1280, 720, 25.0))
    assert r"movie=filename=/a b/it\\\'s \[1\]\,2\;3\\:4\\\\x.png:" in words
    assert words.endswith("overlay=x=3:y=4:format=yuv420")


def test_an_image_that_is_none_is_refused_in_a_sentence(tmp_path):
    good = tmp_path / "good.png"
    Image.effect_noise((60, 60), 90).save(good)
    (tmp_path / "half.png").write_bytes(good.read_bytes()[:1500])
    (tmp_path / "logo.svg").write_text("<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "broken.png").write_bytes(good.read_bytes()[:20] + b"\xff" * 300)
    Image.new("1", (20_000, 10_000)).save(tmp_path / "large.png")
    for name, sentence in {
        "none.png": r"cannot be opened \(No such file or directory\): correct its path",
        "half.png": "is damaged .*: export it again",
        "broken.png": "is damaged .*: export it again|is no PNG",
        "logo.svg": r"is a drawing \(SVG\): export it as PNG",
        "text.png": "is no PNG, WebP or JPEG: convert it",
        "large.png": "pixels: make it smaller",
        ".": "cannot be opened",
    }.items():
        with pytest.raises(Refused, match=rf"^The watermark {tmp_path}.*{sentence}"):
            read_image(tmp_path / name, "watermark")
