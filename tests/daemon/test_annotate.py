"""Frames and boxes of a recording, by a daemon that is killed meanwhile and one that is not."""

import json
import signal

import av
import pytest
from builders.detection import walker
from peers.daemon import Place, until

pytestmark = pytest.mark.daemon

STEPS = """
[sources.films]
kind = "folder"
path = "films"
settle = "0s"
pipeline = "annotation"

[[pipelines.annotation.steps]]
kind = "frames"
rate = 5
per_task = 10

[[pipelines.annotation.steps]]
kind = "annotate"
version = 1

[pipelines.annotation.steps.versions.1]
kind = "people"

[[pipelines.annotation.publish]]
kind = "folder"
path = "boxes"
files = ["annotations"]
"""


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """Somebody who walks from left to right and back for twenty seconds: 100 frames."""
    path = tmp_path_factory.mktemp("walk") / "walk.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 480, 360, "yuv420p"
        for number in range(200):
            x = 90 + 3 * (number if number < 100 else 200 - number)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(walker(x=x), format="rgb24")))
        output.mux(stream.encode(None))
    return path


def boxes(place: Place) -> str:
    (path,) = (place.root / "boxes").glob("*.jsonl")
    return path.read_text()


def begin(place: Place, walk) -> None:
    place.settings(more=STEPS)
    (place.root / "films").mkdir()
    place.drop(walk, "walk.mp4").rename(place.root / "films" / "walk.mp4")


def test_boxes_after_a_kill_are_those_of_a_run_that_nobody_disturbed(place, walk, tmp_path):
    begin(place, walk)
    seen = lambda: list(place.root.glob("jobs/*/.annotate/seen/*.jsonl"))  # noqa: E731
    with place.daemon() as daemon:
        until(lambda: len(seen()) >= 3, "three tasks have been looked at")
        daemon.signal(signal.SIGKILL)
        daemon.ended()
        until(lambda: not place.alive(), "the detector is gone")
    whole = {path.name: path.stat().st_ino for path in seen()}
    assert 3 <= len(whole) < 10
    with place.daemon("--until-idle") as daemon:
        until(lambda: len(seen()) > len(whole), "another task has been looked at")
        assert {path.name: path.stat().st_ino for path in seen()}.items() >= whole.items()
        assert daemon.ended() == 0
    other = tmp_path / "other"
    other.mkdir()
    undisturbed = Place(other)
    begin(undisturbed, walk)
    undisturbed.drain()
    assert boxes(place) == boxes(undisturbed)
    rows = [json.loads(line) for line in boxes(place).splitlines()]
    assert len(rows) > 90
    assert {box["label"] for row in rows for box in row["boxes"]} == {"person"}
