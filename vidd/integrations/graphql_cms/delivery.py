"""Turns objects of events and lists into arrivals: complete uploads arrive, others wait or become dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import structlog

from vidd.errors import Refused
from vidd.integrations.graphql_cms.memory import CmsMemory
from vidd.integrations.graphql_cms.records import Fields, NotAnUpload, Upload, read_upload, stable_json
from vidd.model.job import Arrival

if TYPE_CHECKING:
    from vidd.ports import SourceContext

_log = structlog.get_logger(__name__)
_BATCH = 250
_MAX_KNOWN = 200_000
_NO_TIME = datetime.min.replace(tzinfo=UTC)


class Delivery:
    """The delivery of one source. `arrival` makes the arrival of a complete upload, or refuses.

    Uploads before `begin` are ignored.
    """

    def __init__(
        self,
        context: SourceContext,
        memory: CmsMemory,
        fields: Fields,
        arrival: Callable[[Upload], Arrival],
        begin: datetime | None,
    ) -> None:
        self.context, self.memory = context, memory
        self._fields, self._arrival, self._begin = fields, arrival, begin
        self._known: dict[str, None] = {}
        self._faults: dict[str, str] = {}

    async def deliver(self, values: Iterable[Any]) -> list[Upload]:
        """Deliver values of an event or a list, the oldest upload first; returns, once they are durable, those that are uploads."""
        uploads: list[Upload] = []
        for value in values:
            try:
                uploads.append(read_upload(value, self._fields))
            except NotAnUpload as reason:
                await self.dead_letter(value, f"The CMS brought something that is no upload: {reason}.")
        relevant = [
            upload for upload in uploads if self._begin is None or upload.at is None or upload.at >= self._begin
        ]
        complete = sorted(
            (upload for upload in relevant if not upload.missing), key=lambda upload: (upload.at or _NO_TIME, upload.id)
        )
        for start in range(0, len(complete), _BATCH):
            await self._admit(complete[start : start + _BATCH])
            # Between the batches of a long list, jobs and requests have their turn.
            await asyncio.sleep(0)
        for upload in relevant:
            if upload.missing:
                await self._record_waiting(upload)
        await self._end_waiting([upload.id for upload in complete], "it is complete")
        self.report_state()
        return uploads

    async def dead_letter(self, value: Any, reason: str) -> None:
        """Record a value as a dead letter, once."""
        if self.memory.is_new(value, reason):
            await self.context.dead_letter(stable_json(value), reason)
            await self.memory.record_dead_letter(value, reason)

    async def _admit(self, complete: Sequence[Upload]) -> None:
        new: dict[str, Arrival] = {}
        for upload in complete:
            if upload.identity not in self._known and upload.identity not in new:
                try:
                    new[upload.identity] = self._arrival(upload)
                except Refused as refusal:
                    reason = f"The upload {upload.id} cannot become work: {refusal.sentence}"
                    await self.dead_letter(dict(upload.fields), reason)
        if new:
            await self.context.admit(list(new.values()))
            self._known |= dict.fromkeys(new)
        for identity in list(islice(self._known, max(0, len(self._known) - _MAX_KNOWN))):
            del self._known[identity]

    async def _record_waiting(self, upload: Upload) -> None:
        if await self.memory.record_waiting(upload, self.context.tools.clock.now()):
            _log.warning("upload waits", source=self.context.name, id=upload.id, missing=upload.missing)

    async def forget_absent(self, ids: Iterable[str]) -> None:
        """Stop waiting for uploads that the CMS no longer has."""
        await self._end_waiting(ids, "the CMS has it no longer")

    async def _end_waiting(self, ids: Iterable[str], why: str) -> None:
        waiting = self.memory.waiting
        waited = {id_: waiting[id_].since for id_ in ids if id_ in waiting}
        await self.memory.forget_waiting(waited)
        now = self.context.tools.clock.now()
        for id_, since in waited.items():
            _log.info(
                "upload waits no longer",
                source=self.context.name,
                id=id_,
                why=why,
                waited=round((now - since).total_seconds()),
            )

    def report(self, about: str, sentence: str | None) -> None:
        """Report why the subscription, or the query, fails (`about`); None: it works."""
        if sentence is None:
            self._faults.pop(about, None)
        else:
            self._faults[about] = sentence
        self.report_state()

    def report_state(self) -> None:
        """Report the state of the source: up or down, and what waits."""
        if self._faults:
            self.context.mark_down(" ".join(dict.fromkeys(self._faults.values())))
        else:
            self.context.mark_up()
        self.context.note(self._waiting_sentence())

    def _waiting_sentence(self) -> str | None:
        waiting = sorted(self.memory.waiting.items(), key=lambda row: row[1].since)
        if not waiting:
            return None
        id_, first = waiting[0]
        since = f"{first.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        if len(waiting) == 1:
            return f"The upload {id_} waits for its {first.missing}, since {since}."
        return f"{len(waiting)} uploads wait for what they lack; the longest, {id_}, for its {first.missing}, since {since}."
