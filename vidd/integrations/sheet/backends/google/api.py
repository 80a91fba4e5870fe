"""A programme in Google Sheets (developers.google.com/workspace/sheets/api/reference/rest).

All who write into one spreadsheet share one turn at it: whole readings, then one batch, never more than one in two
seconds. How no person's edit is lost is told in `google_swap`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote
from weakref import WeakKeyDictionary

from pydantic import Field

from vidd.errors import Fault, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.google.api import Api, NotTaken, google
from vidd.integrations.google.auth import GoogleAccount
from vidd.integrations.sheet.backends.google.grid import SHEET_FIELDS, Entered, entered, sheets
from vidd.integrations.sheet.backends.google.overwrite_detection import Where, hit
from vidd.integrations.sheet.backends.google.shadow_copy import Swap, making, swap, swapping
from vidd.integrations.sheet.table import Cell, Change, Grid, Remark, Stamp
from vidd.ports import Clock, Tools

WRITING = "https://www.googleapis.com/auth/spreadsheets"
VERSIONS = "https://www.googleapis.com/auth/drive.metadata.readonly"
PACE = 2.0
_ROUNDS = 10
_TURNED_DOWN = 3
_LONGEST = 20.0
_IN_URL = re.compile(r"/spreadsheets/(?:u/\d+/)?d/([A-Za-z0-9_-]+)")
_OWN = "vidd:"


class Account(GoogleAccount):
    """Who edits the sheet: best a service account, with whose address the spreadsheet is shared."""

    kind: Literal["google"] = Field("google", description="The kind of account.")
    sheets_url: str = Field(
        "https://sheets.googleapis.com", pattern=r"^https?://[^\s@]+$", description="Where the Sheets API is."
    )
    drive_url: str = Field(
        "https://www.googleapis.com", pattern=r"^https?://[^\s@]+$", description="Where the Drive API is."
    )

    @property
    def address(self) -> str:
        """What a spreadsheet must be shared with."""
        try:
            key = json.loads(self.service_account.get_secret_value()) if self.service_account else {}
        except ValueError:
            key = {}
        known = key.get("client_email") if isinstance(key, dict) else None
        return str(known) if known else "the account that signed in"


def spreadsheet_id(text: str) -> str:
    """The id in a spreadsheet's address, or the id itself."""
    found = _IN_URL.search(text)
    return found[1] if found else text.strip()


