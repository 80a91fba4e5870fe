"""The daemon whose truth is in a MongoDB, which is killed, started again, and away at the worst moments."""

import shutil
import signal
import tempfile
from email import message_from_bytes
from itertools import pairwise
from pathlib import Path

import pytest
from builders.mongodb import an_account, server
from peers.daemon import Place, until
from peers.daemon_texts import talk

from vidd.model.job import MOVES, State
from vidd.model.publication import PublicationState
from vidd.stores.mongodb.store import MongoStore

pytestmark = pytest.mark.daemon

__all__ = ["server"]
STORE = "vidd.stores.mongodb.store:MongoStore"
TALKS = ("t1", "t2", "t3")


def kept_in(server):
    return f"""
[store]
kind = "mongo"
account = "mongo"

[accounts.mongo]
kind = "mongodb"
uri = "{server.uri}"
database = "vidd-test"
timeout = "3s"
"""


@pytest.fixture
def place(place, server):
    place.programme(*(talk(one) for one in TALKS))
    place.settings(more=kept_in(server))
    return place


def drop_all(place, clip):
    for one in TALKS:
        place.drop(clip, f"Main_{one}_000000_000003.mp4")


def assert_each_published_once(place, server, talks=TALKS):
    """One video and one mail to each speaker of every talk, its row right, and a history that makes sense."""
    assert sorted(one.name for one in (place.root / "out").iterdir()) == [f"Talk-{one}-{one}.mp4" for one in talks]
    mails = [message_from_bytes(one.read_bytes())["To"] for one in (place.root / "outbox").iterdir()]
    speakers = [f"{name} <{name.lower()}@{one}.example>" for name in ("Ada", "Grace") for one in talks]
    assert sorted(mails) == sorted(speakers)
    assert {one: place.rows()[one]["status"] for one in talks} == dict.fromkeys(talks, "published")
    assert list((place.root / "jobs").iterdir()) == []
    assert not (place.root / "journal.sqlite").exists()

    async def records(store):
        return [(await store.history(job.id), await store.publications(job.id)) for job in await store.jobs()]

    found = place.journal(records, MongoStore(an_account(server.uri, "vidd-test"), "mongo"))
    assert len(found) == len(talks)
    for history, publications in found:
        states = [state for _, state, _ in history]
        assert states[0] is State.SEEN
        assert [at for at, state in enumerate(states) if state is State.PUBLISHED] == [len(states) - 1]
        assert all(after in MOVES[before] for before, after in pairwise(states))
        assert {one.kind: one.state for one in publications} == dict.fromkeys(
            ("folder", "mail", "sheet"), PublicationState.DONE
        )


def away(daemon):
    """The reason that `/health` gives for the store, once it does."""

    def look():
        status, health = daemon.ask("/health")
        return status == 503 and next((one for one in health["reasons"] if "The store is away" in one), None)

    return until(look, "/health says that the store is away")


def test_jobs_are_published_once_while_mongodb_is_killed_and_comes_back(place, clip, server):
    with place.daemon() as daemon:
        place.drop(clip, "Main_t1_000000_000003.mp4")
        daemon.job("published")
        encodes_of_one = encodes(place)
        place.slow(1)
        for one in TALKS[1:]:
            place.drop(clip, f"Main_{one}_000000_000003.mp4")
        daemon.encoding(2)
        server.kill()
        assert "MongoDB" in away(daemon)
        assert daemon.ask("/api/jobs")[0] == 503
        until(lambda: not place.encodes(), "the encodes have ended while it is away")
        place.quick()
        server.start()
        until(lambda: len(list(place.root.glob("out/*"))) > 1, "the next one is out")
        server.kill()
        away(daemon)
        server.start()
        until(lambda: daemon.ask("/health")[0] == 200, "the store is back")
        for one in TALKS:
            until(lambda one=one: place.rows()[one]["status"] == "published", f"{one} is published")
        until(
            lambda: [job["state"] for job in daemon.ask("/api/jobs")[1].get("jobs", ())] == ["published"] * 3, "all are"
        )
        # What had been cut when the server was killed was not cut again.
        assert encodes(place) == 3 * encodes_of_one
        daemon.stopped()
    place.drain()
    assert_each_published_once(place, server)


def encodes(place):
    """How often ffmpeg ran."""
    return len(list((place.root / "encodes").iterdir()))


