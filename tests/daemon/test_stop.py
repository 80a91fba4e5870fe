"""The way down: a signal, its grace, a second signal, and the next start."""

import signal

import pytest
from peers.daemon import until
from peers.daemon_texts import talk

pytestmark = pytest.mark.daemon


def two_encodes(place, clip, daemon, speed=0.1):
    """Two jobs whose encodes take 3 s / speed, and a third that waits for a place."""
    place.slow(speed)
    place.programme(*(talk(f"t{number}") for number in (1, 2, 3)))
    for number in (1, 2, 3):
        place.drop(clip, f"Main_t{number}_000000_000003.mp4")
    pids = daemon.encoding(2)
    until(lambda: len([job for job in daemon.jobs() if job["state"] == "working"]) == 3, "three jobs are under way")
    return pids


def assert_all_published(place):
    assert place.alive() == []
    assert sorted(video.name for video in (place.root / "out").iterdir()) == [f"Talk-t{n}-t{n}.mp4" for n in (1, 2, 3)]
    assert len(list((place.root / "outbox").iterdir())) == 6
    assert [row["status"] for row in place.rows().values()] == ["published"] * 3
    assert list((place.root / "jobs").iterdir()) == []
    assert len(place.journal(lambda store: store.jobs())) == 3


def test_jobs_are_interrupted_after_the_grace_and_finished_by_the_next_daemon(place, clip):
    place.settings(('grace = "20s"', 'grace = "1s"'))
    with place.daemon() as daemon:
        two_encodes(place, clip, daemon)
        daemon.signal(signal.SIGTERM)
        assert daemon.ended() == 0, daemon.log.read_text()
    assert place.alive() == []
    assert {job.state for job in place.journal(lambda store: store.jobs())} == {"ready"}
    assert list(place.root.rglob("*.part*")) == []
    place.quick()
    place.drain()
    assert_all_published(place)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_means_now(place, clip, number):
    place.settings(('grace = "20s"', 'grace = "10m"'))
    with place.daemon() as daemon:
        two_encodes(place, clip, daemon)
        daemon.signal(number)
        until(lambda: daemon.said("stopping"), "it is on its way down")
        assert len(place.encodes()) == 2
        daemon.signal(number)
        assert daemon.ended() == 0, daemon.log.read_text()
    assert place.alive() == []
    assert {job.state for job in place.journal(lambda store: store.jobs())} == {"ready"}


def test_what_runs_comes_to_the_end_of_its_step_within_the_grace_and_nothing_new_starts(place, clip):
    with place.daemon() as daemon:
        two_encodes(place, clip, daemon, speed=1.0)
        daemon.signal(signal.SIGTERM)
        until(lambda: daemon.said("stopping"), "it is on its way down")
        status, health = daemon.ask("/health")
        assert (status, health["reasons"]) == (503, ["The daemon is stopping."])
        assert daemon.ended() == 0, daemon.log.read_text()
    place.quick()
    assert place.alive() == []
    jobs = place.journal(lambda store: store.jobs())
    steps = [[step.name for step in place.journal(lambda store, job=job: store.steps(job.id))] for job in jobs]
    assert sorted(steps) == [["fetch"], ["fetch", "trim"], ["fetch", "trim"]]
    two = len(list((place.root / "encodes").iterdir()))
    place.drain()
    assert len(list((place.root / "encodes").iterdir())) == two * 3 // 2
    assert_all_published(place)
