"""The processors that this process may use: of the machine, of its affinity, and of its control group."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def usable_cpus(root: Path = _ROOT) -> int:
    """The number of processors that this process may use, at least 1.

    `taskset` and `AllowedCPUs=` limit the affinity, `docker --cpus` and `CPUQuota=` the quota of a control group; of a
    quota of 2.5 processors two count. `root` is where `proc` and `sys` are.
    """
    quotas = [int(quota) for quota in _quotas(root)]
    return max(1, min([len(os.sched_getaffinity(0)), *quotas]))


def _quotas(root: Path) -> Iterator[float]:
    """The quotas, in processors, of the control groups that this process is in, up to the topmost it can see."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        # In a container the path may be the host's, of which only the top is mounted.
        inside = top / group.lstrip("/")
        for folder in (inside, *inside.parents):
            yield from _quota_of(folder)
            if folder == top:
                break


def _quota_of(folder: Path) -> Iterator[float]:
    """The quota of one control group, by version 2 or 1; nothing where it has none."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((folder / name).read_text() for name in names).split()
            if quota != "max" and int(quota) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue
