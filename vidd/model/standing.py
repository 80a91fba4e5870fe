"""Where a job stands in the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class SlotWait(NamedTuple):
    """A wait for a slot: the name of the limit, how many slots it has, and how many waiters get one before."""

    limit: str
    size: int
    before: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the engine has a job now.

    parts: the steps or publications that run now.
    slot: the slot that it waits for.
    ahead: how many queued jobs start before it; None if it is not queued.
    running, most: how many jobs run, and how many may.
    put_aside: how many jobs with a priority below 0 may run, if it waits until fewer of them do.
    stopping: whether the daemon stops, so that nothing starts.
    """

    parts: tuple[str, ...] = ()
    slot: SlotWait | None = None
    ahead: int | None = None
    running: int = 0
    most: int = 0
    put_aside: int | None = None
    stopping: bool = False
