"""`vidd demo`, each of its stories once: one cuts 90 s of full HD, which takes about a minute, the other encodes 12 s three times."""

import csv
import json
import shutil
import subprocess
import sys
import tempfile
from email import message_from_bytes
from pathlib import Path
from urllib.parse import unquote, urlsplit

import av
import pytest

pytestmark = pytest.mark.daemon


@pytest.fixture
def directory():
    root = Path(tempfile.mkdtemp(prefix="vidd-"))
    yield root
    shutil.rmtree(root)


def test_the_demonstration_ends_with_what_it_made(directory):
    words = [sys.executable, "-m", "vidd", "demo", "--json", "--dir", str(directory)]
    ended = subprocess.run(words, check=False, capture_output=True, text=True, timeout=280)
    assert (ended.returncode, ended.stderr) == (0, "")
    result = json.loads(ended.stdout.splitlines()[-1])
    assert list(result) == ["state", "video", "duration_s", "mails", "sheet", "url", "seconds"]
    assert result["state"] == "published"
    assert result["duration_s"] == pytest.approx(60, abs=1 / 25)
    with av.open(result["video"]) as video:
        assert video.streams.video[0].frames == 1500
    mails = [message_from_bytes(Path(path).read_bytes()) for path in result["mails"]]
    assert sorted(mail["To"].split()[0] for mail in mails) == ["Ada", "Grace", "Katherine"]
    with Path(result["sheet"]).open(newline="") as file:
        published, excluded, coming = csv.DictReader(file)
    assert published["status"] == "published"
    assert unquote(urlsplit(published["link"]).path) == result["video"]
    assert (excluded["link"], coming["status"], coming["link"]) == ("", "not uploaded", "")
    assert result["url"].startswith("http://127.0.0.1:")
    assert list((directory / "jobs").iterdir()) == []
    assert not (directory / "vidd.sock").exists()


def test_the_demonstration_of_the_timeline_ends_with_a_video_of_the_posts_that_come_with_vidd(directory):
    words = [sys.executable, "-m", "vidd", "demo", "timeline", "--json", "--dir", str(directory)]
    ended = subprocess.run(words, check=False, capture_output=True, text=True, timeout=280)
    assert (ended.returncode, ended.stderr) == (0, "")
    result = json.loads(ended.stdout.splitlines()[-1])
    assert list(result) == ["state", "video", "duration_s", "mails", "display_url", "url", "seconds"]
    assert result["state"] == "published"
    with av.open(result["video"]) as video:
        assert float(video.duration / av.time_base) == pytest.approx(6 * 2, abs=1 / 30)
        assert video.streams.video[0].frames == 6 * 2 * 30
    assert len(list(Path(result["video"]).parent.glob("*p.mp4"))) == 2
    [mail] = [message_from_bytes(Path(path).read_bytes()) for path in result["mails"]]
    assert mail["To"] == "ada@example.org"
    assert result["display_url"] in mail.get_payload()
    assert not (directory / "vidd.sock").exists()
