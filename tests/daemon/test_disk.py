"""A disk that is too full is waited for."""

import shutil
import signal

import pytest
from peers.daemon import until

pytestmark = pytest.mark.daemon


def test_a_job_waits_for_room_and_goes_on_when_there_is_some(place, clip):
    reserve = shutil.disk_usage(place.root).free + 2**40
    place.settings(('disk_reserve = "1MiB"', f'disk_reserve = "{reserve}B"'))
    place.drop(clip)
    with place.daemon() as daemon:
        waiting = daemon.job("waiting")
        assert "free some space" in waiting["reason"]
        assert (waiting["attempt"], waiting["until"] is None) == (0, False)
        status, health = daemon.ask("/health")
        assert status == 503
        assert "less than [limits] disk_reserve: no job that needs room starts." in health["reasons"][0]
        assert "free some space" in daemon.ask(f"/api/jobs/{waiting['id']}/explain")[1]["sentence"]
        assert place.encodes() == []
        place.settings()
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.ask("/health")[0] == 200, "there is room enough")
        daemon.ask(f"/api/jobs/{waiting['id']}/retry", {})
        daemon.job("published")
        daemon.stopped()
    assert place.rows()["t1"]["status"] == "published"
