"""A program's output: all of it in a log of bounded size, its first and last lines in memory, secrets in neither.

A log is two files: `NAME.log`, and the one before as `NAME.log.1` once that is full. The older half is lost first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vidd.display_text import printable
from vidd.log import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_MAX_LINE = 16384
_LINE_ENDS = re.compile(rb"[\r\n]+")
# The colours and movements of a terminal (ECMA-48, 5.4), and the titles of its window.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class LogFile:
    """The log of one program. A line that the disk does not take is lost: the program must not fail because of its log."""

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
                self._rotate()
            self._size += self._file.write(line)
        except OSError:
            # The step checks the free space itself; losing the rest of a line does no harm.
            return

    def _rotate(self) -> None:
        self._file.close()
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self._file = self.path.open("ab", buffering=0)
        self._size = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class OutputLog:
    """The lines of one run, of both its streams, in the order they came. `on_line` gets each complete line.

    Only the first `head` and the last `tail` lines stay in memory. `secrets` are replaced wherever they occur.
    """

    def __init__(
        self, log: LogFile, secrets: Sequence[str], on_line: Callable[[str], None], *, head: int = 20, tail: int = 40
    ) -> None:
        self.log, self._on_line = log, on_line
        # The longest first: a secret may be the beginning of another.
        patterns = sorted((re.escape(secret.encode()) for secret in secrets if secret), key=len, reverse=True)
        self._secrets = re.compile(b"|".join(patterns)) if patterns else None
        self._most_head, self._most_tail = head, tail
        self._head: list[str] = []
        self._tail: list[str] = []
        self.lines = 0
        self.out, self.err = _Stream(self._line, self._hide_secrets), _Stream(self._line, self._hide_secrets)

    def _hide_secrets(self, raw: bytes) -> bytes:
        return self._secrets.sub(HIDDEN.encode(), raw) if self._secrets else raw

    def _line(self, raw: bytes) -> None:
        shown = self._hide_secrets(raw)
        self.log.write(shown + b"\n")
        line = _TERMINAL.sub("", shown.decode("utf-8", "replace")).rstrip()
        if not line:
            return
        self.lines += 1
        if len(self._head) < self._most_head:
            self._head.append(printable(line, 500))
        self._tail = [*self._tail[-self._most_tail + 1 :], printable(line, 500)]
        self._on_line(line[:_MAX_LINE])

    @property
    def bytes_received(self) -> int:
        """The bytes received so far."""
        return self.out.received + self.err.received

    def end(self) -> None:
        """Take what was received after the last line end as a line."""
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
    """Splits bytes into lines, at line feeds and at the carriage returns of progress bars; long lines into 16 KiB."""

    def __init__(self, on_line: Callable[[bytes], None], hide_secrets: Callable[[bytes], bytes]) -> None:
        self._on_line, self._hide_secrets = on_line, hide_secrets
        self._rest = b""
        self.received = 0

    def feed(self, chunk: bytes) -> None:
        self.received += len(chunk)
        *lines, self._rest = _LINE_ENDS.split(self._rest + chunk)
        for line in lines:
            self._on_line(line)
        while len(self._rest) > 2 * _MAX_LINE:
            # Secrets are replaced before the line is cut, so that none is cut in two.
            self._rest = self._hide_secrets(self._rest)
            self._on_line(self._rest[:_MAX_LINE])
            self._rest = self._rest[_MAX_LINE:]

    def end(self) -> None:
        if self._rest:
            self._on_line(self._rest)
            self._rest = b""
