"""A file on its way out in read_chunks, from memory and from the disk."""

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from vidd.errors import Refused
from vidd.transfer.read_ahead import read_chunks

SIZE = 3 * 2**20 + 4567
DATA = os.urandom(SIZE)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "talk.mp4"
    path.write_bytes(DATA)
    number = os.open(path, os.O_RDWR)
    yield number
    os.close(number)


async def sent(file, first=0, end=SIZE):
    return b"".join([bytes(piece) async for piece in read_chunks(file, first, end, name="talk.mp4")])


def not_in_memory(*_):
    raise BlockingIOError(errno.EAGAIN, "not in memory")


def untold(*_):
    raise OSError(errno.EOPNOTSUPP, "not by this file system")


@pytest.mark.parametrize("first", [0, 1, 2**18, 2**20 + 3])
@pytest.mark.parametrize("where", [None, not_in_memory, untold])
async def test_every_byte_comes_once_and_in_order_wherever_it_is(file, first, where, monkeypatch):
    if where is not None:
        monkeypatch.setattr(os, "preadv", where)
    assert await sent(file, first, SIZE - 5) == DATA[first:-5]


async def test_a_file_of_which_only_a_part_is_in_memory_is_read_whole(file, monkeypatch):
    cached, times = os.preadv, []

    def by_turns(number, buffers, at, flags):
        times.append(at)
        if len(times) % 3 == 0:
            raise BlockingIOError(errno.EAGAIN, "not in memory")
        return cached(number, [memoryview(buffers[0])[:1000]], at, flags)

    monkeypatch.setattr(os, "preadv", by_turns)
    assert await sent(file) == DATA


async def test_the_disk_is_waited_for_in_a_thread(file, monkeypatch):
    read, threads = os.pread, set()

    def noted(*how):
        threads.add(threading.get_ident())
        return read(*how)

    monkeypatch.setattr(os, "preadv", not_in_memory)
    monkeypatch.setattr(os, "pread", noted)
    assert await sent(file) == DATA
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("where", [None, not_in_memory])
async def test_a_file_that_became_shorter_is_refused(file, where, monkeypatch):
    if where is not None:
        monkeypatch.setattr(os, "preadv", where)
    os.ftruncate(file, 2**20)
    with pytest.raises(Refused, match="became shorter"):
        await sent(file)


async def test_a_line_that_never_makes_it_wait_leaves_others_their_turn(file):
    turns = 0

    async def other():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(other())
    await sent(file)
    assert turns >= 2
    beside.cancel()


@pytest.mark.parametrize("where", [None, not_in_memory])
async def test_whoever_stops_in_the_middle_leaves_no_file_open(file, where, monkeypatch):
    if where is not None:
        monkeypatch.setattr(os, "preadv", where)
    before = set(Path("/proc/self/fd").iterdir())
    going = read_chunks(file, 0, SIZE, name="talk.mp4")
    await anext(going)
    await going.aclose()
    assert set(Path("/proc/self/fd").iterdir()) <= before
