import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from builders.mail import HeldInlet, watching

from vidd.integrations.local_folder import source as local_folder_source


@pytest.fixture
def drop(tmp_path):
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


def put(path, content=b"film", age=60.0):
    """A file that stood still for `age` seconds."""
    path = Path(os.fsdecode(path))
    path.write_bytes(content)
    when = datetime.now(UTC).timestamp() - age
    os.utime(path, (when, when))
    return path


def watch(context, **changes):
    return watching(
        local_folder_source.watch(local_folder_source.Options(**{"path": "drop", "rescan": 3600, **changes}), context),
        context,
    )


def names(context):
    return sorted(arrival.name for arrival in context.arrivals)


async def test_what_is_there_already_arrives_with_its_uri_size_and_time(tmp_path, drop):
    path = put(drop / "a talk.mp4")
    context = HeldInlet(tmp_path)
    async with watch(context, pipeline="talks", priority=3):
        pass
    (arrival,) = context.arrivals
    stat = path.stat()
    assert arrival.location == path.as_uri()
    assert arrival.key == f"{path.as_uri().replace('file://', 'file:')}:4:{stat.st_mtime_ns}"
    assert arrival.facts == {"size": 4, "mtime_ns": stat.st_mtime_ns}
    assert (arrival.name, arrival.pipeline, arrival.priority) == ("a talk.mp4", "talks", 3)
    assert (context.standing, context.quiet) == ("up", 1)


async def test_the_audit_lists_what_would_arrive_and_what_has_not_stood_still(tmp_path, drop):
    put(drop / "a.mp4")
    put(drop / "b.mp4", age=0)
    context = HeldInlet(tmp_path)
    async with watch(context):
        pass
    options = local_folder_source.Options(path="drop", settle="30s")
    listed = {entry.name: entry for entry in await local_folder_source.audit(options, context.tools, "recordings")}
    assert listed["a.mp4"].arrival == context.arrivals[0]
    assert (listed["b.mp4"].arrival, listed["b.mp4"].waits) == (None, True)


async def test_a_missing_folder_is_made(tmp_path):
    context = HeldInlet(tmp_path)
    async with watch(context, path="in/here"):
        assert (tmp_path / "in" / "here").is_dir()
        assert context.standing == "up"


async def test_a_fresh_file_counts_once_two_looks_saw_the_same(tmp_path, drop):
    context = HeldInlet(tmp_path)
    path = put(drop / "a.mp4", age=-3600)  # its clock is ahead of ours: only the looks can tell
    async with watch(context, settle="2s"):
        assert (context.arrivals, context.quiet, context.pauses[-1]) == ([], 0, 2.0)
        await context.look(advance=1.0)
        assert context.arrivals == []
        put(path, b"film, and more", age=-3600)
        await context.look(advance=1.5)
        assert context.arrivals == []
        await context.look(advance=2.0)
        assert names(context) == ["a.mp4"]
        assert context.arrivals[0].facts["size"] == 14
        assert context.quiet == 1


async def test_a_file_that_is_renamed_in_counts_at_once(tmp_path, drop):
    context = HeldInlet(tmp_path)
    elsewhere = put(tmp_path / "made.mp4", age=5)
    async with watch(context):
        elsewhere.rename(drop / "made.mp4")
        await context.until(lambda: bool(context.arrivals))  # woken by the file system, the clock never moved


async def test_a_file_is_handed_in_once_and_again_when_it_changed(tmp_path, drop):
    path = put(drop / "a.mp4")
    context = HeldInlet(tmp_path)
    async with watch(context):
        await context.look()
        assert context.batches == [1]
        put(path, b"another film")
        await context.until(lambda: len(context.arrivals) == 2)
        path.unlink()
        await context.look()
        put(path, b"another film", age=99)
        await context.until(lambda: len(context.arrivals) == 3)