class _Turn:
    """The one place from which a spreadsheet is written, and when that happened last."""

    def __init__(self, now: datetime) -> None:
        self.lock = asyncio.Lock()
        # A vidd that was restarted does not know when it wrote last.
        self.last = now

    async def pause(self, clock: Clock) -> None:
        """Wait until it may be written again."""
        wait = (self.last + timedelta(seconds=PACE) - clock.now()).total_seconds()
        if wait > 0:
            await clock.sleep(wait)


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Turn]] = WeakKeyDictionary()


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
        # Whether the account may ask for versions is found out by asking.
        self.versions = True

    @property
    def name(self) -> str:
        return f"the spreadsheet {self.id[:12]}"

    @property
    def address(self) -> str:
        return f"{self.account.sheets_url}/{self.id}"

    async def stamp(self) -> Stamp | None:
        """See Book. Drive's version of the file grows with every change (Drive v3, files)."""
        if not self.versions:
            return None
        url = f"{self.account.drive_url}/drive/v3/files/{quote(self.id, safe='')}"
        doing = f"asking for the version of {self.name}"
        try:
            api = google(self.account_name, self.account, (VERSIONS,), self.clock)
            answer = await api.call("GET", url, doing=doing, params={"fields": "version", "supportsAllDrives": "true"})
        except Refused:
            # Without that right, the sheet is simply read every time; what else is wrong the reading says.
            self.versions = False
            return None
        version = answer.body.get("version")
        return Stamp(str(version)) if version else None

    async def read(self) -> Sequence[Grid]:
        """See Book."""
        return self._grids(await self._look())

    async def edit(self, change: Change) -> Sequence[Cell]:
        """See Book."""
        turns = _turns.setdefault(asyncio.get_running_loop(), {})
        turn = turns.setdefault(self.address, _Turn(self.clock.now()))
        async with turn.lock:
            unlucky: list[Fault] = []
            for _ in range(_ROUNDS):
                await turn.pause(self.clock)
                try:
                    left = await self._round(turn, change)
                except (OutcomeUnknown, RetryLater, _Moved) as fault:
                    unlucky.append(fault)
                    await self._patience(unlucky)
                else:
                    unlucky.clear()
                    if left is not None:
                        return left
            raise RetryLater(
                f"{self.name[0].upper()}{self.name[1:]} changes all the time: it is tried again.", after=30
            ) from (unlucky[-1] if unlucky else None)

    async def _patience(self, unlucky: Sequence[Fault]) -> None:
        """Wait until the next round makes sense; raises where it does not."""
        fault = unlucky[-1]
        if isinstance(fault, _Moved) and sum(isinstance(one, _Moved) for one in unlucky) > _TURNED_DOWN:
            raise Refused(fault.sentence) from fault
        if isinstance(fault, RetryLater):
            if not fault.counts or (fault.after or 0.0) > _LONGEST:
                raise fault
            await self.clock.sleep(fault.after or PACE)

    async def _round(self, turn: _Turn, change: Change) -> Sequence[Cell] | None:
        """Read, and write once; the cells left alone, None where what was written has to be looked at again."""
        made = await self._look()
        refusal: Fault | None = None
        left: list[Cell] = []
        try:
            left = self._plan(made, change(self._grids(made)))
        except Fault as fault:
            # What an earlier writing left must be put right all the same.
            refusal = fault
            self._plan(made, ())
        clean = await self._write(turn, made)
        if not clean:
            return None
        if refusal is not None:
            raise refusal
        return left

    def _plan(self, made: Swap, cells: Sequence[Cell | Remark]) -> list[Cell]:
        """Note in the swap what is to be written; the cells that are left alone because a formula stands there."""
        by_title = {sheet.title: sheet for sheet in made.tabs}
        wanted: dict[Where, Entered] = dict(made.back)
        left = []
        for cell in cells:
            sheet = by_title[cell.tab]
            spot = sheet.spot(cell.row, cell.column)
            where = (sheet.id, cell.row, cell.column)
            if isinstance(cell, Remark):
                if spot.note != cell.text and (not spot.note or spot.note.startswith(_OWN)):
                    made.remarks[where] = cell.text
            elif spot.computed:
                left += [cell] if spot.shown != cell.text else []
            elif spot.shown != cell.text:
                wanted[where] = entered(cell.text)
        made.writes = {
            where: value for where, value in wanted.items() if made.read[where[0]].spot(*where[1:]).entered != value
        }
        return left

    async def _write(self, turn: _Turn, made: Swap) -> bool:
        """Send the batch; whether it fell on what it was meant for."""
        if made.missing:
            await self._batch(turn, making(made), [])
            return False
        requests = swapping(made)
        if not requests:
            return True
        answer = await self._batch(turn, requests, [made.copies[one].title for one in sorted(made.touched)])
        copies = {sheet.id: sheet for sheet in sheets(answer.get("updatedSpreadsheet", {}))}
        told = [made.copies[one].id for one in made.touched]
        return all(copy in copies and hit(copies[copy], self.id_names) for copy in told)

    async def _batch(self, turn: _Turn, requests: list[dict[str, Any]], titles: Sequence[str]) -> dict[str, Any]:
        body: dict[str, Any] = {"requests": requests}
        if titles:
            ranges = ["'" + title.replace("'", "''") + "'" for title in titles]
            body |= {"includeSpreadsheetInResponse": True, "responseRanges": ranges}
        try:
            answer = await self._api.call(
                "POST",
                f"{self._url}:batchUpdate",
                doing=f"writing into {self.name}",
                params={"fields": f"spreadsheetId,updatedSpreadsheet({SHEET_FIELDS})"},
                body=body,
                repeatable=False,
            )
        except NotTaken as fault:
            if fault.status == 400:
                raise _Moved(fault.sentence) from fault
            raise self._refused(fault) from fault
        finally:
            turn.last = self.clock.now()
        return answer.body

    async def _look(self) -> Swap:
        try:
            answer = await self._api.call(
                "GET", self._url, doing=f"reading {self.name}", params={"fields": SHEET_FIELDS}
            )
        except NotTaken as fault:
            raise self._refused(fault) from fault
        return swap(sheets(answer.body), self.id_names)

    def _refused(self, fault: NotTaken) -> Refused:
        who = self.account.address
        if fault.status == 403:
            return Refused(f"Google does not let {who} edit {self.name}: share it with that address as an editor.")
        if fault.status == 404:
            return Refused(
                f"Google knows no spreadsheet {self.id[:60]!a}: correct `spreadsheet`, or share it with {who}."
            )
        return fault

    def _grids(self, made: Swap) -> Sequence[Grid]:
        if self.tab is not None:
            found = [sheet.grid for sheet in made.tabs if sheet.title == self.tab]
            if not found:
                titles = ", ".join(sheet.title for sheet in made.tabs if not sheet.hidden)
                raise Refused(
                    f"{self.name} has no tab {self.tab!r}, it has {titles}: rename it back, or correct `tab`."
                )
            return found
        return [sheet.grid for sheet in made.tabs if not sheet.hidden]

    @property
    def _url(self) -> str:
        return f"{self.account.sheets_url}/v4/spreadsheets/{quote(self.id, safe='')}"

    @property
    def _api(self) -> Api:
        return google(self.account_name, self.account, (WRITING,), self.clock)


class _Moved(Fault):
    """Google would not take a batch; most often the sheet has changed since it was read."""
