import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from builders.aws import a_job, a_step_context, names_in, the_tools

from vidd.errors import Refused, RetryLater
from vidd.integrations.local_folder import file_copy
from vidd.steps import fetch
from vidd.transfer import partial_download

DATA = os.urandom(3 * 2**20 + 11)


@pytest.fixture
def original(tmp_path):
    path = tmp_path / "in" / "talk.mp4"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


@pytest.fixture
def no_links(monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(file_copy.os, "link", refuse)


def a_fetch(tmp_path, location, **changes):
    reserve = changes.pop("reserve", 0)
    job = a_job(location, **changes)
    return a_step_context(tmp_path / "job", job, the_tools(tmp_path, reserve=reserve))


async def test_a_file_becomes_one_of_the_jobs_own(tmp_path, original):
    outcome = await fetch.run(fetch.Options(), a_fetch(tmp_path, original.as_uri()))
    (source,) = outcome.artifacts
    assert (source.role, source.path, source.size, source.content_type) == (
        "source",
        "source.mp4",
        len(DATA),
        "video/mp4",
    )
    assert names_in(tmp_path / "job") == ["source.mp4"]
    # Whoever writes into the original now does not write into what is being cut.
    with original.open("r+b") as writing:
        writing.write(b"something else")
    assert (tmp_path / "job/source.mp4").read_bytes() == DATA


async def test_a_file_of_another_disk_is_copied_and_stays_as_it_was(tmp_path, original, no_links):
    before = original.stat()
    said = []
    context = replace(a_fetch(tmp_path, original.as_uri()), progress=lambda *progress: said.append(progress))
    await fetch.run(fetch.Options(), context)
    copy = tmp_path / "job/source.mp4"
    assert copy.read_bytes() == DATA
    assert not copy.samefile(original)
    assert original.stat().st_mtime_ns == before.st_mtime_ns
    assert said[-1][:3] == (len(DATA), len(DATA), "bytes")


async def test_a_symbolic_link_is_followed_to_the_file(tmp_path, original):
    link = tmp_path / "link.mp4"
    link.symlink_to(original)
    await fetch.run(fetch.Options(), a_fetch(tmp_path, link.as_uri()))
    assert not (tmp_path / "job/source.mp4").is_symlink()
    assert (tmp_path / "job/source.mp4").read_bytes() == DATA


async def test_a_file_that_changed_since_it_arrived_is_refused(tmp_path, original):
    facts = {"size": len(DATA), "mtime_ns": original.stat().st_mtime_ns}
    os.utime(original, ns=(1, 1))
    with pytest.raises(Refused, match="changed since it arrived"):
        await fetch.run(fetch.Options(), a_fetch(tmp_path, original.as_uri(), facts=facts))
    assert names_in(tmp_path / "job") == []


async def test_a_file_that_grows_while_it_is_copied_is_refused(tmp_path, original, no_links, monkeypatch):
    real = file_copy.os.pread

    def pread(handle, size, offset):
        with original.open("ab") as file:
            file.write(b"more")
        return real(handle, size, offset)[: max(0, len(DATA) - offset)]

    monkeypatch.setattr(file_copy.os, "pread", pread)
    with pytest.raises(Refused, match="changed since it arrived"):
        await fetch.run(fetch.Options(), a_fetch(tmp_path, original.as_uri()))
    assert names_in(tmp_path / "job") == []


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.unlink(), "no file"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "no regular file"),
        (lambda path: (path.unlink(), path.mkdir()), "There is no file in the directory"),
    ],
    ids=["gone", "empty", "a pipe", "an empty folder"],
)
async def test_what_is_no_file_with_something_in_it_is_refused(tmp_path, original, make, why):
    make(original)
    with pytest.raises(Refused, match=why):
        await fetch.run(fetch.Options(), a_fetch(tmp_path, original.as_uri()))


