import pytest
from footage.clips import ffmpeg
from PIL import Image

from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.media.ffmpeg.still import take_still
from vidd.ports import Encoder

pytestmark = pytest.mark.media


@pytest.fixture
def clip(tmp_path):
    """Three seconds that turn from red to blue at two seconds."""
    parts = "color=red:s=640x360:r=25:d=2[a];color=blue:s=640x360:r=25:d=1[b];[a][b]concat"
    ffmpeg("-f", "lavfi", "-i", parts, "-c:v", "libx264", "-pix_fmt", "yuv420p", tmp_path / "clip.mp4")
    return tmp_path / "clip.mp4"


@pytest.mark.parametrize(("seconds", "colour"), [(0.0, "red"), (1.96, "red"), (2.0, "blue"), (2.96, "blue")])
async def test_the_still_is_the_frame_at_that_time_and_small(clip, tmp_path, seconds, colour):
    target = tmp_path / "still.jpg"
    assert await take_still(Encoder(default_ffmpeg()), clip, target, seconds) is True
    with Image.open(target) as still:
        assert (still.format, still.size) == ("JPEG", (480, 270))
        red, _, blue = still.convert("RGB").getpixel((200, 100))
    assert ("red" if red > blue else "blue") == colour


async def test_where_there_is_no_frame_nothing_is_left(clip, tmp_path):
    encoder = Encoder(default_ffmpeg())
    (tmp_path / "text.mp4").write_text("#EXTM3U\nhttp://127.0.0.1:1/x.ts\n")
    assert await take_still(encoder, clip, tmp_path / "late.jpg", 60.0) is False
    assert await take_still(encoder, tmp_path / "text.mp4", tmp_path / "text.jpg", 0.0) is False
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "text.mp4"]
