"""`vidd run --until-idle` with a stopwatch on its parts; prints JSON, of which clips.py makes a table.

python bench/timed.py CONFIG BEGUN       BEGUN is the time.time() at which whoever asks started this
"""

from __future__ import annotations

import asyncio
import functools
import json
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from vidd import log
from vidd.daemon.app import Daemon
from vidd.integrations.local_folder import publisher as local_folder_publisher
from vidd.media.encode import full_cut
from vidd.media.probe.client import Prober
from vidd.media.smartcut import smart_cut
from vidd.settings.schema import read_settings
from vidd.steps import fetch, trim
from vidd.stores.sqlite.database import Database

PARTS = (
    (fetch, "run", "fetch"),
    (Prober, "probe", "probe"),
    (smart_cut, "encode", "encode"),
    (full_cut, "encode", "encode"),
    (trim, "verify", "verify"),
    (trim, "commit", "rename"),
    (local_folder_publisher, "publish", "publish"),
    (Database, "write", "commit"),
    (Database, "read", "query"),
)


class Stopwatch:
    """Seconds of every call by part; at marks the time, and the CPU of this process and of its ended children."""

    def __init__(self, begun: float) -> None:
        self._begun = begun
        self.parts: dict[str, list[float]] = defaultdict(list)
        self.marks: dict[str, dict[str, float]] = {}
        self.ffmpeg = 0.0

    def mark(self, name: str) -> None:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        self.marks[name] = {
            "at": time.time() - self._begun,
            "own": own.ru_utime + own.ru_stime,
            "children": children.ru_utime + children.ru_stime,
        }

    def on(self, owner: Any, name: str, part: str) -> None:
        """Time every call of a coroutine function from now on."""
        plain: Callable[..., Awaitable[Any]] = getattr(owner, name)

        @functools.wraps(plain)
        async def timed(*args: Any, **named: Any) -> Any:
            if part == "encode" and "first encode" not in self.marks:
                self.mark("first encode")
            begun = time.monotonic()
            try:
                answer = await plain(*args, **named)
            finally:
                self.parts[part].append(time.monotonic() - begun)
            if part == "encode":
                self.ffmpeg += answer.cpu_seconds
                self.mark("last encode")
            return answer

        setattr(owner, name, timed)


async def run(config: Path, watch: Stopwatch) -> None:
    def read() -> Any:
        return read_settings(config)

    async def ready(_daemon: Daemon) -> None:
        watch.mark("ready")

    await Daemon(read(), read).run(until_idle=True, on_ready=ready)


def main() -> None:
    watch = Stopwatch(float(sys.argv[2]))
    watch.mark("imported")
    for owner, name, part in PARTS:
        watch.on(owner, name, part)
    log.set_up("info")
    asyncio.run(run(Path(sys.argv[1]), watch))
    watch.mark("ended")
    print(json.dumps({"marks": watch.marks, "parts": watch.parts, "ffmpeg": watch.ffmpeg}))


if __name__ == "__main__":
    main()
