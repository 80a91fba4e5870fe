"""Takes in what events and lists bring: what is whole arrives, what is not waits, what is none is put aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import structlog

from vidd.clients.cms_notes import Notes
from vidd.clients.cms_objects import Fields, Improper, Upload, read_upload, written
from vidd.errors import Refused
from vidd.model.job import Arrival

if TYPE_CHECKING:
    from vidd.ports import Inlet

_log = structlog.get_logger(__name__)
_BATCH = 500
_REMEMBERED = 200_000
_FIRST = datetime.min.replace(tzinfo=UTC)


class Reception:
    """One source's. `arrival` makes the arrival of a whole upload, or refuses; what is before `begin` is left alone."""

    def __init__(
        self,
        inlet: Inlet,
        notes: Notes,
        fields: Fields,
        arrival: Callable[[Upload], Arrival],
        begin: datetime | None,
    ) -> None:
        self.inlet, self.notes = inlet, notes
        self._fields, self._arrival, self._begin = fields, arrival, begin
        self._known: dict[str, None] = {}
        self._trouble: dict[str, str] = {}

    async def take(self, values: Iterable[Any]) -> list[Upload]:
        """Take these in, the first uploaded first; returns, once they are durable, those that are objects."""
        uploads: list[Upload] = []
        whole: list[tuple[Upload, Arrival]] = []
        for value in values:
            try:
                upload = read_upload(value, self._fields)
            except Improper as reason:
                await self.put_aside(value, f"The CMS brought something that is no upload: {reason}.")
                continue
            uploads.append(upload)
            if self._begin is not None and upload.at is not None and upload.at < self._begin:
                continue
            if upload.lacks:
                await self._wait_for(upload)
                continue
            try:
                whole.append((upload, self._arrival(upload)))
            except Refused as refusal:
                await self.put_aside(value, f"The upload {upload.id} cannot become work: {refusal.sentence}")
        await self._admit(sorted(whole, key=lambda one: (one[0].at or _FIRST, one[0].id)))
        return uploads

    async def put_aside(self, value: Any, reason: str) -> None:
        """Put among the dead letters, once."""
        if self.notes.is_news(value, reason):
            await self.inlet.dead_letter(written(value), reason)
            await self.notes.put_aside(value, reason)

    async def _admit(self, whole: Sequence[tuple[Upload, Arrival]]) -> None:
        new = list({arrival.key: arrival for _, arrival in whole if arrival.key not in self._known}.values())
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            await self.inlet.admit(batch)
            self._known |= {arrival.key: None for arrival in batch}
        for key in list(islice(self._known, max(0, len(self._known) - _REMEMBERED))):
            del self._known[key]
        await self._over([upload.id for upload, _ in whole], "it is whole")
        self.show()

    async def _wait_for(self, upload: Upload) -> None:
        if await self.notes.waits(upload, self.inlet.tools.clock.now()):
            _log.warning("upload waits", source=self.inlet.name, id=upload.id, lacks=upload.lacks)

    async def gone(self, identities: Iterable[str]) -> None:
        """These are not at the CMS any more."""
        await self._over(identities, "the CMS has it no longer")

    async def _over(self, identities: Iterable[str], why: str) -> None:
        waited = {one: self.notes.waiting[one].since for one in identities if one in self.notes.waiting}
        await self.notes.settled(waited)
        now = self.inlet.tools.clock.now()
        for identity, since in waited.items():
            _log.info(
                "upload waits no longer",
                source=self.inlet.name,
                id=identity,
                why=why,
                waited=round((now - since).total_seconds()),
            )

    def trouble(self, about: str, sentence: str | None) -> None:
        """What keeps the subscription, or the questions, from working; None: it works."""
        if sentence is None:
            self._trouble.pop(about, None)
        else:
            self._trouble[about] = sentence
        self.show()

    def show(self) -> None:
        """Say how it is."""
        if self._trouble:
            self.inlet.down(" ".join(dict.fromkeys(self._trouble.values())))
        else:
            self.inlet.up()
        self.inlet.note(self._waiting_in_words())

    def _waiting_in_words(self) -> str | None:
        waiting = sorted(self.notes.waiting.items(), key=lambda one: one[1].since)
        if not waiting:
            return None
        identity, first = waiting[0]
        since = f"{first.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        if len(waiting) == 1:
            return f"The upload {identity} waits for its {first.lacks}, since {since}."
        return f"{len(waiting)} uploads wait for what they lack; the longest, {identity}, for its {first.lacks}, since {since}."