def test_jobs_are_published_once_while_mongodb_is_slow_and_steps_down(place, clip, server):
    with place.daemon() as daemon:
        daemon.ready()
        server.fail(["insert", "update", "findAndModify"], "alwaysOn", blockConnection=True, blockTimeMS=150)
        drop_all(place, clip)
        until(place.encodes, "the first one is cut")
        server.fail(["insert", "update", "findAndModify", "find"], "alwaysOn", errorCode=10107)
        # A slow call may have been given up just before, and then that is what is said first.
        until(lambda: "primary" in away(daemon), "it is said that there is no primary")
        server.fail(["insert", "update"], {"times": 3}, closeConnection=True)
        for one in TALKS:
            until(lambda one=one: place.rows()[one]["status"] == "published", f"{one} is published")
        until(lambda: all(job["state"] == "published" for job in daemon.jobs()), "and recorded so")
        daemon.stopped()
    assert_each_published_once(place, server)


POINTS = {
    "after intake": {"target": f"{STORE}.admit", "when": "after", "where": "result"},
    "after it became working": {"target": f"{STORE}.save", "when": "after", "where": "args[1].state == 'working'"},
    "before the record of the cut": {
        "target": f"{STORE}.record_step",
        "when": "before",
        "where": "args[1].kind == 'trim'",
    },
    "before the record of the upload": {
        "target": f"{STORE}.save_publication",
        "when": "before",
        "where": "args[1].kind == 'folder' and args[1].state == 'done'",
    },
    "after the record of the mails": {
        "target": f"{STORE}.save_publication",
        "when": "after",
        "where": "args[1].kind == 'mail' and args[1].state == 'done'",
    },
    "before the last save": {"target": f"{STORE}.save", "when": "before", "where": "args[1].state == 'published'"},
}


def test_jobs_are_published_once_though_daemon_and_mongodb_die_together_at_point_after_point(place, clip, server):
    drop_all(place, clip)
    for point, fate in POINTS.items():
        with place.daemon(fate=fate) as daemon:
            assert daemon.ended() == -signal.SIGKILL, f"{point} was not reached: {daemon.log.read_text()[-3000:]}"
        server.kill()
        server.start()
    place.drain()
    assert_each_published_once(place, server)


def test_a_daemon_that_starts_before_mongodb_waits_for_it(place, clip, server):
    drop_all(place, clip)
    server.kill()
    with place.daemon("--until-idle") as daemon:
        (said,) = until(lambda: daemon.said("start waits"), "it says what it waits for")
        assert "cannot be reached" in said["reason"]
        assert daemon.process.poll() is None
        server.start()
        assert daemon.ended() == 0
    assert_each_published_once(place, server)


def test_a_daemon_ends_well_while_mongodb_is_away_and_the_next_one_goes_on(place, clip, server):
    place.slow(0.2)
    drop_all(place, clip)
    with place.daemon() as daemon:
        daemon.encoding(2)
        server.kill()
        away(daemon)
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGTERM)
        assert daemon.ended() == 0, daemon.log.read_text()[-3000:]
    place.quick()
    server.start()
    place.drain()
    assert_each_published_once(place, server)


def test_a_database_of_a_newer_vidd_ends_the_start_with_one_sentence(place, server):
    with server.client() as client:
        client["vidd-test"].meta.insert_one({"_id": "schema", "version": 99})
    with place.daemon() as daemon:
        assert daemon.ended() != 0
        assert "was written by a newer vidd" in daemon.log.read_text()
        assert "Traceback" not in daemon.log.read_text()


def test_a_second_daemon_on_the_database_stands_by_and_takes_over(place, clip, server):
    root = Path(tempfile.mkdtemp(prefix="vidd-"))
    try:
        other = Place(root)
        other.settings(more=kept_in(server))
        with place.daemon() as first:
            first.ready()
            with other.daemon() as second:
                (said,) = until(lambda: second.said("start waits"), "the second one waits")
                assert f":{place.root}" in said["reason"]
                drop_all(place, clip)
                until(lambda: len(list(place.root.glob("outbox/*.eml"))) == 6, "the first one has published")
                until(lambda: all(job["state"] == "published" for job in first.jobs()), "and recorded it")
                first.stopped()
                assert {job["state"] for job in second.jobs()} == {"published"}
                second.stopped()
    finally:
        shutil.rmtree(root)
    assert_each_published_once(place, server)
