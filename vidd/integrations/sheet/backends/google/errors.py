"""What errors of Google Sheets mean for a spreadsheet; those of its single calls are in `integrations/google/errors`."""

from __future__ import annotations

from vidd.errors import Fault, FaultCode, Refused
from vidd.integrations.google.errors import RequestRejected


class BatchRejected(Fault):
    """Google rejected a batch with 400; most often the sheet has changed since vidd read it."""

    default_code = FaultCode.CONFLICT


def spreadsheet_fault(rejection: RequestRejected, spreadsheet: str, *, name: str, address: str) -> Refused:
    """The fault for a rejected reading or writing. `name` is the spreadsheet's, `address` what it is shared with."""
    if rejection.status == 403:
        return Refused(
            f"Google does not let {address} edit {name}: share it with that address as an editor.",
            code=FaultCode.FORBIDDEN,
        )
    if rejection.status == 404:
        return Refused(
            f"Google knows no spreadsheet {spreadsheet[:60]!a}: correct `spreadsheet`, or share it with {address}.",
            code=FaultCode.NOT_FOUND,
        )
    return rejection
