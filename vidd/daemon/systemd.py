"""Notifies systemd of the daemon's state (sd_notify(3)): datagrams of KEY=VALUE lines to its socket."""

from __future__ import annotations

import os
import socket

import structlog

_log = structlog.get_logger()


class Notifier:
    """Sends notifications to the service manager; does nothing if there is none."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the NUL of an abstract socket address.
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def send(self, **lines: str) -> None:
        """Send these lines, such as `READY="1", STATUS="…"`."""
        if not self._address:
            return
        text = "\n".join(f"{key}={value}" for key, value in lines.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                sender.sendto(text.encode(), self._address)
            except OSError as error:
                # The daemon must run on if the service manager is gone.
                _log.warning("systemd not notified", error=str(error))

    @staticmethod
    def watchdog_seconds() -> float | None:
        """The interval in seconds at which to notify the watchdog: half of WatchdogSec; None without a watchdog."""
        microseconds, pid = os.environ.get("WATCHDOG_USEC"), os.environ.get("WATCHDOG_PID")
        if not microseconds or (pid and int(pid) != os.getpid()):
            return None
        return int(microseconds) / 1_000_000 / 2
