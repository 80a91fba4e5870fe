"""SIGHUP: the settings are read again."""

import asyncio
import signal

import pytest
from peers.daemon import until
from peers.daemon_texts import talk

from vidd.daemon.app import Daemon
from vidd.settings.schema import read_settings

pytestmark = pytest.mark.daemon

ELSEWHERE = ('path = "out"', 'path = "elsewhere"')


def reloaded(daemon, times=1):
    daemon.signal(signal.SIGHUP)
    return until(lambda: len(said := daemon.said("settings read")) == times and said[-1], "the settings are read again")


def test_other_settings_of_a_pipeline_hold_for_new_jobs_and_for_those_that_are_given_them(place, clip):
    place.programme(*(talk(f"t{number}") for number in (1, 2, 3)))
    wrong = ('path = "out"', 'path = "out"\nname = "{{ talk.facts.nonsense.there }}"')
    place.settings(wrong)
    with place.daemon() as daemon:
        place.drop(clip, "Main_t3_000000_000003.mp4")
        refused = daemon.job("refused")
        place.settings()
        reloaded(daemon)
        place.slow(0.5)
        place.drop(clip, "Main_t1_000000_000003.mp4")
        daemon.encoding(1)
        place.settings(ELSEWHERE)
        reloaded(daemon, times=2)
        place.drop(clip, "Main_t2_000000_000003.mp4")
        assert daemon.ask(f"/api/jobs/{refused['id']}/retry", {})[0] == 200
        until(lambda: len(daemon.ask(f"/api/jobs/{refused['id']}")[1]["history"]) == 9, "it is refused again")
        assert daemon.ask(f"/api/jobs/{refused['id']}/retry", {"fresh_settings": True})[0] == 200
        for name in ("t1", "t2", "t3"):
            daemon.job("published", talk=name)
        daemon.stopped()
    assert [video.name for video in (place.root / "out").iterdir()] == ["Talk-t1-t1.mp4"]
    assert sorted(video.name for video in (place.root / "elsewhere").iterdir()) == ["Talk-t2-t2.mp4", "Talk-t3-t3.mp4"]


def test_a_bad_file_is_refused_and_the_old_settings_stay(place, clip):
    with place.daemon() as daemon:
        daemon.ready()
        place.settings(ELSEWHERE, ('fade = "500ms"', 'fade = "often"\nfad = 1'))
        daemon.signal(signal.SIGHUP)
        (said,) = until(lambda: daemon.said("settings refused"), "it says so")
        assert said["level"] == "error"
        assert "pipelines.talks.steps[0].fade: 'often' is not a duration" in said["reason"]
        assert "pipelines.talks.steps[0].fad: there is no such key" in said["reason"]
        place.drop(clip)
        daemon.job("published")
        assert daemon.ask("/health")[0] == 200
        daemon.stopped()
    assert (place.root / "out" / "Talk-t1-t1.mp4").exists()


def test_limits_and_sources_change_while_it_runs(place, clip):
    place.programme(*(talk(f"t{number}") for number in (1, 2, 3)))
    one = ("encodes = 2", "encodes = 1")
    second = '\n[sources.second]\nkind = "folder"\npath = "second"\npipeline = "talks"\nrescan = "200ms"\n'
    place.settings(one)
    place.slow(0.05)
    with place.daemon() as daemon:
        for number in (1, 2):
            place.drop(clip, f"Main_t{number}_000000_000003.mp4")
        until(lambda: len([job for job in daemon.jobs() if job["state"] == "working"]) == 2, "both are under way")
        daemon.encoding(1)
        place.settings(more=second)
        reloaded(daemon)
        daemon.encoding(2)
        watchers = until(
            lambda: (found := daemon.ask("/health")[1]["watchers"])["second"]["up"] and found, "it is watched"
        )
        assert set(watchers) == {"recordings", "programme", "second", "talks.sheet", "talks:rows"}
        place.settings(('grace = "20s"', 'grace = "1s"'), (f'state = "{place.root}"', f'state = "{place.root}/other"'))
        assert reloaded(daemon, times=2)["after_restart"] == ["daemon"]
        assert "second" not in daemon.ask("/health")[1]["watchers"]
        (place.root / "second" / "Main_t3_000000_000003.mp4").write_bytes(clip.read_bytes())
        place.drop(clip, "Main_t3_000000_000003.mp4")
        until(lambda: len(daemon.jobs()) == 3, "the folder that is still watched is looked into")
        assert {job["source"] for job in daemon.jobs()} == {"recordings"}
        # Shorter than the encodes, which take a minute: the grace is the new one.
        daemon.stopped()
    assert not (place.root / "other").exists()
    assert {job.state for job in place.journal(lambda store: store.jobs())} == {"ready"}


async def test_two_signals_at_once_leave_one_watcher_of_each(place):
    def read():
        return read_settings(place.config)

    def watchers():
        return sorted(task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("watch:"))

    async def hang_up(daemon):
        before = watchers()
        await asyncio.gather(daemon.reload(), daemon.reload(), daemon.reload())
        assert watchers() == before == ["watch:programme", "watch:recordings", "watch:talks.sheet", "watch:talks:rows"]
        daemon.stop()

    async with asyncio.timeout(60):
        await Daemon(read(), read).run(on_ready=hang_up)
