"""What the demonstrations share: a directory, a daemon in it on a free port, and the mails that it wrote."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import policy
from email.parser import BytesParser
from pathlib import Path

from vidd.aio.shield import shield_to_end
from vidd.cli.api_client import DaemonClient
from vidd.cli.common import print_text
from vidd.daemon.app import SOCKET
from vidd.errors import Refused
from vidd.processes.child import setpriv

_START_TIMEOUT = 60.0
_MIN_FREE = 512 * 1024**2


def end_at_signals() -> None:
    """Cancel the running task at SIGINT and SIGTERM."""
    task = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell starts background commands with SIGINT ignored, so Python has installed no handler of its own.
        asyncio.get_running_loop().add_signal_handler(number, lambda: task.cancel() if task else None)


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])


def prepare_directory(directory: Path | None) -> Path:
    """The directory, made if it is not there; a new one without `directory`. Refused if something is in it, or little room."""
    if directory is None:
        root = Path(tempfile.mkdtemp(prefix="vidd-demo-"))
    else:
        root = directory.resolve()
        if root.exists() and any(root.iterdir()):
            raise Refused(f"{root} is not empty: name another directory, so that nothing of yours is touched.")
        root.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(root).free < _MIN_FREE:
        raise Refused(f"{root} has less than 512 MiB free: name a directory with more room by --dir.")
    return root


@asynccontextmanager
async def running_daemon(config: Path, root: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A daemon with these settings, whose state directory is `root`; it is stopped at the end."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("VIDD_")}
    with log_of(root).open("wb") as lines:
        child = await asyncio.create_subprocess_exec(
            *((tie, "--pdeathsig", "TERM", "--") if (tie := setpriv()) else ()),
            *(sys.executable, "-m", "vidd", "run", "--config", str(config)),
            stdout=lines,
            stderr=lines,
            env=own,
            start_new_session=True,
        )
        try:
            yield child
        finally:
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)
                await shield_to_end(child.wait())


def log_of(root: Path) -> Path:
    """The file with the daemon's log."""
    return root / "vidd.log"


@asynccontextmanager
async def client_of(root: Path, child: asyncio.subprocess.Process) -> AsyncIterator[DaemonClient]:
    """A client of the daemon, once it has started. Refused where it has not, or ends at once."""
    async with DaemonClient(socket=root / SOCKET) as daemon:
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                while not (root / SOCKET).exists():
                    if child.returncode is not None:
                        raise Refused(f"The daemon ended at once; {log_of(root)} says why.")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise Refused(f"The daemon did not start; {log_of(root)} says why.") from None
        yield daemon


async def stay_until_interrupted(child: asyncio.subprocess.Process, report: Callable[[str], None]) -> None:
    """Leave the daemon running until Ctrl-C."""
    report("The daemon goes on until you press Ctrl-C.")
    await child.wait()


def mails_in(root: Path) -> list[str]:
    """The paths of the mails in the outbox."""
    return sorted(str(path) for path in (root / "outbox").glob("*.eml"))


def print_mails(mails: list[str]) -> None:
    """A line for each mail, and one with its receiver and subject."""
    for path in mails:
        mail = BytesParser(policy=policy.default).parsebytes(Path(path).read_bytes())
        print_text(f"  mail   {path}\n         to {mail['To']}: {mail['Subject']}")