HOSTILE = [
    b"-rf.mp4",
    b"new\nline.mp4",
    b"quo\"te'.mp4",
    "🎬 Überraschung.mp4".encode(),
    b"caf\xe9.mp4",
    b"%2e%2e.mp4",
    b"UPPER.MP4",
    b"x" * 251 + b".mp4",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_name_survives_whatever_it_is(tmp_path, drop, name):
    path = bytes(drop) + b"/" + name
    context = HeldInlet(tmp_path)
    put(path)
    async with watch(context):
        pass
    (arrival,) = context.arrivals
    assert unquote_to_bytes(urlsplit(arrival.location).path) == path
    assert arrival.location.isascii()
    arrival.name.encode()


@pytest.mark.slow
async def test_a_name_that_is_not_utf8_does_not_end_the_watch(tmp_path, drop):
    context = HeldInlet(tmp_path)
    async with watch(context):
        put(bytes(drop) + b"/caf\xe9.mp4")
        await context.until(lambda: bool(context.arrivals))
        put(drop / "tea.mp4")
        await context.until(lambda: len(context.arrivals) == 2)


async def test_what_is_unfinished_hidden_special_or_no_video_is_passed_over(tmp_path, drop):
    for name in (".a.mp4", "a.mp4.part", "a.tmp", "a.mp4.crdownload", "a.mp4~", "notes.txt"):
        put(drop / name)
    (drop / "sub.mp4").mkdir()
    os.mkfifo(drop / "pipe.mp4")
    put(tmp_path / "outside.mp4")
    (drop / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    (drop / "dangling.mp4").symlink_to(tmp_path / "none.mp4")
    context = HeldInlet(tmp_path)
    async with watch(context):
        assert context.arrivals == []
        assert context.quiet == 1


async def test_a_link_within_the_folder_is_the_file_it_leads_to(tmp_path, drop):
    put(drop / "a.mp4")
    (drop / "b.mp4").symlink_to(drop / "a.mp4")
    context = HeldInlet(tmp_path)
    async with watch(context):
        assert names(context) == ["a.mp4"]


@pytest.mark.parametrize(("recursive", "seen"), [(False, ["a.mp4"]), (True, ["a.mp4", "b.mp4"])])
async def test_folders_in_the_folder_count_only_when_asked_for(tmp_path, drop, recursive, seen):
    (drop / "day 1").mkdir()
    (drop / ".hidden").mkdir()
    (drop / "loop").symlink_to(drop)
    put(drop / "a.mp4")
    put(drop / "day 1" / "b.mp4")
    put(drop / ".hidden" / "c.mp4")
    context = HeldInlet(tmp_path)
    async with watch(context, recursive=recursive):
        assert names(context) == seen


async def test_an_empty_list_of_suffixes_takes_every_file_even_an_empty_one(tmp_path, drop):
    put(drop / "notes", b"")
    context = HeldInlet(tmp_path)
    async with watch(context, suffixes=[]):
        assert [(arrival.name, arrival.facts["size"]) for arrival in context.arrivals] == [("notes", 0)]


async def test_a_folder_that_vanishes_is_said_and_watched_again_when_it_is_back(tmp_path, drop):
    context = HeldInlet(tmp_path)
    async with watch(context):
        drop.rename(tmp_path / "gone")
        await context.look()
        assert "looking into the folder" in context.standing
        drop.mkdir()
        await context.look()
        assert context.standing == "up"
        for name in ("a.mp4", "b.mp4"):
            put(tmp_path / name).rename(drop / name)
            await context.until(lambda name=name: name in names(context))


@pytest.mark.slow
async def test_ten_thousand_files_are_handed_in_by_the_batch_and_only_once(tmp_path, drop):
    when = datetime.now(UTC).timestamp() - 60
    for number in range(10_000):
        path = drop / f"{number:05}.mp4"
        path.touch()
        os.utime(path, (when, when))
    context = HeldInlet(tmp_path)
    async with watch(context):
        assert sum(context.batches) == 10_000
        assert max(context.batches) == 500
        await context.look()
        assert sum(context.batches) == 10_000


def test_what_was_handed_in_is_forgotten_once_it_is_gone():
    state = local_folder_source.FolderState(stable_for=2.0)
    file = local_folder_source.ListedFile("/drop/a.mp4", 4, 0)
    assert state.stable([file], 100.0) == [file]
    state.mark_admitted([file])
    assert state.stable([file], 101.0) == []
    state.stable([], 102.0)
    assert state.admitted == {}


async def test_the_check_says_what_is_there(tmp_path, drop):
    put(drop / "a.mp4")
    context = HeldInlet(tmp_path)
    assert (
        await local_folder_source.check(local_folder_source.Options(path="drop"), context.tools)
        == f"{drop} holds 1 recordings"
    )
    assert "vidd will create it" in await local_folder_source.check(
        local_folder_source.Options(path="none"), context.tools
    )
