"""Pictures that strangers made: odd ones are shown as they are meant, broken ones are refused."""

import struct

import pytest
from builders.cards import a_picture, huge_png
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from vidd.media.cards.worker.pictures import PictureFiles, Unusable, emoji_picture

BLUE = (42, 111, 151)


@pytest.fixture
def files(tmp_path):
    return PictureFiles(tmp_path)


def corner(files, name, at=(150, 110)):
    return files.cover(name, (160, 120)).getpixel(at)


def near(found, wanted, by=12):
    return all(abs(a - b) <= by for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "avif", "ico"])
def test_the_usual_formats_are_shown(files, tmp_path, suffix):
    a_picture().save(tmp_path / f"a.{suffix}")
    assert near(corner(files, f"a.{suffix}"), BLUE, 20)


def test_an_animation_shows_its_first_frame(files, tmp_path):
    frames = [Image.new("RGB", (160, 120), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert corner(files, "a.gif") == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_upright(files, tmp_path, orientation):
    upright = a_picture(size=(160, 120))
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert files.shape("a.png") == pytest.approx(4 / 3)
    assert files.cover("a.png", (160, 120)).tobytes() == upright.tobytes()


def test_a_broken_orientation_does_not_lose_the_picture(files, tmp_path):
    a_picture().save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\1")
    assert near(corner(files, "a.png"), BLUE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_is_shown(files, tmp_path, mode):
    grey = Image.new("L", (160, 120), 200)
    if mode == "I;16":
        Image.new("I;16", (160, 120), 200 * 257).save(tmp_path / "a.png")
    elif mode == "CMYK":
        grey.convert("RGB").convert("CMYK").save(tmp_path / "a.jpg")
    else:
        grey.convert("RGB").convert(mode).save(tmp_path / "a.png")
    wanted = (255, 255, 255) if mode == "1" else (200, 200, 200)
    assert near(corner(files, "a.jpg" if mode == "CMYK" else "a.png", (80, 60)), wanted, 60 if mode == "1" else 8)


def test_what_is_transparent_is_white(files, tmp_path):
    Image.new("RGBA", (160, 120), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert corner(files, "a.png") == (255, 255, 255)


def test_colours_of_another_space_are_converted(files, tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
    a_picture().save(tmp_path / "plain.png")
    a_picture().save(tmp_path / "odd.png", icc_profile=b"no profile")
    a_picture().save(tmp_path / "swapped.png", icc_profile=swapped)
    assert corner(files, "odd.png") == corner(files, "plain.png")
    assert near(corner(files, "swapped.png"), BLUE[::-1], 30)


def test_a_large_picture_is_made_smaller_and_stays_the_same(files, tmp_path):
    ImageOps.scale(a_picture(), 12).save(tmp_path / "a.png")
    assert near(corner(files, "a.png"), BLUE)


def _with_text(path):
    words = PngImagePlugin.PngInfo()
    for number in range(200):
        words.add_text(f"k{number}", "x" * 2**20, zip=True)
    a_picture().save(path, pnginfo=words)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("huge.png", huge_png, "has 30,000 x 30,000 pixels, more than vidd decodes"),
        ("page.jpg", lambda: b"<html></html>", "is damaged, or no JPEG, PNG, WebP, GIF or AVIF"),
        (
            "drawing.jpg",
            lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "is damaged, or no JPEG, PNG, WebP, GIF or AVIF",
        ),
        ("empty.png", lambda: b"", "is damaged, or no JPEG, PNG, WebP, GIF or AVIF"),
        ("head.png", lambda: huge_png()[:20], "is damaged"),
        ("gif.gif", lambda: b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + b",", "is damaged"),
        (
            "zip.png",
            lambda: huge_png().replace(struct.pack(">II", 30_000, 30_000), struct.pack(">II", 9, 9)),
            "is damaged",
        ),
    ],
)
def test_a_broken_picture_says_what_is_wrong(files, tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content())
    with pytest.raises(Unusable) as unusable:
        files.cover(name, (160, 120))
    assert str(unusable.value).startswith(why)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_truncated_picture_is_damaged(files, tmp_path, suffix, share):
    whole = tmp_path / f"whole.{suffix}"
    Image.effect_noise((400, 300), 90).convert("RGB").save(whole)
    content = whole.read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(Unusable, match="is damaged"):
        files.cover(f"a.{suffix}", (160, 120))


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "media/../../secret.png", "missing.png"])
def test_a_picture_is_taken_from_the_directory_of_the_posts_alone(tmp_path, path):
    (tmp_path / "posts/media").mkdir(parents=True)
    a_picture().save(tmp_path / "secret.png")
    with pytest.raises(Unusable, match="is not in the directory of the posts"):
        PictureFiles(tmp_path / "posts").cover(path, (16, 16))


def test_a_link_out_of_the_directory_is_not_followed(tmp_path):
    (tmp_path / "posts").mkdir()
    a_picture().save(tmp_path / "secret.png")
    (tmp_path / "posts/a.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(Unusable, match="is not in the directory"):
        PictureFiles(tmp_path / "posts").cover("a.png", (16, 16))


def test_an_emoji_is_a_picture_of_the_width_that_is_asked_for():
    assert abs(emoji_picture("😀", 80).width - 80) < 8
    assert emoji_picture("🇩🇪", 80).getchannel("A").getbbox() is not None
