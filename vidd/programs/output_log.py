"""What a program says: kept whole but bounded in a log, its beginning and end in memory, secrets in neither.

A log is two files, `NAME.log` and, once that is full, the one before as `NAME.log.1`; the older half is given up first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vidd.display_text import printable
from vidd.log import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_LONGEST = 16384
_ENDS = re.compile(rb"[\r\n]+")
# The colours and movements of a terminal (ECMA-48, 5.4), and the titles of its window.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class Log:
    """One program's log. What the disk does not take is left out: the program must not fall over its own log."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self._half = limit // 2
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()

    def write(self, line: bytes) -> None:
        """Add a line, its end included."""
        try:
            if self._size + len(line) > self._half:
                self._turn()
            self._size += self._file.write(line)
        except OSError:
            # A full disk is found out by whoever looks after the room; the rest of a line is no great loss.
            return

    def _turn(self) -> None:
        self._file.close()
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self._file = self.path.open("ab", buffering=0)
        self._size = 0

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


class Spoken:
    """The lines of one run, of both its streams, in the order they came. `hear` is told of each that is complete.

    Only the first `head` and the last `tail` lines stay in memory. `secrets` are put out of sight wherever they are said.
    """

    def __init__(
        self, log: Log, secrets: Sequence[str], hear: Callable[[str], None], *, head: int = 20, tail: int = 40
    ) -> None:
        self.log, self._hear = log, hear
        # The longest first: one may be the beginning of another.
        words = sorted((re.escape(secret.encode()) for secret in secrets if secret), key=len, reverse=True)
        self._secrets = re.compile(b"|".join(words)) if words else None
        self._most_head, self._most_tail = head, tail
        self._head: list[str] = []
        self._tail: list[str] = []
        self.lines = 0
        self.out, self.err = _Stream(self._line, self._hidden), _Stream(self._line, self._hidden)

    def _hidden(self, raw: bytes) -> bytes:
        return self._secrets.sub(HIDDEN.encode(), raw) if self._secrets else raw

    def _line(self, raw: bytes) -> None:
        shown = self._hidden(raw)
        self.log.write(shown + b"\n")
        line = _TERMINAL.sub("", shown.decode("utf-8", "replace")).rstrip()
        if not line:
            return
        self.lines += 1
        if len(self._head) < self._most_head:
            self._head.append(printable(line, 500))
        self._tail = [*self._tail[-self._most_tail + 1 :], printable(line, 500)]
        self._hear(line[:_LONGEST])

    @property
    def heard(self) -> int:
        """How many bytes were said so far."""
        return self.out.received + self.err.received

    def end(self) -> None:
        """What was begun and has no end is a line too."""
        self.out.end()
        self.err.end()

    @property
    def head(self) -> list[str]:
        """The first lines."""
        return list(self._head)

    @property
    def tail(self) -> list[str]:
        """The last lines."""
        return list(self._tail)


class _Stream:
    """Bytes cut into lines, at line feeds and at the returns that draw a bar anew; one of 16 KiB comes in pieces."""

    def __init__(self, on_line: Callable[[bytes], None], hidden: Callable[[bytes], bytes]) -> None:
        self._on_line, self._hidden = on_line, hidden
        self._rest = b""
        self.received = 0

    def feed(self, chunk: bytes) -> None:
        self.received += len(chunk)
        *lines, self._rest = _ENDS.split(self._rest + chunk)
        for line in lines:
            self._on_line(line)
        while len(self._rest) > 2 * _LONGEST:
            # Hidden before it is cut, so that no secret is cut in two.
            self._rest = self._hidden(self._rest)
            self._on_line(self._rest[:_LONGEST])
            self._rest = self._rest[_LONGEST:]

    def end(self) -> None:
        if self._rest:
            self._on_line(self._rest)
            self._rest = b""
