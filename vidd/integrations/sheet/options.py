"""The options that say where a sheet is: in a file, or in Google Sheets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from vidd.integrations.sheet.backends.file import FileBook, SheetFiles
from vidd.integrations.sheet.backends.google.api import GoogleBook
from vidd.integrations.sheet.table import Book
from vidd.ports import Tools
from vidd.settings.marks import AccountOf
from vidd.settings.types import Options


class SheetOptions(Options):
    """The settings that say where a sheet is."""

    path: Path | None = Field(
        None, description="The .csv or .xlsx file; from the state directory where it is relative."
    )
    spreadsheet: str | None = Field(
        None, min_length=1, description="Instead of path: a spreadsheet in Google Sheets, its address or its id."
    )
    account: Annotated[str, AccountOf("google")] | None = Field(
        None, description="The account of kind google that may edit the spreadsheet."
    )
    tab: str | None = Field(None, description="The only tab of a workbook that counts; all visible ones otherwise.")

    @model_validator(mode="after")
    def _one_place(self) -> SheetOptions:
        if (self.path is None) is (self.spreadsheet is None):
            raise ValueError("give either path, or spreadsheet with its account")
        if (self.spreadsheet is None) is not (self.account is None):
            raise ValueError("spreadsheet and account come together: give both or neither")
        return self

    def book(self, tools: Tools, id_names: Sequence[str]) -> Book:
        """The book. Raises Refused where the file is neither .csv nor .xlsx, or the account is missing."""
        if self.path is not None:
            return FileBook(tools.path(self.path), tools.shared.get(SheetFiles), self.tab)
        return GoogleBook(self.spreadsheet or "", self.account or "", tools, id_names, self.tab)
