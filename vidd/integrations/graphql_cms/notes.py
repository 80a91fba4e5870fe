"""What is remembered of a CMS across restarts: how far it is known, what waits, and what was no object.

The time up to which it is known moves only after everything up to it is recorded, and never beyond the present: a CMS
whose clock is ahead must not hide what it gets once the clock is right again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from vidd.integrations.graphql_cms.records import Upload, read_time, written
from vidd.ports import Memory

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """An object that is not whole yet: seen first at `since`, `at` its own time where it has one."""

    since: datetime
    lacks: str
    at: datetime | None


@dataclass
class Notes:
    """The notes of one source; `known_to` is None as long as nothing was listed whole."""

    memory: Memory
    source: str
    known_to: datetime | None = None
    waiting: dict[str, Waiting] = field(default_factory=dict)
    improper: set[str] = field(default_factory=set)

    @property
    def _space(self) -> str:
        return f"cms:{self.source}"

    async def recall(self) -> None:
        """Read what the last daemon left."""
        self.known_to = read_time((await self.memory.recall(self._space)).get("known_to"))
        waiting = await self.memory.recall(f"{self._space}:waiting")
        self.waiting = {identity: _waiting(json.loads(text)) for identity, text in waiting.items()}
        self.improper = set(await self.memory.recall(f"{self._space}:improper"))

    def since(self, overlap: float) -> datetime | None:
        """From when to list, `overlap` seconds before what is known or waits; None where all is to be listed."""
        if self.known_to is None or any(one.at is None for one in self.waiting.values()):
            return None
        oldest = min([self.known_to, *(one.at for one in self.waiting.values() if one.at)])
        return oldest - timedelta(seconds=overlap)

    async def known(self, to: datetime | None, now: datetime) -> None:
        """All that was uploaded up to `to` is recorded."""
        if to is None:
            return
        to = min(to, now)
        if self.known_to is None or to > self.known_to:
            await self.memory.remember(self._space, {"known_to": to.isoformat()})
            self.known_to = to

    async def waits(self, upload: Upload, now: datetime) -> bool:
        """Note an object that is not whole; whether it is new here."""
        before = self.waiting.get(upload.id)
        one = Waiting(before.since if before else now, upload.lacks or "", upload.at)
        if one != before:
            await self.memory.remember(f"{self._space}:waiting", {upload.id: _text(one)})
            self.waiting[upload.id] = one
        return before is None

    async def settled(self, identities: Collection[str]) -> None:
        """These wait no longer: they became whole, or are gone."""
        gone = [identity for identity in identities if identity in self.waiting]
        if gone:
            await self.memory.remember(f"{self._space}:waiting", dict.fromkeys(gone))
            for identity in gone:
                del self.waiting[identity]

    def is_news(self, value: Any, reason: str) -> bool:
        """Whether this was not put aside before; the same thing is listed again and again."""
        return _digest(value, reason) not in self.improper

    async def put_aside(self, value: Any, reason: str) -> None:
        """It is among the dead letters now."""
        drop = list(self.improper)[: max(0, len(self.improper) + 1 - _MOST)]
        digest = _digest(value, reason)
        await self.memory.remember(f"{self._space}:improper", {**dict.fromkeys(drop), digest: "1"})
        self.improper = self.improper.difference(drop) | {digest}


def _digest(value: Any, reason: str) -> str:
    return hashlib.sha256(f"{reason}\n{written(value)}".encode(errors="backslashreplace")).hexdigest()[:32]


def _text(one: Waiting) -> str:
    return json.dumps(
        {"since": one.since.isoformat(), "lacks": one.lacks, "at": one.at.isoformat() if one.at else None}
    )


def _waiting(kept: dict[str, Any]) -> Waiting:
    return Waiting(
        since=datetime.fromisoformat(kept["since"]),
        lacks=kept["lacks"],
        at=datetime.fromisoformat(kept["at"]) if kept["at"] else None,
    )
