"""sd_notify(3): one datagram of KEY=VALUE lines to the socket that systemd names in the environment."""

from __future__ import annotations

import os
import socket

import structlog

_log = structlog.get_logger()


class Notifier:
    """Says nothing where no service manager listens."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the NUL of an abstract socket address.
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def say(self, **lines: str) -> None:
        """Send these, such as `READY="1", STATUS="…"`."""
        if not self._address:
            return
        text = "\n".join(f"{key}={value}" for key, value in lines.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
            try:
                speaker.sendto(text.encode(), self._address)
            except OSError as error:
                # A manager that is gone must not take the daemon with it.
                _log.warning("systemd not told", error=str(error))

    @staticmethod
    def watchdog_seconds() -> float | None:
        """How often the watchdog wants to hear from this process: half of WatchdogSec; None without one."""
        microseconds, pid = os.environ.get("WATCHDOG_USEC"), os.environ.get("WATCHDOG_PID")
        if not microseconds or (pid and int(pid) != os.getpid()):
            return None
        return int(microseconds) / 1_000_000 / 2
