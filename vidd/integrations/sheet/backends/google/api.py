"""A sheet in Google Sheets (developers.google.com/workspace/sheets/api/reference/rest).

All writers of one spreadsheet take turns: each reads the whole spreadsheet and sends one batch, at most one in two
seconds. `shadow_copy` explains how no person's edit is lost.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from vidd.aio.retry import retry
from vidd.errors import Fault, FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.google.api import Api, Call, google
from vidd.integrations.google.errors import RequestRejected
from vidd.integrations.sheet.backends.google.account import Account
from vidd.integrations.sheet.backends.google.errors import BatchRejected, spreadsheet_fault
from vidd.integrations.sheet.backends.google.grid import SHEET_FIELDS, Entered, entered, sheets
from vidd.integrations.sheet.backends.google.overwrite_detection import CellKey, is_clean
from vidd.integrations.sheet.backends.google.shadow_copy import Reading, creation_requests, examine, write_requests
from vidd.integrations.sheet.table import CellEdit, Change, Grid, NoteEdit, Version
from vidd.ports import Clock, Tools

WRITING = "https://www.googleapis.com/auth/spreadsheets"
VERSIONS = "https://www.googleapis.com/auth/drive.metadata.readonly"
PACE = 2.0
_ROUNDS = 10
_REJECTED_BATCHES = 3
_RETRIES = 6
_IN_URL = re.compile(r"/spreadsheets/(?:u/\d+/)?d/([A-Za-z0-9_-]+)")
_OWN_NOTE = "vidd:"


def spreadsheet_id(text: str) -> str:
    """The id in a spreadsheet's address, or the id itself."""
    found = _IN_URL.search(text)
    return found[1] if found else text.strip()


class _Turn:
    """The lock of one spreadsheet, and when vidd last wrote into it."""

    def __init__(self, now: datetime) -> None:
        self.lock = asyncio.Lock()
        # A vidd that was restarted does not know when it last wrote.
        self.last = now

    async def pause(self, clock: Clock) -> None:
        """Wait until vidd may write again."""
        wait = (self.last + timedelta(seconds=PACE) - clock.now()).total_seconds()
        if wait > 0:
            await clock.sleep(wait)


