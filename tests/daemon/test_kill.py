"""The daemon is killed at one point after another, and what it leaves is finished, once, by the next one."""

import signal
from email import message_from_bytes
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import av
import pytest
from peers.daemon import Place, until
from peers.daemon_web import served

from vidd.model.job import MOVES, State
from vidd.model.publication import PublicationState

pytestmark = pytest.mark.daemon

STORE = "vidd.stores.sqlite.store:SqliteStore"
FOLDER = "vidd.integrations.local_folder.publisher"


def saved(state: str, when: str = "after") -> dict:
    return {"target": f"{STORE}.save", "when": when, "where": f"args[1].state == '{state}'"}


def recorded(step: str, when: str) -> dict:
    return {"target": f"{STORE}.record_step", "when": when, "where": f"args[1].kind == '{step}'"}


def publication(kind: str, state: str, when: str) -> dict:
    where = f"args[1].kind == '{kind}' and args[1].state == '{state}'"
    return {"target": f"{STORE}.save_publication", "when": when, "where": where}


# Each is passed again by the next daemon on its way to the one after it.
WALKS = {
    "from the intake to the first step": {
        "after intake": {"target": f"{STORE}.admit", "when": "after", "where": "result"},
        "after it became ready": saved("ready"),
        "after it became working": saved("working"),
    },
    "through the steps": {
        "between the bytes of fetch and their name": {
            "target": "vidd.integrations.local_folder.file_copy:stat_unchanged",
            "when": "after",
            "nth": 2,
        },
        "between fetch and its record": recorded("fetch", "before"),
        "between the cut and its check": {"target": "vidd.steps.trim:verify", "when": "before"},
        "between the rename of the cut and its record": recorded("trim", "before"),
        "after the cut": recorded("trim", "after"),
    },
    "through the upload": {
        "after it became publishing": saved("publishing"),
        "before the upload": publication("folder", "started", "after"),
        "in the middle of the upload": {"target": "vidd.files.clone:_copy_chunk", "when": "after"},
        "between the upload and its name": {"target": f"{FOLDER}:_move_into_folder", "when": "before"},
    },
    "from the upload's name to its record": {
        "between the name and the end of the temporary one": {"target": f"{FOLDER}:sync", "when": "before"},
        "between the rename and the record": publication("folder", "done", "before"),
        "after the record, before the notices": publication("folder", "done", "after"),
    },
    "through the mails": {
        "in the middle of a mail": {
            "target": "os:fsync",
            "when": "before",
            "where": "'.eml.part' in os.readlink(f'/proc/self/fd/{args[0]}')",
        },
        "between a mail and its record": {"target": "vidd.integrations.mail.delivery:post", "when": "after"},
        "before the second mail": {
            "target": "vidd.integrations.mail.delivery:post",
            "when": "before",
            "where": "'grace' in args[1].recipient.address",
        },
        "between the mails and their record": publication("mail", "done", "before"),
    },
    "through the sheet to the end": {
        "in the middle of the sheet": {
            "target": "vidd.integrations.sheet.backends.file:_write_like",
            "when": "after",
            "where": "b'published' in args[1]",
        },
        "between the sheet and its record": publication("sheet", "done", "before"),
        "before the last save": saved("published", "before"),
        "between the last save and the end of the directory": {
            "target": "vidd.engine.workspace:Workspace.remove",
            "when": "before",
        },
    },
}


def assert_published_once(place: Place, talk_id: str = "t1") -> None:
    """One video, one mail to each speaker, the row right, nothing else left anywhere, and a history that makes sense."""
    assert place.alive() == []
    assert list((place.root / "jobs").iterdir()) == []
    videos = list((place.root / "out").iterdir())
    assert [video.name for video in videos] == [f"Talk-{talk_id}-{talk_id}.mp4"]
    with av.open(str(videos[0])) as video:
        assert video.duration / av.time_base == pytest.approx(3.0, abs=0.05)
    mails = {path.name: message_from_bytes(path.read_bytes()) for path in (place.root / "outbox").iterdir()}
    assert sorted(mail["To"] for mail in mails.values()) == [
        f"Ada <ada@{talk_id}.example>",
        f"Grace <grace@{talk_id}.example>",
    ]
    row = place.rows()[talk_id]
    assert row["status"] == "published"
    assert Path(unquote(urlsplit(row["link"]).path)) == videos[0]
    expected = {"journal.sqlite", "programme.csv", f"out/{videos[0].name}", *(f"outbox/{name}" for name in mails)}
    assert place.files() == expected

    async def records(store):
        (job,) = await store.jobs()
        return await store.history(job.id), await store.publications(job.id)

    history, publications = place.journal(records)
    states = [state for _, state, _ in history]
    assert states[0] is State.SEEN
    assert [at for at, state in enumerate(states) if state is State.PUBLISHED] == [len(states) - 1]
    assert all(after in MOVES[before] for before, after in pairwise(states))
    assert {one.kind: one.state for one in publications} == dict.fromkeys(
        ("folder", "mail", "sheet"), PublicationState.DONE
    )


@pytest.mark.parametrize("walk", WALKS)
def test_a_job_whose_daemon_is_killed_at_point_after_point_is_published_once(place, clip, walk):
    place.drop(clip)
    for point, fate in WALKS[walk].items():
        with place.daemon(fate=fate) as daemon:
            assert daemon.ended() == -signal.SIGKILL, f"{point} was not reached: {daemon.log.read_text()}"
    place.drain()
    assert_published_once(place)


def test_a_daemon_killed_in_the_middle_of_an_encode_leaves_no_ffmpeg_and_cuts_again(place, clip):
    place.slow()
    place.drop(clip)
    with place.daemon() as daemon:
        (pid,) = daemon.encoding()
        (part,) = until(lambda: [*place.root.glob("jobs/*/*.part*")], "the cut has begun")
        until(lambda: part.stat().st_size, "some of the cut is written")
        daemon.signal(signal.SIGKILL)
        assert daemon.ended() == -signal.SIGKILL
        until(lambda: not place.alive(), f"ffmpeg {pid} and the probe are gone")
    place.quick()
    place.drain()
    assert_published_once(place)


def test_a_daemon_killed_in_the_middle_of_a_download_goes_on_where_it_was(place, clip):
    mebibyte = 2**20
    # An MP4 may have room in it that means nothing (ISO 14496-12, 8.1.2).
    large = clip.read_bytes() + (4 * mebibyte).to_bytes(4, "big") + b"free" + bytes(4 * mebibyte - 8)
    place.settings(
        ('kind = "trim"', 'kind = "fetch"\nchunk = "1MiB"\nranged = false\n\n[[pipelines.talks.steps]]\nkind = "trim"')
    )
    with served(large, stop_after=5 * mebibyte // 2) as web:
        with place.daemon() as daemon:
            daemon.ready()
            status, _ = daemon.ask("/api/jobs", {"location": f"{web.url}/Main_t1_000000_000003.mp4"})
            assert status == 201
            until(lambda: list(place.root.glob("jobs/*/*.part.json")), "some of it is safe on the disk")
            daemon.signal(signal.SIGKILL)
            assert daemon.ended() == -signal.SIGKILL
        web.go_on.set()
        place.drain()
    assert web.firsts[0] == 0
    assert web.firsts[1] in {mebibyte, 2 * mebibyte}
    assert_published_once(place)
