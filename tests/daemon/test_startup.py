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
def told(tmp_path, monkeypatch):
    monkeypatch.setattr(startup, "_PAUSE", 0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield manager


async def test_a_start_is_made_again_until_what_is_away_is_there_and_systemd_hears_of_it(told):
    start = Start(RetryLater("MongoDB is away."), RetryLater("MongoDB is away."))
    assert await startup.start_when_available(start, Notifier()) == "started"
    for _ in range(2):
        assert told.recv(1000).decode() == "STATUS=MongoDB is away.\nEXTEND_TIMEOUT_USEC=90000000"


async def test_a_start_that_is_refused_ends_at_once(told):
    with pytest.raises(Refused):
        await startup.start_when_available(Start(Refused("The login is wrong.")), Notifier())
    with pytest.raises(BlockingIOError):
        told.recv(1000)
