"""What vidd remembers of a CMS across restarts: up to when its uploads are recorded, which wait, which are dead letters.

The time up to which uploads are recorded never lies beyond the present: a CMS whose clock is ahead must not hide what
it gets once the clock is right again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from vidd.integrations.graphql_cms.records import Upload, read_time, stable_json
from vidd.ports import Memory

_MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class WaitingUpload:
    """An upload that is not complete yet: first seen at `since`; `at` is its own time, if it has one."""

    since: datetime
    missing: str
    at: datetime | None


@dataclass
class CmsMemory:
    """The memory of one source; `recorded_to` is None until the CMS was listed once without a fault."""

    memory: Memory
    source: str
    recorded_to: datetime | None = None
    waiting: dict[str, WaitingUpload] = field(default_factory=dict)
    dead_letters: set[str] = field(default_factory=set)

    @property
    def _space(self) -> str:
        return f"cms:{self.source}"

    async def recall(self) -> None:
        """Read what an earlier daemon remembered."""
        self.recorded_to = read_time((await self.memory.recall(self._space)).get("known_to"))
        waiting = await self.memory.recall(f"{self._space}:waiting")
        self.waiting = {id_: _from_text(text) for id_, text in waiting.items()}
        self.dead_letters = set(await self.memory.recall(f"{self._space}:improper"))

    def since(self, overlap: float) -> datetime | None:
        """The time from which to list, `overlap` seconds before what is recorded or waits; None to list everything."""
        if self.recorded_to is None or any(upload.at is None for upload in self.waiting.values()):
            return None
        oldest = min([self.recorded_to, *(upload.at for upload in self.waiting.values() if upload.at)])
        return oldest - timedelta(seconds=overlap)

    async def record_up_to(self, to: datetime | None, now: datetime) -> None:
        """Remember that everything uploaded up to `to` is recorded."""
        if to is None:
            return
        to = min(to, now)
        if self.recorded_to is None or to > self.recorded_to:
            await self.memory.remember(self._space, {"known_to": to.isoformat()})
            self.recorded_to = to

    async def record_waiting(self, upload: Upload, now: datetime) -> bool:
        """Remember an upload that is not complete; returns whether it is new."""
        before = self.waiting.get(upload.id)
        waiting = WaitingUpload(before.since if before else now, upload.missing or "", upload.at)
        if waiting != before:
            await self.memory.remember(f"{self._space}:waiting", {upload.id: _to_text(waiting)})
            self.waiting[upload.id] = waiting
        return before is None

    async def forget_waiting(self, ids: Collection[str]) -> None:
        """Forget uploads that wait no longer: they are complete, or gone."""
        gone = [id_ for id_ in ids if id_ in self.waiting]
        if gone:
            await self.memory.remember(f"{self._space}:waiting", dict.fromkeys(gone))
            for id_ in gone:
                del self.waiting[id_]

    def is_new(self, value: Any, reason: str) -> bool:
        """Whether this is not a dead letter yet; the CMS lists the same value again and again."""
        return _digest(value, reason) not in self.dead_letters

    async def record_dead_letter(self, value: Any, reason: str) -> None:
        """Remember that this value is a dead letter."""
        drop = list(self.dead_letters)[: max(0, len(self.dead_letters) + 1 - _MAX_REMEMBERED)]
        digest = _digest(value, reason)
        await self.memory.remember(f"{self._space}:improper", {**dict.fromkeys(drop), digest: "1"})
        self.dead_letters = self.dead_letters.difference(drop) | {digest}


def _digest(value: Any, reason: str) -> str:
    # Digests are persisted: a reason with another wording makes a second dead letter of the same value.
    return hashlib.sha256(f"{reason}\n{stable_json(value)}".encode(errors="backslashreplace")).hexdigest()[:32]


def _to_text(upload: WaitingUpload) -> str:
    at = upload.at.isoformat() if upload.at else None
    return json.dumps({"since": upload.since.isoformat(), "lacks": upload.missing, "at": at})


def _from_text(text: str) -> WaitingUpload:
    row = json.loads(text)
    return WaitingUpload(
        since=datetime.fromisoformat(row["since"]),
        missing=row["lacks"],
        at=datetime.fromisoformat(row["at"]) if row["at"] else None,
    )
