"""A MongoDB server on a free loopback port, which can be killed, started again on the same data, and told to fail.

It is `mongod` where there is one, else SecantusDB: an outside program that speaks MongoDB's protocol over WiredTiger.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peers.servers import free_port, program
from pymongo import MongoClient
from pymongo.errors import PyMongoError

GIVEN = os.environ.get("VIDD_TEST_MONGODB")
"""A server to test against, by its connection string; a test that kills one still starts its own."""


class MongoServer:
    """Ended by its pid. What it was told to fail at ends with it."""

    def __init__(self, data: Path, *more: str, replica_set: bool = True) -> None:
        self.port = free_port()
        self._data = data
        self._more = more
        self._replica_set = replica_set
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    def start(self, *, wait: bool = True) -> None:
        self._data.mkdir(exist_ok=True)
        with (self._data.with_suffix(".log")).open("ab") as lines:
            self._process = subprocess.Popen(
                [*self._argv(), *self._more],
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                start_new_session=True,
            )
        if wait:
            self.wait()

    def _argv(self) -> list[str]:
        mongod = shutil.which("mongod")
        port = str(self.port)
        if mongod:
            return [
                mongod, "--port", port, "--dbpath", str(self._data), "--bind_ip", "127.0.0.1",
                "--setParameter", "enableTestCommands=1", "--nounixsocket",
                *(["--replSet", "rs"] if self._replica_set else []),
            ]  # fmt: skip
        # What a write has been told of must be on the disk: its server forgets without that, MongoDB does not.
        return [
            program("secantusd-py"), "--port", port, "--storage-path", str(self._data), "--enable-test-commands",
            "--sync-on-commit", *([] if self._replica_set else ["--standalone"]),
        ]  # fmt: skip

    def wait(self) -> None:
        """Until it takes writes."""
        end = time.monotonic() + 60
        with self.client(directConnection=True, serverSelectionTimeoutMS=500) as client:
            while time.monotonic() < end:
                assert self._process is not None
                if self._process.poll() is not None:
                    raise RuntimeError(self._data.with_suffix(".log").read_text()[-2000:])
                try:
                    if client.admin.command("hello").get("isWritablePrimary"):
                        return
                    if shutil.which("mongod") and self._replica_set:
                        members = [{"_id": 0, "host": f"127.0.0.1:{self.port}"}]
                        client.admin.command("replSetInitiate", {"_id": "rs", "members": members})
                except PyMongoError:
                    pass
                time.sleep(0.05)
        raise TimeoutError(self.uri)

    @contextmanager
    def client(self, **options: Any):
        """A client of the test's own, which raises as pymongo does."""
        client: MongoClient[dict[str, Any]] = MongoClient(self.uri, **options)
        try:
            yield client
        finally:
            client.close()

    def fail(self, commands: list[str], mode: Mapping[str, int] | str, **how: Any) -> None:
        """Have the next of these commands fail: `errorCode`, `closeConnection`, `blockConnection` with `blockTimeMS`."""
        with self.client(directConnection=True) as client:
            client.admin.command("configureFailPoint", "failCommand", mode=mode, data={"failCommands": commands, **how})

    def behave(self) -> None:
        """Fail at nothing any more."""
        with self.client(directConnection=True) as client:
            client.admin.command("configureFailPoint", "failCommand", mode="off")

    def kill(self) -> None:
        """As a power cut does."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Answer nothing any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