class SpreadsheetTurns:
    """The turns of all spreadsheets that a daemon writes into, by address."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    def turn(self, address: str, now: datetime) -> _Turn:
        """The turn of one spreadsheet."""
        return self._turns.setdefault(address, _Turn(now))


class GoogleBook:
    """A spreadsheet; `tab` is the only tab that counts, None for all that are visible."""

    def __init__(
        self, spreadsheet: str, account: str, tools: Tools, id_names: Sequence[str], tab: str | None = None
    ) -> None:
        self.id = spreadsheet_id(spreadsheet)
        self.account = tools.account(account, Account)
        self.account_name = account
        self.clock = tools.clock
        self.id_names = id_names
        self.tab = tab
        self._tools = tools
        # Whether the account may ask for versions is found out by asking.
        self._may_ask_version = True

    @property
    def name(self) -> str:
        return f"the spreadsheet {self.id[:12]}"

    @property
    def address(self) -> str:
        return f"{self.account.sheets_url}/{self.id}"

    async def version(self) -> Version | None:
        """See Book. Drive's version of the file grows with every change (Drive v3, files)."""
        if not self._may_ask_version:
            return None
        url = f"{self.account.drive_url}/drive/v3/files/{quote(self.id, safe='')}"
        params = {"fields": "version", "supportsAllDrives": "true"}
        call = Call("GET", url, f"asking for the version of {self.name}", params)
        try:
            answer = await google(self.account_name, self.account, (VERSIONS,), self._tools).call(call)
        except Refused:
            # Without that right vidd simply reads the sheet every time; the reading reports whatever else is wrong.
            self._may_ask_version = False
            return None
        version = answer.body.get("version")
        return Version(str(version)) if version else None

    async def read(self) -> Sequence[Grid]:
        """See Book."""
        return self._grids(await self._read())

    async def edit(self, change: Change) -> Sequence[CellEdit]:
        """See Book."""
        turn = self._tools.shared.get(SpreadsheetTurns).turn(self.address, self.clock.now())
        async with turn.lock:
            trouble: list[Fault] = []
            for _ in range(_ROUNDS):
                try:
                    left = await retry(partial(self._round, turn, change), sleep=self.clock.sleep, attempts=_RETRIES)
                except (OutcomeUnknown, BatchRejected) as fault:
                    trouble.append(fault)
                    if sum(isinstance(fault, BatchRejected) for fault in trouble) > _REJECTED_BATCHES:
                        raise Refused(fault.sentence, code=fault.code) from fault
                else:
                    trouble.clear()
                    if left is not None:
                        return left
            raise RetryLater(
                f"{self.name[0].upper()}{self.name[1:]} changes all the time: vidd will retry.",
                after=30,
                code=FaultCode.CONFLICT,
            ) from (trouble[-1] if trouble else None)

    async def _round(self, turn: _Turn, change: Change) -> Sequence[CellEdit] | None:
        """Read, and write once; the edits left out, or None where vidd must examine again what it wrote."""
        await turn.pause(self.clock)
        reading = await self._read()
        refusal: Fault | None = None
        left: list[CellEdit] = []
        try:
            left = self._plan(reading, change(self._grids(reading)))
        except Fault as fault:
            # What an earlier writing left wrong must be repaired all the same.
            refusal = fault
            self._plan(reading, ())
        if not await self._write(turn, reading):
            return None
        if refusal is not None:
            raise refusal
        return left

    def _plan(self, reading: Reading, edits: Sequence[CellEdit | NoteEdit]) -> list[CellEdit]:
        """Put into the reading what is to be written; returns the edits left out because a formula stands there."""
        by_title = {sheet.title: sheet for sheet in reading.tabs}
        wanted: dict[CellKey, Entered] = dict(reading.restore)
        left = []
        for edit in edits:
            sheet = by_title[edit.tab]
            cell = sheet.cell(edit.row, edit.column)
            key = (sheet.id, edit.row, edit.column)
            if isinstance(edit, NoteEdit):
                if cell.note != edit.text and (not cell.note or cell.note.startswith(_OWN_NOTE)):
                    reading.notes[key] = edit.text
            elif cell.computed:
                left += [edit] if cell.shown != edit.text else []
            elif cell.shown != edit.text:
                wanted[key] = entered(edit.text)
        reading.writes = {
            key: value for key, value in wanted.items() if reading.read[key[0]].cell(*key[1:]).entered != value
        }
        return left

    async def _write(self, turn: _Turn, reading: Reading) -> bool:
        """Send the batch; returns whether it overwrote nothing but what it was meant to."""
        if reading.missing:
            await self._batch(turn, creation_requests(reading), [])
            return False
        requests = write_requests(reading)
        if not requests:
            return True
        answer = await self._batch(turn, requests, [reading.copies[sheet].title for sheet in sorted(reading.touched)])
        copies = {sheet.id: sheet for sheet in sheets(answer.get("updatedSpreadsheet", {}))}
        written = [reading.copies[sheet].id for sheet in reading.touched]
        return all(copy in copies and is_clean(copies[copy], self.id_names) for copy in written)

    async def _batch(self, turn: _Turn, requests: list[dict[str, Any]], titles: Sequence[str]) -> dict[str, Any]:
        body: dict[str, Any] = {"requests": requests}
        if titles:
            ranges = ["'" + title.replace("'", "''") + "'" for title in titles]
            body |= {"includeSpreadsheetInResponse": True, "responseRanges": ranges}
        params = {"fields": f"spreadsheetId,updatedSpreadsheet({SHEET_FIELDS})"}
        url = f"{self._url}:batchUpdate"
        try:
            answer = await self._api.call(
                Call("POST", url, f"writing into {self.name}", params, body, repeatable=False)
            )
        except RequestRejected as rejection:
            if rejection.status == 400:
                raise BatchRejected(rejection.sentence) from rejection
            raise self._fault(rejection) from rejection
        finally:
            turn.last = self.clock.now()
        return answer.body

    async def _read(self) -> Reading:
        try:
            answer = await self._api.call(Call("GET", self._url, f"reading {self.name}", {"fields": SHEET_FIELDS}))
        except RequestRejected as rejection:
            raise self._fault(rejection) from rejection
        return examine(sheets(answer.body), self.id_names)

    def _fault(self, rejection: RequestRejected) -> Refused:
        return spreadsheet_fault(rejection, self.id, name=self.name, address=self.account.address)

    def _grids(self, reading: Reading) -> Sequence[Grid]:
        if self.tab is not None:
            found = [sheet.grid for sheet in reading.tabs if sheet.title == self.tab]
            if not found:
                titles = ", ".join(sheet.title for sheet in reading.tabs if not sheet.hidden)
                raise Refused(
                    f"{self.name[0].upper()}{self.name[1:]} has no tab {self.tab!r}, it has {titles}: rename it back, "
                    "or correct `tab`.",
                    code=FaultCode.NOT_FOUND,
                )
            return found
        return [sheet.grid for sheet in reading.tabs if not sheet.hidden]

    @property
    def _url(self) -> str:
        return f"{self.account.sheets_url}/v4/spreadsheets/{quote(self.id, safe='')}"

    @property
    def _api(self) -> Api:
        return google(self.account_name, self.account, (WRITING,), self._tools)
