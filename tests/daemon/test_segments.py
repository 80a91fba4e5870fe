"""A long encode whose daemon is killed near its end goes on where it was."""

import json
import signal

import pytest
from footage import clips
from peers.daemon import Place, until

pytestmark = pytest.mark.daemon

LENGTH = 36  # a keyframe every ten seconds: three segments, and a fourth of six seconds


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return clips.recording(
        tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=LENGTH + 1, tracks=0, output=("-g", 50, "-bf", 2)
    )


def encode_all(place: Place, *more: tuple[str, str]) -> None:
    place.settings(('fade = "500ms"', 'fade = "0s"\nlane = "full"\nsegment = "5s"\ncrf = 12'), *more)


def segments(place: Place) -> list[dict]:
    """What is whole so far."""
    paths = [*place.root.glob("jobs/*/.talk.segments/record.json")]
    return json.loads(paths[0].read_text())["segments"] if paths else []


def record(place: Place) -> dict:
    """What the cut's check says of the segments."""

    async def ask(store):
        (job,) = await store.jobs()
        steps = {one.kind: one for one in await store.steps(job.id)}
        return steps["trim"].outcome.artifacts[0].facts["check"]["segments"]

    return place.journal(ask)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_daemon_that_ends_near_the_end_of_an_encode_costs_one_segment(place, long_clip, how):
    encode_all(place, ('grace = "20s"', 'grace = "0s"'))
    place.slow(1, after=33)
    place.drop(long_clip, f"Main_t1_000000_0000{LENGTH}.mp4")
    with place.daemon() as daemon:
        until(lambda: len(segments(place)) == 3, "all segments but the last are whole")
        daemon.encoding()
        daemon.signal(how)
        assert daemon.ended() == (-signal.SIGKILL if how is signal.SIGKILL else 0)
        until(lambda: not place.alive(), "ffmpeg and the probe are gone")
    assert not list(place.root.glob("out/*"))
    whole = segments(place)
    place.quick()
    place.drain()
    assert [one["pictures"] for one in whole] == [250, 250, 250]
    assert record(place) == {"number": 4, "found": 3, "encoded": 1, "pictures_encoded": 150}
    (video,) = (place.root / "out").iterdir()
    assert clips.numbers(video) == list(range(25 * LENGTH))
    assert list((place.root / "jobs").iterdir()) == []
