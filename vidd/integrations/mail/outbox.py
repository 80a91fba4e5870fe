"""A directory of mails as .eml files: the transport that needs no server."""

from __future__ import annotations

import os
from pathlib import Path

from vidd.files.atomic import sync
from vidd.files.disk_space import disk_fault
from vidd.integrations.mail.message import Letter


def make_outbox(folder: Path) -> None:
    """See to it that the directory is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_fault(error, f"making the outbox {folder}") from error


def post(folder: Path, letter: Letter) -> None:
    """Put a mail there, whole and durable; one with the same Message-ID that is there already stays as it is."""
    make_outbox(folder)
    target = folder / letter.file_name
    part = folder / f".{letter.file_name}.part"
    if target.exists():
        return
    try:
        with part.open("wb") as handle:
            handle.write(letter.content)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(target)
        sync(folder)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_fault(error, f"writing the mail {target}") from error
