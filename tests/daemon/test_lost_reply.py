"""Twenty-four ways to lose the one answer that says that a video arrived: each ends with one video and nobody's help."""

import hashlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from peers.daemon import Place, until
from peers.lost_replies import FILM, S3, FacebookPage, YouTubeChannel
from peers.servers import ministack

from vidd.model.publication import PublicationState

pytestmark = pytest.mark.daemon

TARGETS = {"youtube": YouTubeChannel, "facebook": FacebookPage, "s3": S3}
DAY = str(26 * 3600)
SUM = hashlib.sha256(FILM).hexdigest()
STORE = "vidd.stores.sqlite.store:SqliteStore.save_publication"
SETTINGS = """
[daemon]
state = "{root}"
listen = "127.0.0.1:0"
grace = "1s"

[limits]
disk_reserve = "1MiB"

[retry]
first = "200ms"

[sources.recordings]
kind = "folder"
path = "in"
pipeline = "talks"
settle = "100ms"
rescan = "500ms"

[[pipelines.talks.steps]]
kind = "describe"

[[pipelines.talks.publish]]
kind = "{kind}"
label = "far"
"""


def dies(when: str) -> dict:
    return {"target": STORE, "when": when, "where": "args[1].name == 'far' and args[1].state == 'done'"}


def lost(how):
    def case(place, far):
        far.lose(how)
        place.drain()

    return case


def expired(place, far):
    far.lose("drop")
    with place.daemon("--until-idle") as running:
        until(far.commits, "the far side has it")
        far.expire()
        assert running.ended() == 0, running.log.read_text()


def killed(when):
    def case(place, far):
        with place.daemon("--until-idle", fate=dies(when)) as running:
            assert running.ended() == -9, running.log.read_text()
        place.drain()

    return case


def another_day(place, far):
    far.lose("hang")
    with place.daemon("--until-idle") as running:
        until(far.commits, "the far side has it")
        running.process.kill()
        running.ended()
    far.expire()
    with place.daemon("--until-idle", DAEMON_LATER=DAY) as running:
        assert running.ended() == 0, running.log.read_text()


CASES = {
    "the connection breaks after the last byte": lost("drop"),
    "500 after the commit": lost("error"),
    "no answer ever": lost("hang"),
    "the session is gone by the time it is asked": expired,
    "killed between the answer and its record": killed("before"),
    "killed right after the record": killed("after"),
    "killed while it waits, started the next day": another_day,
    "the answer that opens the upload is lost": lost("session"),
}


def outcome(kind, name):
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vidd-")))
        far = TARGETS[kind](stack, root)
        place = Place(root)
        place.config.write_text(SETTINGS.format(root=root, kind=kind) + far.publish + far.settings)
        recording = root / "film.bin"
        recording.write_bytes(FILM)
        place.drop(recording, "A_film.mp4")
        CASES[name](place, far)
        [job] = place.journal(lambda store: store.jobs())
        [one] = place.journal(lambda store: store.publications(job.id))
        return job.state, one.state, [film == SUM for film in far.held()], far.commits()


@pytest.mark.timeout(600)
def test_lost_replies(record_property, capsys):
    asked = [(kind, name) for kind in TARGETS for name in CASES]
    with ministack() as S3.server, ThreadPoolExecutor(3) as pool:
        found = dict(zip(asked, pool.map(lambda one: outcome(*one), asked), strict=True))
    wrong = {one: what for one, what in found.items() if what != ("published", PublicationState.DONE, [True], 1)}
    films = [film for _, _, held, _ in found.values() for film in held]
    totals = {
        "cases": len(found),
        "videos": len(films),
        "twice": sum(len(held) > 1 for _, _, held, _ in found.values()),
        "broken": films.count(False),
        "by_hand": sum(job != "published" for job, _, _, _ in found.values()),
        "second_commits": sum(commits - 1 for *_, commits in found.values()),
    }
    line = "lost_reply " + " ".join(f"{name}={value}" for name, value in totals.items())
    with capsys.disabled():
        print(f"\n{line}")  # noqa: T201 - the line of totals is what a person wants to see
    assert wrong == {}