@pytest.mark.parametrize(
    "name",
    [
        "a b+c%41.mp4",
        "-rf.mp4",
        "ü🎬.mp4",
        "quo\"te's.mp4",
        "new\nline.mp4",
        "x" * 240 + ".mp4",
        os.fsdecode(b"\xff.mp4"),
    ],
)
async def test_a_hostile_name_is_found_and_kept_out_of_the_job_directory(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(DATA)
    await fetch.run(fetch.Options(), a_fetch(tmp_path, path.as_uri(), name=name))
    assert names_in(tmp_path / "job") == ["source.mp4"]


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("talk.MP4", "source.mp4"),
        ("talk", "source"),
        ("talk.mp4;rm", "source"),
        ("../../x.mkv", "source.mkv"),
        ("talk.verylong", "source"),
        ("talk.m\n4", "source"),
        (".mp4", "source"),
        ("talk.ü", "source"),
    ],
)
def test_of_the_name_only_a_harmless_end_is_kept(name, local):
    assert fetch.local_name(name) == local


async def test_a_disk_that_would_go_below_its_reserve_is_waited_for(tmp_path, original, no_links):
    context = a_fetch(tmp_path, original.as_uri(), reserve=2**62)
    with pytest.raises(RetryLater, match="kept in reserve") as wait:
        await fetch.run(fetch.Options(), context)
    assert not wait.value.counts


async def test_a_full_disk_is_waited_for(tmp_path, original, no_links, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(partial_download.os, "pwrite", full)
    with pytest.raises(RetryLater, match="disk was full") as wait:
        await fetch.run(fetch.Options(), a_fetch(tmp_path, original.as_uri()))
    assert not wait.value.counts


async def test_a_promised_checksum_is_compared(tmp_path, original):
    right = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    await fetch.run(fetch.Options(), a_fetch(tmp_path, original.as_uri(), facts={"checksum": right}))
    with pytest.raises(Refused, match="is not the one"):
        await fetch.run(fetch.Options(), a_fetch(tmp_path, original.as_uri(), facts={"checksum": "sha256:00"}))
    with pytest.raises(Refused, match="cannot be read"):
        await fetch.run(fetch.Options(), a_fetch(tmp_path, original.as_uri(), facts={"checksum": "crc:zz"}))


@pytest.mark.parametrize("location", ["ftp://host/x.mp4", "file://otherhost/x.mp4", "concat:/etc/passwd", "talk.mp4"])
async def test_an_address_nothing_is_fetched_from_is_refused(tmp_path, location):
    with pytest.raises(Refused):
        await fetch.run(fetch.Options(), a_fetch(tmp_path, location))


async def test_a_second_run_takes_the_place_of_the_first(tmp_path, original, no_links):
    for _ in range(2):
        await fetch.run(fetch.Options(), a_fetch(tmp_path, original.as_uri()))
    assert Path(tmp_path / "job/source.mp4").read_bytes() == DATA


async def test_a_directory_becomes_a_tree_of_the_jobs_own(tmp_path):
    shots = tmp_path / "shots"
    (shots / "more").mkdir(parents=True)
    (shots / "1.png").write_bytes(b"one")
    (shots / "more" / "2.png").write_bytes(b"two!")
    (tmp_path / "job").mkdir()
    outcome = await fetch.run(fetch.Options(), a_fetch(tmp_path, shots.as_uri()))
    (source,) = outcome.artifacts
    assert (source.role, source.path, source.size, source.tree.files) == ("source", "source", 7, 2)
    assert (tmp_path / "job" / "source" / "more" / "2.png").read_bytes() == b"two!"
    assert names_in(tmp_path / "job") == ["source"]
    (shots / "1.png").write_bytes(b"another")
    assert (tmp_path / "job" / "source" / "1.png").read_bytes() == b"one"


async def test_a_directory_with_nothing_or_a_link_in_it_is_refused(tmp_path):
    shots = tmp_path / "shots"
    shots.mkdir()
    (tmp_path / "job").mkdir()
    with pytest.raises(Refused, match="There is no file in the directory"):
        await fetch.run(fetch.Options(), a_fetch(tmp_path, shots.as_uri()))
    (shots / "a.png").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match=r"'a\.png' below shots is no regular file"):
        await fetch.run(fetch.Options(), a_fetch(tmp_path, shots.as_uri()))
