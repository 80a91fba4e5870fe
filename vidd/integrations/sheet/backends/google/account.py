"""An account of kind `google`, for Google Sheets."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field

from vidd.integrations.google.account import GoogleAccount


class Account(GoogleAccount):
    """The account that edits the sheet: best a service account, whose address the spreadsheet is shared with."""

    kind: Literal["google"] = Field("google", description="The kind of account.")
    sheets_url: str = Field(
        "https://sheets.googleapis.com", pattern=r"^https?://[^\s@]+$", description="Address of the Sheets API."
    )
    drive_url: str = Field(
        "https://www.googleapis.com", pattern=r"^https?://[^\s@]+$", description="Address of the Drive API."
    )

    @property
    def targets(self) -> tuple[str, ...]:
        return *super().targets, self.sheets_url, self.drive_url

    @property
    def address(self) -> str:
        """The address that a spreadsheet must be shared with."""
        try:
            key = json.loads(self.service_account.get_secret_value()) if self.service_account else {}
        except ValueError:
            key = {}
        known = key.get("client_email") if isinstance(key, dict) else None
        return str(known) if known else "the account that signed in"
