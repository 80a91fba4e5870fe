"""Writes the status and the links of a talk into its row of the sheet.

vidd finds the row by the talk's id in the sheet as it is at that moment; concurrent requests go into one writing.
"""

from __future__ import annotations

from collections.abc import Sequence

from vidd.errors import Refused
from vidd.integrations.sheet.rows import RowOptions, find_row, require_ids, row_receipt
from vidd.integrations.sheet.table import talk_rows
from vidd.integrations.sheet.writer import write_statuses
from vidd.model.publication import Receipt
from vidd.model.talk import Status, TalkStatus
from vidd.ports import PublishContext, Tools


class Options(RowOptions):
    """Settings of a notice of kind `sheet`."""


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Write `published` and the links. Raises Refused where the talk has no row, or two, or a formula is in the way."""
    links = {name: receipt.url for name, receipt in context.receipts.items() if receipt.url}
    talk_status = TalkStatus(_talk(context), Status.PUBLISHED, context.link, links)
    return await write_statuses(options, context.tools, [talk_status], notice=True)


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """The receipt where the row already says so, None where it does not."""
    links = {name: receipt.url for name, receipt in context.receipts.items() if receipt.url}
    talk_status = TalkStatus(_talk(context), Status.PUBLISHED, context.link, links)
    book = options.book(context.tools, options.columns.id)
    row = find_row(await book.read(), talk_status.talk, options, book)
    for names, text in options.cell_texts(talk_status):
        column = row.layout.column(names)
        if text and (column is None or row.layout.grid.text(row.row, column) != text):
            return None
    return row_receipt(row, {})


async def follow(options: Options, statuses: Sequence[TalkStatus], tools: Tools) -> None:
    """Write the statuses of all talks in one writing; talks that have no row, or two, are left out."""
    await write_statuses(options, tools, statuses)


async def check(options: Options, tools: Tools) -> str:
    """Read the sheet once and count its talks. Raises Refused where it has no id column."""
    if options.path is not None and not tools.path(options.path).exists():
        return f"{tools.path(options.path)} is not there yet; it must be when the first talk is published"
    book = options.book(tools, options.columns.id)
    grids = await book.read()
    require_ids(grids, options, book)
    return f"{len(talk_rows(grids, options.columns.id))} talks have a row"


def _talk(context: PublishContext) -> str:
    talk = context.job.talk or (context.talk.id if context.talk else None)
    if not talk:
        raise Refused(
            "This job belongs to no talk, so it has no row in the sheet: take the notice out of its pipeline."
        )
    return talk
