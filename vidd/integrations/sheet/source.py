"""Watches the programme's sheet: its talks, and its rows that request work on a recording.

A sheet that cannot be read leaves the programme as it was: one that is half written or has lost its id column must not
take the talks away from running jobs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import structlog
from pydantic import Field

from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.integrations.sheet.address_sheet import Addresses, WatchedAddresses, check_addresses
from vidd.integrations.sheet.backends.file import make_sheet
from vidd.integrations.sheet.options import SheetOptions
from vidd.integrations.sheet.programme import Columns, read_talks
from vidd.integrations.sheet.table import Grid, Version, layouts
from vidd.model.job import Arrival
from vidd.model.talk import Talk
from vidd.ports import SourceContext, Tools
from vidd.settings.types import Duration

_log = structlog.get_logger()
_Versions = tuple[Version | None, ...]
_HEADINGS = "uuid,title,description,speakers,emails,stage,exclude,status,link\n"
_REMOTE = {"s3", "http", "https"}


class Options(SheetOptions):
    """Settings of a source of kind `sheet`."""

    refresh: Duration = Field(60.0, gt=0, description="How often vidd reads the sheet.")
    settle: Duration = Field(1.0, ge=0, description="How long a file must be unchanged before vidd trusts it.")
    columns: Columns = Field(Columns(), description="The headings, where they are not the usual ones.")
    pipeline: str | None = Field(
        None,
        description="Where rows that are ready go; unset: the only pipeline that has this source as its programme.",
    )
    recordings: Path | None = Field(
        None, description="The directory that local recordings must lie in; a file's own otherwise."
    )
    addresses: Addresses = None
    create: bool = Field(True, description="Make a CSV file with the headings where there is none.")


async def watch(options: Options, context: SourceContext) -> None:
    """Hand in the programme at every look; never returns. Raises Refused where the file is neither .csv nor .xlsx."""
    reader = _Reader(options, context)
    while True:
        await context.pause(await reader.look())


async def check_here(options: Options, tools: Tools) -> None:
    """Read a sheet that is a file."""
    if options.path is not None:
        await check(options, tools)


async def check(options: Options, tools: Tools) -> str:
    """Read the sheet once and count its talks."""
    if options.path is not None and options.create:
        path = tools.path(options.path)
        if path.suffix.lower() == ".csv" and not path.exists():
            return f"{path} does not exist yet; vidd will create it"
    talks = read_talks(await options.book(tools, options.columns.id).read(), options.columns)
    faults = sum(1 for talk in talks if talk.fault)
    counted = f"{len(talks)} talks, {sum(1 for talk in talks if talk.excluded)} excluded, {faults} with a fault"
    return await check_addresses(options.addresses, tools, talks, counted)


class _Reader:
    """One sheet, and what vidd has handed in of it."""

    def __init__(self, options: Options, context: SourceContext) -> None:
        self.options, self.context = options, context
        self.book = options.book(context.tools, options.columns.id)
        self.path = None if options.path is None else context.tools.path(options.path)
        self.addresses = WatchedAddresses(options.addresses, context)
        self.seen: _Versions = ()
        self.read: _Versions = ()
        self.talks: Sequence[Talk] = ()
        self.admitted: set[str] = set()
        self.create = options.create
        self.tabs = self.headed = 0

    async def look(self) -> float:
        """Look once; returns the seconds until the next look."""
        try:
            if self.create and self.path is not None:
                await asyncio.to_thread(make_sheet, self.path, _HEADINGS)
            now = (await self.book.version(), await self.addresses.version())
            stable, self.seen = self._is_stable(now), now
            if not stable:
                return min(self.options.settle, self.options.refresh)
            if None in now or now != self.read:
                talks = await self.addresses.complete(self._talks(await self.book.read()))
                if self.talks and not talks:
                    raise RetryLater(
                        f"The sheet {self.book.name} has lost all its rows: the programme stays as it was."
                    )
                self.talks, self.read = talks, now
        except Fault as fault:
            self.context.mark_down(fault.sentence)
            soon = fault.after if isinstance(fault, RetryLater) else None
            return min(soon or self.options.refresh, self.options.refresh)
        # A file that disappears later is being replaced: an empty one in its place would refuse every talk.
        self.create = False
        # vidd hands in an unchanged sheet too, so that the programme shows when it was last up to date.
        await self.context.put_talks(self.talks)
        await self._admit_ready()
        self.context.mark_up()
        self.context.mark_caught_up()
        return self.options.refresh

    def _talks(self, grids: Sequence[Grid]) -> list[Talk]:
        """The talks. Raises RetryLater where a tab that still exists lost its id column and all its talks with it."""
        talks = read_talks(grids, self.options.columns)
        headed = len(layouts(grids, self.options.columns.id))
        if headed < self.headed and len(grids) >= self.tabs:
            raise RetryLater(
                f"A tab of {self.book.name} has lost its column {self.options.columns.id[0]!r}, so the programme stays as "
                "it was: put the heading back, or delete the tab."
            )
        self.tabs, self.headed = len(grids), headed
        return talks

    def _is_stable(self, now: _Versions) -> bool:
        if now == self.seen:
            return True
        changes = [version.changed for version in now if version is not None and version.changed is not None]
        return all(
            (self.context.tools.clock.now() - change).total_seconds() >= self.options.settle for change in changes
        )

    async def _admit_ready(self) -> None:
        """Admit the recordings of rows that are ready; each once, until its recording changes."""
        wanted = {
            f"sheet:{self.context.name}:{talk.id}:{talk.recording}": talk
            for talk in self.talks
            if talk.ready and talk.recording and not talk.excluded
        }
        self.admitted &= wanted.keys()
        arrivals = []
        for key, talk in wanted.items():
            if key not in self.admitted:
                try:
                    arrivals.append(self._arrival(key, talk))
                except Refused as refusal:
                    await self.context.dead_letter(f"{talk.facts['row']}: {talk.recording}", refusal.sentence)
        if arrivals:
            await self.context.admit(arrivals)
        self.admitted |= wanted.keys()

    @property
    def _recordings(self) -> Path | None:
        """The directory that local recordings must lie in."""
        beside = None if self.path is None else self.path.parent
        directory = self.options.recordings or beside
        return None if directory is None else self.context.tools.path(directory)

    def _arrival(self, key: str, talk: Talk) -> Arrival:
        location = _location(talk.recording or "", self._recordings)
        pipeline = self.options.pipeline or self.context.pipeline
        if pipeline is None:
            raise Refused(
                "Nothing says where this recording goes, since not exactly one pipeline has this sheet as its programme:"
                f" set pipeline of [sources.{self.context.name}].",
                code=FaultCode.BAD_SETTINGS,
            )
        times = {"start": talk.start, "end": talk.end}
        return Arrival(
            key=key,
            location=location,
            name=unquote(urlsplit(location).path).rpartition("/")[2],
            facts={"talk": talk.id} | {name: value for name, value in times.items() if value is not None},
            priority=talk.priority,
            pipeline=pipeline,
        )


def _location(recording: str, root: Path | None) -> str:
    """A recording as a URI. Raises Refused where a local one is outside `root`: editors of the sheet may not read all files."""
    parts = urlsplit(recording)
    if parts.scheme in _REMOTE:
        return recording
    if "://" in recording and parts.scheme != "file":
        raise Refused(
            f"The recording {recording[:120]!r} is neither a path nor an s3, http or https address: correct it."
        )
    if root is None:
        raise Refused(
            f"The recording {recording[:120]!r} is no address: set `recordings` to the directory of local files."
        )
    path = url2pathname(parts.path) if parts.scheme == "file" else recording
    real, home = (Path(os.path.realpath(directory)) for directory in (root / path, root))
    if "\0" in path or not real.is_relative_to(home):
        raise Refused(f"The recording {recording[:120]!r} does not lie in {home}: move it there, or set `recordings`.")
    return real.as_uri()
