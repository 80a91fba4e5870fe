"""A MongoDB that is no replica set: it has no transactions, and says so with the code of a real one.

It stands before a `MongoServer`, reads the commands that go by, and can cut the line after a number of writes: to a client that is
as if it had been killed between two of them.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import bson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

from peers.mongo import MongoServer

_HEADER = struct.Struct("<iiii")
_MESSAGE = 2013
_WRITES = {"insert", "update", "delete", "findAndModify"}
_NO_TRANSACTIONS = {
    "ok": 0.0, "code": 20, "codeName": "IllegalOperation",
    "errmsg": "Transaction numbers are only allowed on a replica set member or mongos",
}  # fmt: skip


class SingleMongo:
    """`commands` are the names and collections of those that came, such as "insert jobs". `server` is behind it."""

    def __init__(self, data: Path, server: MongoServer | None = None) -> None:
        self.server = server or MongoServer(data, replica_set=False)
        self.commands: list[str] = []
        self._writes_left: int | None = None
        self._hooks: list[tuple[str, int, Callable[[], None]]] = []
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._listen, daemon=True)

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self._listener.getsockname()[1]}/"

    def start(self) -> None:
        self.server.start()
        self._thread.start()

    def stop(self) -> None:
        self._listener.close()
        self._cut()
        self.server.kill()

    @contextmanager
    def cut_after(self, writes: int) -> Iterator[None]:
        """Inside, the line is cut once this many writes went by."""
        with self._lock:
            self._writes_left = writes
        try:
            yield
        finally:
            with self._lock:
                self._writes_left = None

    def before(self, command: str, number: int, act: Callable[[], None]) -> None:
        """Act before the command of this name and number, from 1 on, goes by."""
        with self._lock:
            self._hooks.append((command, self.commands.count(command) + number, act))

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self.server.port)) as behind:
            self._sockets |= {client, behind}
            answers = threading.Thread(target=_pump, args=(behind, client), daemon=True)
            answers.start()
            while (message := _read(client)) is not None:
                command = _command(message)
                if "autocommit" in command or "txnNumber" in command:
                    client.sendall(_answer(message))
                elif self._lets_by(*next(iter(command.items()), ("", ""))):
                    behind.sendall(message)
                else:
                    self._cut()
            self._cut({client, behind})

    def _lets_by(self, name: str, collection: object) -> bool:
        command = f"{name} {collection}"
        with self._lock:
            self.commands.append(command)
            for hook in [hook for hook in self._hooks if hook[:2] == (command, self.commands.count(command))]:
                self._hooks.remove(hook)
                hook[2]()
            if self._writes_left is None:
                return True
            if name in _WRITES:
                self._writes_left -= 1
            return self._writes_left >= 0

    def _cut(self, sockets: set[socket.socket] | None = None) -> None:
        for line in list(self._sockets if sockets is None else sockets):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            self._sockets.discard(line)


def _read(line: socket.socket) -> bytes | None:
    head = _receive(line, _HEADER.size)
    if head is None:
        return None
    body = _receive(line, _HEADER.unpack(head)[0] - _HEADER.size)
    return None if body is None else head + body


def _receive(line: socket.socket, size: int) -> bytes | None:
    found = b""
    while len(found) < size:
        piece = line.recv(size - len(found))
        if not piece:
            return None
        found += piece
    return found


def _command(message: bytes) -> dict[str, Any]:
    """The document of a message of the kind that all commands have today; {} for others."""
    if _HEADER.unpack_from(message)[3] != _MESSAGE or message[20] != 0:
        return {}
    size = int.from_bytes(message[21:25], "little")
    return bson.decode(message[21 : 21 + size])


def _answer(message: bytes) -> bytes:
    body = struct.pack("<IB", 0, 0) + bson.encode(_NO_TRANSACTIONS)
    return _HEADER.pack(_HEADER.size + len(body), 0, _HEADER.unpack_from(message)[1], _MESSAGE) + body


def _pump(behind: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while piece := behind.recv(1 << 16):
            client.sendall(piece)
