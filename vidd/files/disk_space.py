"""A full disk: whatever was being written, it is waited for."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vidd.errors import RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a system call says where there is no room left (errno)."""


@contextmanager
def disk() -> Iterator[None]:
    """Turn a full disk into a wait that is nobody's failure."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            sentence = "The disk is full: free some space, and it goes on by itself."
            raise RetryLater(sentence, after=60, counts=False) from None
        raise
