"""What the service manager is told (sd_notify(3))."""

import signal
import socket
from contextlib import contextmanager

import pytest
from peers.daemon import until

pytestmark = pytest.mark.daemon


class Manager:
    """What arrives at the notification socket, as (key, value) in the order it came."""

    def __init__(self, ear):
        self._ear = ear
        self.told = []

    def listen(self):
        try:
            while True:
                self.told += [tuple(line.split("=", 1)) for line in self._ear.recv(65536).decode().splitlines()]
        except BlockingIOError:
            return self.told

    def until(self, *lines):
        until(lambda: set(lines) <= set(self.listen()), f"it is told {lines}")

    def words(self):
        return [key for key, _ in self.listen() if key != "STATUS"]


@contextmanager
def manager(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(address)
        ear.setblocking(False)
        yield Manager(ear)


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_of_start_life_reload_and_end(place, abstract):
    name = f"{place.root}/notify"
    with manager("\0" + name if abstract else name) as systemd:
        environment = {"NOTIFY_SOCKET": f"@{name}" if abstract else name, "WATCHDOG_USEC": "400000"}
        with place.daemon(**environment) as daemon:
            systemd.until(("READY", "1"), ("WATCHDOG", "1"), ("STATUS", "0 jobs run, 0 are queued."))
            assert daemon.said("ready")
            heard = systemd.words().count("WATCHDOG")
            until(lambda: systemd.words().count("WATCHDOG") >= heard + 3, "the watchdog is fed again and again")
            del systemd.told[:]
            daemon.signal(signal.SIGHUP)
            systemd.until(("RELOADING", "1"), ("READY", "1"))
            keys = [key for key in systemd.words() if key != "WATCHDOG"]
            assert keys == ["RELOADING", "MONOTONIC_USEC", "READY"]
            del systemd.told[:]
            daemon.stopped()
            assert [key for key in systemd.words() if key != "WATCHDOG"] == ["STOPPING"]


def test_a_bad_file_at_reload_leaves_the_service_ready(place):
    name = f"{place.root}/notify"
    with manager(name) as systemd, place.daemon(NOTIFY_SOCKET=name) as daemon:
        systemd.until(("READY", "1"))
        del systemd.told[:]
        place.config.write_text("[daemon\n")
        daemon.signal(signal.SIGHUP)
        systemd.until(("RELOADING", "1"), ("READY", "1"))
        assert daemon.said("settings refused")
        daemon.stopped()
