"""Takes in what events and lists bring: what is whole arrives, what is not waits, what is none is put aside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import structlog

from vidd.errors import Refused
from vidd.integrations.graphql_cms.notes import Notes
from vidd.integrations.graphql_cms.records import Fields, Improper, Upload, read_upload, written
from vidd.model.job import Arrival

if TYPE_CHECKING:
    from vidd.ports import SourceContext

_log = structlog.get_logger(__name__)
_BATCH = 250
_REMEMBERED = 200_000
_FIRST = datetime.min.replace(tzinfo=UTC)


class Reception:
    """One source's. `arrival` makes the arrival of a whole upload, or refuses; what is before `begin` is left alone."""

    def __init__(
        self,
        context: SourceContext,
        notes: Notes,
        fields: Fields,
        arrival: Callable[[Upload], Arrival],
        begin: datetime | None,
    ) -> None:
        self.context, self.notes = context, notes
        self._fields, self._arrival, self._begin = fields, arrival, begin
        self._known: dict[str, None] = {}
        self._trouble: dict[str, str] = {}

    async def take(self, values: Iterable[Any]) -> list[Upload]:
        """Take these in, the first uploaded first; returns, once they are durable, those that are objects."""
        uploads: list[Upload] = []
        for value in values:
            try:
                uploads.append(read_upload(value, self._fields))
            except Improper as reason:
                await self.put_aside(value, f"The CMS brought something that is no upload: {reason}.")
        work = [upload for upload in uploads if self._begin is None or upload.at is None or upload.at >= self._begin]
        whole = sorted(
            (upload for upload in work if not upload.lacks), key=lambda upload: (upload.at or _FIRST, upload.id)
        )
        for start in range(0, len(whole), _BATCH):
            await self._admit(whole[start : start + _BATCH])
            # Jobs and requests go on between the batches of a long list.
            await asyncio.sleep(0)
        for upload in work:
            if upload.lacks:
                await self._wait_for(upload)
        await self._over([upload.id for upload in whole], "it is whole")
        self.show()
        return uploads

    async def put_aside(self, value: Any, reason: str) -> None:
        """Put among the dead letters, once."""
        if self.notes.is_news(value, reason):
            await self.context.dead_letter(written(value), reason)
            await self.notes.put_aside(value, reason)

    async def _admit(self, whole: Sequence[Upload]) -> None:
        new: dict[str, Arrival] = {}
        for upload in whole:
            if upload.identity not in self._known and upload.identity not in new:
                try:
                    new[upload.identity] = self._arrival(upload)
                except Refused as refusal:
                    reason = f"The upload {upload.id} cannot become work: {refusal.sentence}"
                    await self.put_aside(dict(upload.fields), reason)
        if new:
            await self.context.admit(list(new.values()))
            self._known |= dict.fromkeys(new)
        for identity in list(islice(self._known, max(0, len(self._known) - _REMEMBERED))):
            del self._known[identity]

    async def _wait_for(self, upload: Upload) -> None:
        if await self.notes.waits(upload, self.context.tools.clock.now()):
            _log.warning("upload waits", source=self.context.name, id=upload.id, lacks=upload.lacks)

    async def gone(self, identities: Iterable[str]) -> None:
        """These are not at the CMS any more."""
        await self._over(identities, "the CMS has it no longer")

    async def _over(self, identities: Iterable[str], why: str) -> None:
        waited = {
            identity: self.notes.waiting[identity].since for identity in identities if identity in self.notes.waiting
        }
        await self.notes.settled(waited)
        now = self.context.tools.clock.now()
        for identity, since in waited.items():
            _log.info(
                "upload waits no longer",
                source=self.context.name,
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
            self.context.down(" ".join(dict.fromkeys(self._trouble.values())))
        else:
            self.context.up()
        self.context.note(self._waiting_in_words())

    def _waiting_in_words(self) -> str | None:
        waiting = sorted(self.notes.waiting.items(), key=lambda item: item[1].since)
        if not waiting:
            return None
        identity, first = waiting[0]
        since = f"{first.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        if len(waiting) == 1:
            return f"The upload {identity} waits for its {first.lacks}, since {since}."
        return f"{len(waiting)} uploads wait for what they lack; the longest, {identity}, for its {first.lacks}, since {since}."
