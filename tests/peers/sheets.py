"""Google Sheets v4 and the one call of Drive v3 that vidd makes, with `hand` called before and after every request.

`answer` needs no network, so that hundreds of interleavings can be tried quickly; over TLS it is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from aiohttp import web
from peers.discovery import discovery
from peers.field_masks import Invalid, check_mask, masked, parse_mask
from peers.oauth import OAuth
from peers.service import Service
from peers.spreadsheet import Spreadsheet, shown, typed

SHEETS = "https://www.googleapis.com/auth/spreadsheets"
READING = "https://www.googleapis.com/auth/drive.metadata.readonly"
_WRITES = re.compile(r"^POST /v4/")
_ANSWERS = {
    "spreadsheets.get": "Spreadsheet",
    "spreadsheets.batchUpdate": "BatchUpdateSpreadsheetResponse",
    "spreadsheets.values.batchGet": "BatchGetValuesResponse",
    "spreadsheets.values.batchUpdate": "BatchUpdateValuesResponse",
    "files.get": "File",
}


class Lost(Exception):
    """Raised by a hand: the connection breaks, before or after the work."""


class Sheets(Service):
    """`spreadsheets` by id; `allowed` are the addresses they are shared with, None for everybody.

    `hand(phase, line)` is a person (or a fault) at "before" and "after" of a request: what it raises as `Invalid` is
    the answer, with `Lost` there is none.
    """

    def __init__(self, oauth: OAuth | None = None) -> None:
        super().__init__()
        self.oauth = oauth
        self.spreadsheets: dict[str, Spreadsheet] = {}
        self.allowed: set[str] | None = None
        self.drive_right = True
        self.hand: Callable[[str, str], None] = lambda _phase, _line: None
        self.lines: list[str] = []

    def book(self, name: str = "book-1") -> Spreadsheet:
        return self.spreadsheets.setdefault(name, Spreadsheet())

    @property
    def writes(self) -> list[str]:
        """The write requests that came."""
        return [line for line in self.lines if _WRITES.match(line)]

    def add_routes(self, app: web.Application) -> None:
        if self.oauth is not None:
            self.oauth.add_routes(app)
        app.router.add_route("*", "/{rest:.*}", self._handle)

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            status, body = self.answer(request.method, request.path_qs, request.headers, await request.read())
        except Lost:
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=500)
        return web.json_response(body, status=status)

    def answer(self, method: str, target: str, headers: Mapping[str, str], data: bytes) -> tuple[int, dict[str, Any]]:
        """One request, from its first line to its body."""
        line = f"{method} {unquote(urlsplit(target).path)}"
        with self.lock:
            self.lines.append(line)
            try:
                self.hand("before", line)
                self._admit(target, headers)
                answer = self._route(method, target, data)
                self.hand("after", line)
            except Invalid as error:
                return error.code, error.body()
        return 200, answer

    def _admit(self, target: str, headers: Mapping[str, str]) -> None:
        if self.oauth is None:
            return
        grant = self.oauth.grant(headers.get("Authorization"))
        if grant is None:
            message = "Request had invalid authentication credentials. Expected OAuth 2 access token."
            raise Invalid(message, 401, "UNAUTHENTICATED")
        if (READING if target.startswith("/drive/") else SHEETS) not in grant.scopes:
            raise Invalid("Request had insufficient authentication scopes.", 403, "PERMISSION_DENIED")
        if self.allowed is not None and grant.subject not in self.allowed:
            raise Invalid("The caller does not have permission", 403, "PERMISSION_DENIED")

    def _route(self, method: str, target: str, data: bytes) -> dict[str, Any]:
        parts = urlsplit(target)
        query = parse_qs(parts.query, keep_blank_values=True)
        sheet = "/v4/spreadsheets/([^/:]+)"
        table: list[tuple[str, str, str, str, Any]] = [
            ("GET", sheet, "sheets.v4", "spreadsheets.get", self._get),
            ("POST", f"{sheet}:batchUpdate", "sheets.v4", "spreadsheets.batchUpdate", self._batch_update),
            ("GET", f"{sheet}/values:batchGet", "sheets.v4", "spreadsheets.values.batchGet", self._batch_get),
            (
                "POST",
                f"{sheet}/values:batchUpdate",
                "sheets.v4",
                "spreadsheets.values.batchUpdate",
                self._values_update,
            ),
            ("GET", "/drive/v3/files/([^/:]+)", "drive.v3", "files.get", self._file),
        ]
        for verb, pattern, service, name, handler in table:
            match = re.fullmatch(pattern, unquote(parts.path))
            if match is None or verb != method:
                continue
            described = discovery(service).method(name)
            faults = discovery(service).query_faults(described, query)
            body = json.loads(data or b"{}")
            if described.request is not None:
                faults += discovery(service).faults(described.request, body)
            elif data:
                faults.append("a GET has no body")
            if faults:
                raise Invalid(f"Invalid JSON payload received. {'; '.join(faults)}")
            book = self.spreadsheets.get(match[1])
            if book is None:
                raise Invalid("Requested entity was not found.", 404, "NOT_FOUND")
            answer: dict[str, Any] = handler(match[1], book, query, body)
            return self._masked(service, _ANSWERS[name], answer, query)
        raise Invalid(f"The requested URL {parts.path} was not found on this server.", 404, "NOT_FOUND")

    def _masked(
        self, service: str, schema: str, answer: dict[str, Any], query: Mapping[str, list[str]]
    ) -> dict[str, Any]:
        if "fields" not in query:
            return answer
        mask = parse_mask(query["fields"][0])
        check_mask(service, schema, mask)
        made: dict[str, Any] = masked(answer, mask)
        return made

    def _file(self, name: str, book: Spreadsheet, query: Mapping[str, list[str]], _body: Any) -> dict[str, Any]:
        if not self.drive_right:
            raise Invalid("The user does not have sufficient permissions for this file.", 403, "PERMISSION_DENIED")
        made = {"kind": "drive#file", "id": name, "name": book.title}
        return {**made, "version": str(book.version)} if "fields" in query else made

    def _get(self, name: str, book: Spreadsheet, query: Mapping[str, list[str]], _body: Any) -> dict[str, Any]:
        grids = "data" in query["fields"][0] if "fields" in query else query.get("includeGridData") == ["true"]
        return {**book.json(query.get("ranges", []), grids=grids), "spreadsheetId": name}

    def _batch_update(
        self, name: str, book: Spreadsheet, query: Mapping[str, list[str]], body: dict[str, Any]
    ) -> dict[str, Any]:
        if not body.get("requests"):
            raise Invalid("Must specify at least one request.")
        made = {"spreadsheetId": name, "replies": book.apply(body["requests"])}
        if body.get("includeSpreadsheetInResponse"):
            grids = "data" in query["fields"][0] if "fields" in query else body.get("responseIncludeGridData", False)
            made["updatedSpreadsheet"] = book.json(body.get("responseRanges", []), grids=grids)
        return made

    def _batch_get(self, name: str, book: Spreadsheet, query: Mapping[str, list[str]], _body: Any) -> dict[str, Any]:
        render = query.get("valueRenderOption", ["FORMATTED_VALUE"])[0]
        found = []
        for range_ in query.get("ranges", []):
            tab, (top, bottom, left, right) = book.range(range_)
            rows = [[_rendered(cell, render) for cell in row[left:right]] for row in tab.cells[top:bottom]]
            for row in rows:
                while row and row[-1] == "":
                    row.pop()
            while rows and not rows[-1]:
                rows.pop()
            found.append({"range": range_, "majorDimension": "ROWS", **({"values": rows} if rows else {})})
        return {"spreadsheetId": name, "valueRanges": found}

    def _values_update(
        self, name: str, book: Spreadsheet, _query: Mapping[str, list[str]], body: dict[str, Any]
    ) -> dict[str, Any]:
        option = body.get("valueInputOption")
        if option not in {"RAW", "USER_ENTERED"}:
            raise Invalid("'valueInputOption' is required but not specified")
        count = 0
        for written in body.get("data", []):
            tab, (top, bottom, left, right) = book.range(written["range"])
            for down, row in enumerate(written.get("values", [])):
                if top + down >= bottom or left + len(row) > right:
                    raise Invalid(f"Requested writing within range [{written['range']}], but tried writing beyond it")
                for over, value in enumerate(row):
                    raw = {"stringValue": value} if isinstance(value, str) else {"numberValue": float(value)}
                    cell = tab.cells[top + down][left + over]
                    cell.value = typed(value) if option == "USER_ENTERED" and isinstance(value, str) else raw
                    count += 1
        book.version += 1
        return {"spreadsheetId": name, "totalUpdatedCells": count}


def _rendered(cell: Any, render: str) -> Any:
    if render == "FORMULA" and "formulaValue" in cell.value:
        return cell.value["formulaValue"]
    value = cell.effective()
    return shown(value) if render == "FORMATTED_VALUE" else next(iter(value.values()), "")
