"""Sets up logging: lines of JSON for the journal, key=value for a terminal, secrets hidden.

`event` is a constant, and what differs is a field. Libraries that use `logging` go the same way.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

import structlog

from vidd.display_text import printable

LEVELS = ("debug", "info", "warning", "error")
HIDDEN = "[hidden]"

_SECRET = re.compile(
    r"passw|passphrase|secret|token|authori[sz]ation|credential|cookie|signature|private_?key|api_?key|access_?key",
    re.IGNORECASE,
)
_SECRETS_IN_TEXT = (
    (re.compile(r"(?<=://)[^/\s@]+@"), f"{HIDDEN}@"),
    (re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)([?&](?:[\w-]*(?:signature|token|credential|secret|password|key))=)[^&\s\"']+"), rf"\1{HIDDEN}"),
)
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_VERBOSE = (
    "aiobotocore",
    "asyncio",
    "boto3",
    "botocore",
    "gql",
    "matplotlib",
    "PIL",
    "urllib3",
    "watchfiles",
)

Line = MutableMapping[str, Any]


def hide(value: Any, key: str = "") -> Any:
    """The value without secrets: by the key's name, by the type, and in texts by patterns such as user:password@host."""
    if _SECRET.search(key) and value is not None and not isinstance(value, bool | int | float):
        return HIDDEN
    # By its method, not by its type: the log is below everything else and must not import pydantic.
    if hasattr(value, "get_secret_value"):
        return HIDDEN
    if isinstance(value, str):
        for pattern, replacement in _SECRETS_IN_TEXT:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, Mapping):
        return {str(name): hide(member, str(name)) for name, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [hide(item) for item in value]
    return value


def _hide_secrets(_logger: Any, _method: str, line: Line) -> Line:
    return {key: hide(value, key) for key, value in line.items()}


def _as_key_value(_logger: Any, _method: str, line: Line) -> str:
    return _key_value(str(line.pop("time", ""))[11:19], line)


def _as_key_value_with_date(_logger: Any, _method: str, line: Line) -> str:
    return _key_value(f"{str(line.pop('time', ''))[:19]}Z", line)


def _key_value(at: str, line: Line) -> str:
    level, event = line.pop("level", ""), line.pop("event", "")
    trace = line.pop("exception", None)
    fields = "".join(f" {key}={_word(value)}" for key, value in line.items())
    text = f"{at} {level:7} {_word(event, quote=False)}{fields}"
    return f"{text}\n{trace}" if trace else text


def _word(value: Any, *, quote: bool = True) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    # A file's name may hold control sequences of a terminal.
    text = printable(text)
    return (
        json.dumps(text, ensure_ascii=False)
        if quote and isinstance(value, str) and re.search(r'[\s"=]', text)
        else text
    )


class _Json:
    """Renders a line of JSON, for the journal with the priority in front as in sd-daemon(3)."""

    def __init__(self, *, journal: bool) -> None:
        self._journal = journal

    def __call__(self, _logger: Any, _method: str, line: Line) -> str:
        text = json.dumps(line, default=str)
        return f"<{_PRIORITY.get(line.get('level', 'info'), 6)}>{text}" if self._journal else text


def in_journal(stream: TextIO) -> bool:
    """Whether systemd's journal reads this stream (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


@dataclass(frozen=True)
class LogFile:
    """A file for the log. At `size` bytes vidd renames it to `<path>.1` and begins anew; at most `count` old files stay."""

    path: Path
    size: int
    count: int


class _LogFileHandler(RotatingFileHandler):
    """Writes to a file that may be away or full: it then loses lines, says so once on the other handlers, and tries again."""

    _PAUSE = 60.0

    def __init__(self, file: LogFile) -> None:
        # A count of 0 would never rename, and so never bound, the file.
        super().__init__(
            file.path,
            maxBytes=file.size,
            backupCount=max(1, file.count),
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )
        self._away_until: float | None = None
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; a file that could not be written is tried again after a minute."""
        if self._away_until is not None and time.monotonic() < self._away_until:
            self._lost += 1
            return
        was_away, self._away_until = self._away_until is not None, None
        super().emit(record)
        if was_away and self._away_until is None:
            lost, self._lost = self._lost, 0
            structlog.get_logger(__name__).warning("log file written again", path=self.baseFilename, lines_lost=lost)

    def _open(self) -> Any:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - logging's name
        """Close the file, and say once why it is not written."""
        error = sys.exc_info()[1]
        first, self._away_until = self._lost == 0, time.monotonic() + self._PAUSE
        self._lost += 1
        if self.stream is not None:
            with suppress(OSError):
                self.stream.close()
            # FileHandler opens it again.
            self.stream = None
        if first:
            reason = getattr(error, "strerror", None) or str(error)
            structlog.get_logger(__name__).warning("log file not written", path=self.baseFilename, reason=reason)


def set_up(
    level: str = "info",
    *,
    stream: TextIO | None = None,
    terminal: bool | None = None,
    file: LogFile | None = None,
) -> None:
    """Send all logs to `stream` (by default standard error), and to a file as well. ValueError if the level is not in LEVELS."""
    if level.lower() not in LEVELS:
        raise ValueError(f"{level!r} is not a log level: choose one of {', '.join(LEVELS)}")
    stream = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _hide_secrets,
    ]
    plain = stream.isatty() if terminal is None else terminal
    renderer = _as_key_value if plain else _Json(journal=in_journal(stream))
    handlers: list[tuple[logging.Handler, Any]] = [(logging.StreamHandler(stream), renderer)]
    if file is not None:
        handlers.append((_LogFileHandler(file), _as_key_value_with_date))
    for handler, render in handlers:
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
            )
        )
    root = logging.getLogger()
    for old in root.handlers:
        if isinstance(old, _LogFileHandler):
            old.close()
    root.handlers[:] = [handler for handler, _ in handlers]
    root.setLevel(level.upper())
    for name in _VERBOSE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
