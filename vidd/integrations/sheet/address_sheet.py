"""Completes the talks of a programme, of whatever kind, by its sheet of addresses, and shows whom vidd found and whom not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import structlog
from pydantic import Field

from vidd.integrations.sheet.addresses import AddressOptions, Completed, read_directory
from vidd.integrations.sheet.table import Version

if TYPE_CHECKING:
    from vidd.model.talk import Talk
    from vidd.ports import SourceContext, Tools

_log = structlog.get_logger()
_SETTLE = 1.0
"""Seconds for which a file must be unchanged before vidd trusts it."""

_NO_SHEET = Version("none")

Addresses = Annotated[
    AddressOptions | None,
    Field(description="A sheet that has the addresses of speakers whom the programme gives none."),
]
"""The option of a programme that names its sheet of addresses."""


async def check_addresses(options: AddressOptions | None, tools: Tools, talks: Sequence[Talk], counted: str) -> str:
    """The sentence of a check that counted the talks, with what the sheet says of their speakers. Raises Refused or RetryLater."""
    if options is None:
        return counted
    completed = await _AddressSheet(options, tools).complete(talks)
    found = f"{counted}; {completed.found} speakers found in the sheet of addresses"
    return f"{found}. {completed.sentence}" if completed.sentence else found


class _AddressSheet:
    def __init__(self, options: AddressOptions, tools: Tools) -> None:
        self._columns, self.book = options.columns, options.book(tools, options.columns.name)

    async def complete(self, talks: Sequence[Talk]) -> Completed:
        """The talks with the addresses. Comparing all names may take a while, hence the thread."""
        directory = read_directory(await self.book.read(), self._columns, self.book.name)
        return await asyncio.to_thread(directory.complete, talks)


class WatchedAddresses:
    """The addresses of a programme that is watched, and what vidd has shown of them."""

    def __init__(self, options: AddressOptions | None, context: SourceContext) -> None:
        """Without options every talk stays as it is. Raises Refused where the sheet's file or account cannot be used."""
        self._sheet = None if options is None else _AddressSheet(options, context.tools)
        self._context = context
        self._shown: str | None = None
        self._read: tuple[Sequence[Talk], Version] | None = None
        self._talks: Sequence[Talk] = ()

    async def version(self) -> Version | None:
        """The state of the sheet, or of having none; None where only reading it can tell. Raises Refused or RetryLater."""
        return _NO_SHEET if self._sheet is None else await self._sheet.book.version()

    async def complete(self, talks: Sequence[Talk]) -> Sequence[Talk]:
        """The talks with their addresses; shows whom the sheet lacks, and whom vidd took by a similar name."""
        if self._sheet is None:
            return talks
        completed = await self._sheet.complete(talks)
        if completed.sentence and completed.sentence != self._shown:
            _log.info("addresses of speakers", source=self._context.name, shown=completed.sentence)
        self._shown = completed.sentence
        self._context.note(completed.sentence)
        return completed.talks

    async def complete_anew(self, talks: Sequence[Talk]) -> Sequence[Talk]:
        """As `complete`, but waits until a file stands still, and reads nothing where neither talks nor sheet changed."""
        version = await self._settled_version()
        if self._read is None or self._read[0] is not talks or version is None or self._read[1] != version:
            self._talks = await self.complete(talks)
            self._read = None if version is None else (talks, version)
        return self._talks

    async def _settled_version(self) -> Version | None:
        before, version = None, await self.version()
        while version is not None and version.changed is not None and version != before:
            if (self._context.tools.clock.now() - version.changed).total_seconds() >= _SETTLE:
                break
            await self._context.pause(_SETTLE)
            before, version = version, await self.version()
        return version
