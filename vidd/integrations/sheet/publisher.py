"""The talk's row in the sheet says how the talk stands, and where it was published.

Rows are looked for by the talk's id in the sheet as it is at that moment; all who come at once are served by one writing.
"""

from __future__ import annotations

from collections.abc import Sequence

from vidd.errors import Refused
from vidd.integrations.sheet.rows import RowOptions, place_of, receipt_of, with_ids
from vidd.integrations.sheet.table import places
from vidd.integrations.sheet.writer import written
from vidd.model.publication import Receipt
from vidd.model.talk import Status, TalkStatus
from vidd.ports import PublishContext, Tools


class Options(RowOptions):
    """Settings of a notice of kind `sheet`."""


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Write `published` and the links. Refused where the talk has no row, or two, or a formula stands in the way."""
    links = {name: receipt.url for name, receipt in context.receipts.items() if receipt.url}
    standing = TalkStatus(_talk(context), Status.PUBLISHED, context.link, links)
    return await written(options, context.tools, [standing], notice=True)


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """The receipt where the row already says so, None where it does not."""
    links = {name: receipt.url for name, receipt in context.receipts.items() if receipt.url}
    standing = TalkStatus(_talk(context), Status.PUBLISHED, context.link, links)
    book = options.book(context.tools, options.columns.id)
    place = place_of(await book.read(), standing.talk, options, book)
    for names, text in options.said(standing):
        column = place.layout.column(names)
        if text and (column is None or place.layout.grid.text(place.row, column) != text):
            return None
    return receipt_of(place, {})


async def follow(options: Options, standings: Sequence[TalkStatus], tools: Tools) -> None:
    """Make all rows say how their talks stand, in one writing; a talk that has no row, or two, is passed over."""
    await written(options, tools, standings)


async def check(options: Options, tools: Tools) -> str:
    """Read the sheet once and say how many talks it has; Refused where it has no id column."""
    if options.path is not None and not tools.path(options.path).exists():
        return f"{tools.path(options.path)} is not there yet; it must be when the first talk is published"
    book = options.book(tools, options.columns.id)
    grids = await book.read()
    with_ids(grids, options, book)
    return f"{len(places(grids, options.columns.id))} talks have a row"


def _talk(context: PublishContext) -> str:
    talk = context.job.talk or (context.talk.id if context.talk else None)
    if not talk:
        raise Refused(
            "This job belongs to no talk, so it has no row in the sheet: take the notice out of its pipeline."
        )
    return talk
