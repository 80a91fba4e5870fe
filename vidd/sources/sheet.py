"""The programme's sheet, read again and again: its talks, and its rows that ask for work on a recording.

What cannot be read leaves the programme as it was: a sheet that is half written or lost its id column must not
take the talks away from jobs that run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from pydantic import Field

from vidd.clients.disk import disk_fault
from vidd.clients.programme import Columns, read_talks
from vidd.clients.sheetfile import Signature, open_book, sheet_format, signature
from vidd.errors import AgainLater, Fault, Refused
from vidd.model.job import Arrival
from vidd.model.talk import Talk
from vidd.options import Duration
from vidd.options import Options as Base
from vidd.ports import Inlet, Tools

_HEADINGS = "uuid,title,description,speakers,emails,stage,exclude,status,link\n"
_REMOTE = {"s3", "http", "https"}


class Options(Base):
    """Settings of a source of kind `sheet`."""

    path: Path = Field(description="The .csv or .xlsx file; from the state directory where it is relative.")
    tab: str | None = Field(None, description="The only tab of a workbook that counts; all visible ones otherwise.")
    refresh: Duration = Field(60.0, gt=0, description="How often it is read again.")
    settle: Duration = Field(1.0, ge=0, description="How long the file must have stood still before it is believed.")
    columns: Columns = Field(Columns(), description="The headings, where they are not the usual ones.")
    pipeline: str | None = Field(None, description="Where rows that are ready go.")
    recordings: Path | None = Field(
        None, description="The directory that local recordings must lie in; the sheet's own otherwise."
    )
    create: bool = Field(True, description="Make a CSV file with the headings where there is none.")


async def watch(options: Options, inlet: Inlet) -> None:
    """Hand in the programme at every look; never returns. Refused where the file is neither .csv nor .xlsx."""
    reader = _Reader(options, inlet)
    while True:
        await inlet.pause(await reader.look())


async def check(options: Options, tools: Tools) -> str:
    """Read the sheet once and say what is in it."""
    path = tools.path(options.path)
    if options.create and path.suffix.lower() == ".csv" and not path.exists():
        return f"{path} is not there yet and will be made"
    talks = read_talks(await open_book(tools.path(options.path), options.tab).read(), options.columns)
    faults = sum(1 for talk in talks if talk.fault)
    return f"{len(talks)} talks, {sum(1 for talk in talks if talk.excluded)} excluded, {faults} with a fault"


class _Reader:
    """One sheet, and what was handed in of it."""

    def __init__(self, options: Options, inlet: Inlet) -> None:
        self.options, self.inlet = options, inlet
        self.path = inlet.tools.path(options.path)
        sheet_format(self.path)
        self.seen: Signature | None = None
        self.read: Signature | None = None
        self.talks: Sequence[Talk] = ()
        self.asked: set[str] = set()
        self.create = options.create

    async def look(self) -> float:
        """Look once; returns the seconds until the next look."""
        try:
            now = await asyncio.to_thread(_stat, self.path, create=self.create)
            age = self.inlet.tools.clock.now().timestamp() - now[2] / 1e9
            still, self.seen = now == self.seen or age >= self.options.settle, now
            if not still:
                return min(self.options.settle, self.options.refresh)
            if now != self.read:
                talks = read_talks(await open_book(self.path, self.options.tab).read(), self.options.columns)
                if self.talks and not talks:
                    raise AgainLater(f"The sheet {self.path} has lost all its rows: the programme stays as it was.")
                self.talks, self.read = talks, now
        except Fault as fault:
            self.inlet.down(fault.sentence)
            soon = fault.after if isinstance(fault, AgainLater) else None
            return min(soon or self.options.refresh, self.options.refresh)
        # One that goes away later is being replaced: an empty one in its place would refuse every talk.
        self.create = False
        # An unchanged sheet is handed in again, so that the programme shows when it was last known to be true.
        await self.inlet.put_talks(self.talks)
        await self._ask()
        self.inlet.up()
        self.inlet.caught_up()
        return self.options.refresh

    async def _ask(self) -> None:
        """Ask for work on the rows that are ready; each once, until its recording changes."""
        wanted = {
            f"sheet:{self.inlet.name}:{talk.id}:{talk.recording}": talk
            for talk in self.talks
            if talk.ready and talk.recording and not talk.excluded
        }
        self.asked &= wanted.keys()
        arrivals = []
        for key, talk in wanted.items():
            if key not in self.asked:
                try:
                    arrivals.append(self._arrival(key, talk))
                except Refused as refusal:
                    await self.inlet.dead_letter(f"{talk.facts['row']}: {talk.recording}", refusal.sentence)
        if arrivals:
            await self.inlet.admit(arrivals)
        self.asked |= wanted.keys()

    def _arrival(self, key: str, talk: Talk) -> Arrival:
        location = _location(talk.recording or "", self.inlet.tools.path(self.options.recordings or self.path.parent))
        times = {"start": talk.start, "end": talk.end}
        return Arrival(
            key=key,
            location=location,
            name=unquote(urlsplit(location).path).rpartition("/")[2],
            facts={"talk": talk.id} | {name: value for name, value in times.items() if value is not None},
            priority=talk.priority,
            pipeline=self.options.pipeline,
        )


def _location(recording: str, root: Path) -> str:
    """A recording as a URI. Refused where a local one lies outside `root`: whoever edits the sheet may not read all."""
    parts = urlsplit(recording)
    if parts.scheme in _REMOTE:
        return recording
    if "://" in recording and parts.scheme != "file":
        raise Refused(f"The recording {recording[:120]!r} is neither a path nor an s3, http or https address.")
    path = url2pathname(parts.path) if parts.scheme == "file" else recording
    real, home = (Path(os.path.realpath(one)) for one in (root / path, root))
    if "\0" in path or not real.is_relative_to(home):
        raise Refused(f"The recording {recording[:120]!r} does not lie in {home}: move it there, or set `recordings`.")
    return real.as_uri()


def _stat(path: Path, *, create: bool) -> Signature:
    try:
        if create and path.suffix.lower() == ".csv" and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError), path.open("x", encoding="utf-8") as new:
                new.write(_HEADINGS)
        return signature(path.stat())
    except FileNotFoundError:
        raise AgainLater(f"There is no sheet {path}: put it there, or correct its path.") from None
    except OSError as error:
        raise disk_fault(error, f"looking at the sheet {path}") from error
