"""What the worker makes of pictures; it runs in this process."""

import av
import pytest
from builders.slides import picture
from footage.clips import ffmpeg, recording
from PIL import Image

from vidd.errors import Refused
from vidd.media.slideshow.client import PictureRequest
from vidd.media.slideshow.worker.main import audio_of, fit, prepare

pytestmark = pytest.mark.media


def prepared(directory, **more):
    fields = {"size": None, "background": "#ff0000", "seconds": 1.0, "fps": 10, "crossfade": 0.0}
    made = [str(directory.parent / f"{directory.name}-{name}") for name in ("frames.nut", "poster.jpg")]
    request = PictureRequest(str(directory), "cards", *made, **{**fields, **more})
    return prepare(request, lambda *_: None)


def made(directory):
    return directory.parent / f"{directory.name}-frames.nut"


def poster_size(directory):
    with Image.open(directory.parent / f"{directory.name}-poster.jpg") as poster:
        return poster.size


def frames(directory):
    with av.open(str(made(directory))) as file:
        return [(round(frame.time * 10), frame.to_image().getpixel((8, 8))) for frame in file.decode(video=0)]


def test_each_picture_is_written_once_and_the_last_one_also_where_the_whole_ends(tmp_path):
    for number, grey in enumerate((30, 120, 220), 1):
        picture(tmp_path / f"{number:04d}.png", (64, 48), grey)
    assert prepared(tmp_path) == {"slides": 3, "width": 64, "height": 48, "others": 0}
    found = frames(tmp_path)
    assert [number for number, _ in found] == [0, 10, 20, 29]
    assert [pixel[0] for _, pixel in found] == pytest.approx([30, 120, 220, 220], abs=2)
    assert poster_size(tmp_path) == (64, 48)


def test_numbers_in_names_count_as_numbers_and_directories_in_order(tmp_path):
    for name, grey in (("10.png", 220), ("9.png", 30), ("a/1.png", 120)):
        picture(tmp_path / name, (64, 48), grey)
    prepared(tmp_path)
    assert [pixel[0] for _, pixel in frames(tmp_path)][:3] == pytest.approx([30, 220, 120], abs=2)


def test_the_video_has_the_size_of_most_pictures_and_others_get_bars(tmp_path):
    for number, size in enumerate([(32, 64), (64, 48), (64, 48), (48, 48)]):
        picture(tmp_path / f"p{number}.png", size, 255)
    assert prepared(tmp_path)["width"] == 64
    with av.open(str(made(tmp_path))) as file:
        upright = next(file.decode(video=0)).to_image()
    assert upright.size == (64, 48)
    assert upright.getpixel((32, 24))[1] > 240
    assert [upright.getpixel(corner)[1] < 20 for corner in ((2, 2), (61, 45), (18, 24))] == [True] * 3


@pytest.mark.parametrize(
    ("size", "made"), [((65, 49), (64, 48)), ((4000, 1000), (3840, 960)), ((1, 1), (16, 16)), ((20, 4800), (16, 3840))]
)
def test_the_sides_are_even_and_such_as_players_can_show(tmp_path, size, made):
    picture(tmp_path / "a.png", size)
    found = prepared(tmp_path)
    assert (found["width"], found["height"]) == made


def test_an_odd_picture_loses_a_line_and_is_not_resampled():
    image = Image.effect_noise((65, 49), 90).convert("RGB")
    assert fit(image, (64, 48), "#000000").tobytes() == image.crop((0, 0, 64, 48)).tobytes()


def test_what_is_transparent_shows_the_background(tmp_path):
    Image.new("RGBA", (64, 48), (0, 0, 0, 0)).save(tmp_path / "a.png")
    prepared(tmp_path)
    red, green, _ = frames(tmp_path)[0][1]
    assert (red > 240, green < 20) == (True, True)


def test_a_picture_held_upright_is_shown_upright(tmp_path):
    image = Image.new("RGB", (64, 32))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert (prepared(tmp_path)["width"], prepared(tmp_path)["height"]) == (32, 64)


def truncated(path):
    Image.effect_noise((64, 48), 90).save(path)
    path.write_bytes(path.read_bytes()[:-900])


def cut_in_a_chunks_head(path):
    Image.effect_noise((600, 400), 90).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"IDAT", 60_000) + 1])


def huge(path):
    """A head of 30,000 x 30,000 pixels, and nothing else."""
    Image.new("1", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [truncated, cut_in_a_chunks_head, huge, lambda path: path.write_bytes(b""), lambda path: path.write_text("<svg/>")],
)
def test_a_damaged_picture_is_refused_by_name(tmp_path, damage):
    picture(tmp_path / "0001.png", (64, 48))
    damage(tmp_path / "0002.png")
    with pytest.raises(Refused, match=r"The picture '0002\.png' of 'cards' cannot be read"):
        prepared(tmp_path)
    with pytest.raises(Refused, match=r"The picture '0002\.png' of 'cards' cannot be read"):
        prepared(tmp_path, size=(64, 48))


def test_a_number_that_is_missing_in_a_series_is_refused_and_a_cameras_numbers_are_not(tmp_path):
    for number in (1, 2, 4):
        picture(tmp_path / f"series/{number:04d}.png", (32, 32))
        picture(tmp_path / f"camera/{number * 7 + 1000}.jpg", (32, 32))
    with pytest.raises(Refused, match="The picture 0003 of 'cards' is missing"):
        prepared(tmp_path / "series")
    assert prepared(tmp_path / "camera")["slides"] == 3


def test_files_that_are_no_pictures_are_counted_and_a_tree_without_pictures_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/notes.txt").write_text("x")
    with pytest.raises(Refused, match="There is no picture in 'cards'"):
        prepared(tmp_path / "a")
    picture(tmp_path / "a/1.png", (32, 32))
    assert prepared(tmp_path / "a")["others"] == 1


def test_audio_is_measured_by_its_packets(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1.5:sample_rate=48000", tmp_path / "a.mp3")
    assert audio_of(tmp_path / "a.mp3", "music")["duration"] == pytest.approx(1.5, abs=0.06)
    film = recording(tmp_path / "film.mp4", seconds=1)
    assert audio_of(film, "voice")["duration"] == pytest.approx(1, abs=0.05)


def test_what_is_no_audio_is_refused_by_name(tmp_path):
    (tmp_path / "a.mp3").write_text("<html>")
    with pytest.raises(Refused, match=r"The music 'a\.mp3' cannot be read as audio"):
        audio_of(tmp_path / "a.mp3", "music")
    with pytest.raises(Refused, match=r"The music 'none\.mp3' cannot be"):
        audio_of(tmp_path / "none.mp3", "music")
    silent = recording(tmp_path / "film.mp4", seconds=1, tracks=0)
    with pytest.raises(Refused, match=r"The voice 'film\.mp4' has no audio"):
        audio_of(silent, "voice")
