"""When jobs will end, by a simulation of the slots that they share."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class PartWork:
    """What is left of a part: the pool of whose slots it holds one (None: none), and seconds (infinite: unknown)."""

    pool: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class JobWork:
    """What is left of a job, its parts one after the other.

    running: whether it holds a slot for jobs now. started: whether its first part holds its slot now.
    after: seconds until it may start.
    """

    id: str
    priority: int
    parts: Sequence[PartWork]
    running: bool = False
    started: bool = False
    after: float = 0.0

    @property
    def rank(self) -> tuple[int, str]:
        """The order in which jobs start: the highest priority first, then the order of arrival."""
        return -self.priority, self.id


def simulate(works: Sequence[JobWork], *, jobs: int, background: int, pools: Mapping[str, int]) -> dict[str, float]:
    """The seconds until each job ends, by id, without those whose end nobody knows.

    jobs: how many run at once. background: how many of these may have a priority below 0. pools: the slots by name.
    """
    return _Simulation(jobs, background, pools).run(works)


class _Simulation:
    def __init__(self, jobs: int, background: int, pools: Mapping[str, int]) -> None:
        self._free, self._background, self._pools = jobs, background, dict(pools)
        self._queue: list[tuple[tuple[int, str], JobWork]] = []
        self._waiters: dict[str, list[tuple[tuple[int, str], int, JobWork, int]]] = {name: [] for name in pools}
        self._events: list[tuple[float, int, JobWork, int]] = []
        self._number = count()
        self._ends: dict[str, float] = {}

    def run(self, works: Sequence[JobWork]) -> dict[str, float]:
        for work in sorted(works, key=lambda work: (not work.started, work.rank)):
            if work.running:
                self._occupy(work)
                self._enter(work, 0, 0.0)
            elif work.after > 0:
                self._at(work.after, work, -1)
            else:
                heapq.heappush(self._queue, (work.rank, work))
        self._start_queued(0.0)
        while self._events:
            now, _, work, index = heapq.heappop(self._events)
            if index < 0:
                heapq.heappush(self._queue, (work.rank, work))
            else:
                self._leave(work.parts[index].pool, now)
                self._enter(work, index + 1, now)
            self._start_queued(now)
        return self._ends

    def _at(self, time: float, work: JobWork, index: int) -> None:
        if not math.isinf(time):
            heapq.heappush(self._events, (time, next(self._number), work, index))

    def _occupy(self, work: JobWork) -> None:
        self._free -= 1
        self._background -= work.priority < 0

    def _start_queued(self, now: float) -> None:
        while self._queue and self._free > 0:
            work = self._queue[0][1]
            if work.priority < 0 and self._background <= 0:
                # Nobody behind it has a higher priority.
                return
            heapq.heappop(self._queue)
            self._occupy(work)
            self._enter(work, 0, now)

    def _enter(self, work: JobWork, index: int, now: float) -> None:
        if index == len(work.parts):
            self._ends[work.id] = now
            self._free += 1
            self._background += work.priority < 0
            return
        pool = work.parts[index].pool
        if pool not in self._pools:
            self._at(now + work.parts[index].seconds, work, index)
        elif self._pools[pool] > 0:
            self._pools[pool] -= 1
            self._at(now + work.parts[index].seconds, work, index)
        else:
            heapq.heappush(self._waiters[pool], (work.rank, next(self._number), work, index))

    def _leave(self, pool: str | None, now: float) -> None:
        if pool not in self._pools:
            return
        if not self._waiters[pool]:
            self._pools[pool] += 1
            return
        _, _, work, index = heapq.heappop(self._waiters[pool])
        self._at(now + work.parts[index].seconds, work, index)
