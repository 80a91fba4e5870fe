"""A directory of mails as .eml files, for settings without a mail server."""

from __future__ import annotations

import os
from pathlib import Path

from vidd.files.atomic import sync
from vidd.files.disk_space import disk_fault
from vidd.integrations.mail.mime_message import Message


def make_outbox(folder: Path) -> None:
    """Create the directory if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_fault(error, f"making the outbox {folder}") from error


def post(folder: Path, message: Message) -> None:
    """Write a mail into the directory, atomically and durably; a mail with the same Message-ID stays as it is."""
    make_outbox(folder)
    target = folder / message.file_name
    part = folder / f".{message.file_name}.part"
    if target.exists():
        return
    try:
        with part.open("wb") as handle:
            handle.write(message.content)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(target)
        sync(folder)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_fault(error, f"writing the mail {target}") from error
