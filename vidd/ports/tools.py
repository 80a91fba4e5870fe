"""What every kind may use: the time, the accounts, ffmpeg, a memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from vidd.errors import Refused
from vidd.model.event import Event
from vidd.ports.shared import Shared

A = TypeVar("A")


class Clock(Protocol):
    """The time, so that tests can hold it."""

    def now(self) -> datetime:
        """The time now, with its zone (UTC)."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


class Memory(Protocol):
    """Words that kinds keep across restarts, parted into spaces such as `quota:channel:2026-05-01`."""

    async def recall(self, space: str) -> dict[str, str]:
        """All the words of a space, by name."""

    async def remember(self, space: str, words: Mapping[str, str | None]) -> None:
        """Keep these words, all or none, durable when it returns; None forgets one."""

    async def count(self, space: str, name: str, by: int) -> int:
        """Add to a number, which begins at 0; returns the new one."""


class ShortMemory:
    """A `Memory` that lasts as long as its object, for trials."""

    def __init__(self) -> None:
        self._spaces: dict[str, dict[str, str]] = {}

    async def recall(self, space: str) -> dict[str, str]:
        return dict(self._spaces.get(space, {}))

    async def remember(self, space: str, words: Mapping[str, str | None]) -> None:
        known = self._spaces.setdefault(space, {})
        for name, value in words.items():
            known.pop(name, None)
            if value is not None:
                known[name] = value

    async def count(self, space: str, name: str, by: int) -> int:
        known = self._spaces.setdefault(space, {})
        known[name] = str(int(known.get(name, "0")) + by)
        return int(known[name])


class Observer(Protocol):
    """Somebody who watches. `note` must be quick and must not raise."""

    def note(self, event: Event) -> None:
        """Something happened."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """How ffmpeg is run. `stall` is seconds without progress, `memory` bytes of address space (None: no limit).

    `shared` holds the children that read media, among others.
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
    """What every kind may use. Relative paths in options are taken from `state`."""

    state: Path
    encoder: Encoder
    clock: Clock
    accounts: Mapping[str, Any] = field(default_factory=dict)
    observe: Callable[[Event], None] = lambda _event: None
    memory: Memory = field(default_factory=ShortMemory)

    @property
    def shared(self) -> Shared:
        """What the parts of this daemon share."""
        return self.encoder.shared

    def account(self, name: str, model: type[A]) -> A:
        """A named account; Refused where there is none of that name or it is of another kind."""
        account = self.accounts.get(name)
        if account is None:
            raise Refused(f"There is no account {name!r}: add [accounts.{name}] to the settings.")
        if not isinstance(account, model):
            raise Refused(f"The account {name!r} is not of the kind this needs: correct [accounts.{name}] kind.")
        return account

    def log(self, job_id: str) -> Path:
        """Where what a job's programs say is kept; what was said before that is beside it, its name ending in `.1`."""
        return self.state / "logs" / f"{job_id}.log"

    def path(self, path: str | Path) -> Path:
        """A path of the settings, taken from the state directory where it is relative."""
        return self.state / path
