"""What only the store on a disk promises."""

import asyncio
import sqlite3

import pytest
from builders.engine import START, job

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.model.job import State
from vidd.model.publication import PublicationState
from vidd.stores.sqlite.store import SqliteStore, _versions


@pytest.fixture
async def store(tmp_path):
    sqlite_store = SqliteStore(tmp_path / "journal.sqlite")
    await sqlite_store.open()
    yield sqlite_store
    await sqlite_store.close()


async def test_what_was_saved_is_there_for_the_next_daemon(tmp_path):
    path = tmp_path / "journal.sqlite"
    first = SqliteStore(path)
    await first.open()
    await first.admit([job("a")])
    await first.close()
    second = SqliteStore(path)
    await second.open()
    assert (await second.job("a")).state is State.SEEN
    await second.close()


async def test_commits_are_synced_and_readers_do_not_block(store, tmp_path):
    assert (await store._first("PRAGMA journal_mode"))[0] == "wal"
    assert (await store._first("PRAGMA synchronous"))[0] == 2


async def test_a_journal_of_a_newer_vidd_is_left_alone(tmp_path):
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(Refused, match="newer vidd"):
        await SqliteStore(path).open()


async def test_a_journal_of_the_first_version_is_taken_forward(tmp_path):
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(_versions()[0] + "PRAGMA user_version=1;")
        row = ("a", "s3", "s3", 0, "done", 1, None, 1, "{}", None, None, None, "2026-05-01T12:00:00.000000+00:00")
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute(f"INSERT INTO publications VALUES ({','.join('?' * len(row))})", row)
    connection.close()
    store = SqliteStore(path)
    await store.open()
    [kept] = await store.publications("a")
    assert (kept.state, kept.edition, kept.revision) == (PublicationState.DONE, 1, None)
    await store.remember("space", {"word": "kept"})
    await store.close()


async def test_a_file_that_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"this is not a database, but a text of some length" * 100)
    with pytest.raises(Refused, match=r"cannot be used: it is no SQLite database \(SQLITE_NOTADB\)") as refused:
        await SqliteStore(path).open()
    assert refused.value.code is FaultCode.BAD_INPUT


async def test_a_journal_in_a_directory_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"it cannot be opened \(SQLITE_CANTOPEN\)") as refused:
        await SqliteStore(tmp_path / "none" / "journal.sqlite").open()
    assert refused.value.code is FaultCode.FORBIDDEN


async def test_a_journal_that_another_program_has_locked_is_for_later(store, tmp_path):
    await store._db.run("PRAGMA busy_timeout=0")
    other = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RetryLater, match="another program has locked it") as later:
        await store.set_flag("x", "1")
    assert (later.value.code, later.value.counts) == (FaultCode.BUSY, False)
    other.close()
    await store.set_flag("x", "1")


async def test_a_journal_that_is_read_only_by_now_is_for_later(store):
    await store._db.run("PRAGMA query_only=ON")
    with pytest.raises(RetryLater, match="it is read-only") as later:
        await store.set_flag("x", "1")
    assert later.value.code is FaultCode.FORBIDDEN


async def test_a_write_that_breaks_a_rule_of_the_schema_is_a_defect(store):
    with pytest.raises(sqlite3.IntegrityError):
        await store._db.write(lambda db: db.execute("INSERT INTO flags VALUES (NULL, NULL)"))


async def test_a_cancelled_caller_cannot_cut_a_write_in_two(store):
    await store.admit([job("a")])
    for _ in range(20):
        write = asyncio.ensure_future(store.set_flag("x", "1"))
        await asyncio.sleep(0)
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
    await store.save(job("a", state=State.READY), expect=State.SEEN)
    assert (await store.job("a")).state is State.READY


async def test_a_full_disk_is_again_later_and_leaves_the_journal_whole(store):
    pages = (await store._first("PRAGMA page_count"))[0]
    await store._db.run(f"PRAGMA max_page_count={pages}")
    with pytest.raises(RetryLater, match="its disk is full") as later:
        await store.admit([job(f"job-{number}", name="n" * 1000) for number in range(100)])
    assert (later.value.code, later.value.counts) == (FaultCode.DISK_FULL, False)
    await store._db.run("PRAGMA max_page_count=100000")
    assert await store.jobs() == []
    assert len(await store.admit([job("a", created=START)])) == 1


@pytest.mark.slow
async def test_what_was_asked_before_the_end_is_done(tmp_path):
    sqlite_store = SqliteStore(tmp_path / "journal.sqlite")
    await sqlite_store.open()
    writes = [asyncio.ensure_future(sqlite_store.set_flag(str(number), "yes")) for number in range(20)]
    await asyncio.sleep(0)
    await sqlite_store.close()
    await asyncio.gather(*writes)
    await sqlite_store.open()
    assert await sqlite_store.get_flag("19") == "yes"
    await sqlite_store.close()
