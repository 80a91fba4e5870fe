"""A start that waits for what is away."""

import socket

import pytest

from vidd.daemon import startup
from vidd.daemon.systemd import Notifier
from vidd.errors import Refused, RetryLater


class Start:
    def __init__(self, *faults):
        self.faults = list(faults)

    async def __call__(self):
        if self.faults:
            raise self.faults.pop(0)
        return "started"


@pytest.fixture
def manager(tmp_path, monkeypatch):
    monkeypatch.setattr(startup, "_PAUSE", 0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as socket_:
        socket_.bind(str(tmp_path / "notify"))
        socket_.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield socket_


async def test_a_start_is_made_again_until_what_is_away_is_there_and_systemd_hears_of_it(manager):
    start = Start(RetryLater("MongoDB is away."), RetryLater("MongoDB is away."))
    assert await startup.start_when_available(start, Notifier()) == "started"
    for _ in range(2):
        assert manager.recv(1000).decode() == "STATUS=MongoDB is away.\nEXTEND_TIMEOUT_USEC=90000000"


async def test_a_start_that_is_refused_ends_at_once(manager):
    with pytest.raises(Refused):
        await startup.start_when_available(Start(Refused("The login is wrong.")), Notifier())
    with pytest.raises(BlockingIOError):
        manager.recv(1000)
