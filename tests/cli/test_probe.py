import json
import subprocess

from typer.testing import CliRunner

from vidd.__main__ import app
from vidd.media.ffmpeg.process import default_ffmpeg


def probed(path):
    return CliRunner().invoke(app, ["probe", str(path)])


def test_a_video_is_described_as_json(tmp_path):
    path = tmp_path / "a.mp4"
    source = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=1")
    subprocess.run([default_ffmpeg(), "-nostdin", "-loglevel", "error", *source, path], check=True)
    shown = probed(path)
    described = json.loads(shown.stdout)
    assert (shown.exit_code, described["video"][0]["width"], described["video"][0]["height"]) == (0, 64, 48)


def test_what_is_no_video_is_refused_with_a_sentence(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    for name in ("a.txt", "nothing.mp4"):
        shown = probed(tmp_path / name)
        assert (shown.exit_code, shown.stdout) == (1, "")
        assert shown.stderr.startswith("vidd: ")
        assert shown.stderr.endswith(".\n")
