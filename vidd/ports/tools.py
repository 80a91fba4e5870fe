"""What every kind may use: the clock, the accounts, ffmpeg, a memory that survives restarts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from vidd.errors import FaultCode, Refused
from vidd.model.event import Event
from vidd.ports.shared import Shared

A = TypeVar("A")


class Clock(Protocol):
    """The time; tests replace it."""

    def now(self) -> datetime:
        """The time now, in UTC with its time zone."""

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds."""


class Memory(Protocol):
    """Texts by name that kinds keep across restarts, in spaces such as `quota:channel:2026-05-01`."""

    async def recall(self, space: str) -> dict[str, str]:
        """All texts of a space, by name."""

    async def remember(self, space: str, texts: Mapping[str, str | None]) -> None:
        """Keep these texts, all or none, durably; None removes one."""

    async def count(self, space: str, name: str, by: int) -> int:
        """Add `by` to a number that starts at 0; returns the sum."""


class ShortMemory:
    """A `Memory` in this process, for trials and tests."""

    def __init__(self) -> None:
        self._spaces: dict[str, dict[str, str]] = {}

    async def recall(self, space: str) -> dict[str, str]:
        return dict(self._spaces.get(space, {}))

    async def remember(self, space: str, texts: Mapping[str, str | None]) -> None:
        known = self._spaces.setdefault(space, {})
        for name, value in texts.items():
            known.pop(name, None)
            if value is not None:
                known[name] = value

    async def count(self, space: str, name: str, by: int) -> int:
        known = self._spaces.setdefault(space, {})
        known[name] = str(int(known.get(name, "0")) + by)
        return int(known[name])


class Observer(Protocol):
    """Observes the events of a daemon. `note` must be quick and must not raise."""

    def note(self, event: Event) -> None:
        """Take note of an event."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """How vidd runs ffmpeg.

    path: the program ffmpeg.
    nice, threads: its niceness, and its number of threads (0: ffmpeg decides).
    stall: seconds without progress after which vidd ends it.
    memory: bytes of address space; None is no limit.
    disk_reserve: bytes that must stay free on the disk.
    shared: the objects of this daemon's parts, such as the processes that read media.
    """

    path: Path
    nice: int = 10
    threads: int = 0
    stall: float = 120.0
    memory: int | None = None
    disk_reserve: int = 0
    shared: Shared = field(default_factory=Shared, compare=False)


@dataclass(frozen=True)
class Tools:
    """What every kind may use. Relative paths in options are relative to `state`, the state directory."""

    state: Path
    encoder: Encoder
    clock: Clock
    accounts: Mapping[str, Any] = field(default_factory=dict)
    observe: Callable[[Event], None] = lambda _event: None
    memory: Memory = field(default_factory=ShortMemory)

    @property
    def shared(self) -> Shared:
        """The objects that the parts of this daemon share."""
        return self.encoder.shared

    def account(self, name: str, model: type[A]) -> A:
        """The account of this name. Raises Refused if there is none, or if it is of another kind."""
        account = self.accounts.get(name)
        if account is None:
            raise Refused(
                f"There is no account {name!r}: add [accounts.{name}] to the settings.", code=FaultCode.BAD_SETTINGS
            )
        if not isinstance(account, model):
            raise Refused(
                f"The account {name!r} is not of the kind this needs: correct [accounts.{name}] kind.",
                code=FaultCode.BAD_SETTINGS,
            )
        return account

    def log(self, job_id: str) -> Path:
        """The log of what a job's programs print. An older part is beside it, with `.1` at the end of its name."""
        return self.state / "logs" / f"{job_id}.log"

    def path(self, path: str | Path) -> Path:
        """A path of the settings; a relative one is below the state directory."""
        return self.state / path
