"""Processes as the system sees them (proc(5))."""

from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs still; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        # Gone before its file was opened, or before it was read.
        return False
