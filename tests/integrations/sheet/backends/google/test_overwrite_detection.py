"""Hundreds of random mixtures of what people, Google and a crash can do while vidd writes.

Every word of a person is kept by the double in a ledger, by the row it was meant for; at the end it must stand there,
and every row must say what vidd has to say of its own talk.
"""

import asyncio
import random
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace

import pytest
from builders.google_sheets import GOOGLE, near, restarted, tools_at, unserved
from builders.mail import NOON, HeldClock, Sent, job
from peers.field_masks import Invalid
from peers.sheets import Lost

from vidd.engine.row_sync import RowSync
from vidd.errors import Refused, RetryLater
from vidd.integrations.sheet import publisher as sheet_publisher
from vidd.model.event import JobMoved
from vidd.model.job import State
from vidd.model.publication import Publication, PublicationState, Receipt
from vidd.ports import ShortMemory

pytestmark = pytest.mark.peer

ROUNDS = 150

HEADINGS = ["uuid", "token", "notes", "status", "link", "remarks"]
LAST = {State.PUBLISHED: "published", State.WORKING: "processing", State.REFUSED: "failed", None: "not uploaded"}


class Killed(BaseException):
    """vidd dies at this request."""


class Journal:
    """As much of a store as the row sync reads."""

    def __init__(self):
        self.known = {}

    async def jobs(self, *, pipeline, talk=None, limit=None):
        return [value for key, value in self.known.items() if talk in {None, key}]

    async def publications(self, job_id):
        job = next(value for value in self.known.values() if value.id == job_id)
        if job.state is not State.PUBLISHED:
            return []
        return [Publication(job.id, "s3", "s3", NOON, state=PublicationState.DONE, receipt=Receipt(link(job.talk)))]


def link(talk):
    return f"https://video.example.org/{talk}"


@dataclass
class Run:
    """One mixture. `ledger` has what a person wrote last, by the row's token and the column's heading."""

    seed: int
    far: object
    state: object
    tools: object
    rolls: random.Random = field(init=False)
    ledger: dict = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)
    writes: list = field(default_factory=list)
    gone: dict = field(default_factory=dict)
    trouble: int = 25
    words: int = 0

    def __post_init__(self):
        self.rolls = random.Random(self.seed)
        for stage in range(self.rolls.randint(1, 2)):
            rows = [HEADINGS]
            for number in range(1, self.rolls.randint(4, 7)):
                rows.append([f"{stage}-{number}", f"row {stage}.{number}", f"first {stage}.{number}", "", "", ""])
                if self.rolls.random() < 0.3:
                    rows.append(["", f"pause {stage}.{number}", "", "", "", ""])
            self.far.book().add(f"Stage {stage}", rows, height=len(rows) + 2, width=len(HEADINGS))
            tab = self.far.book().tab(f"Stage {stage}")
            for number, row in enumerate(rows[1:], 1):
                tab.cells[number].tag = row[1]
                for column, heading in enumerate(HEADINGS[:3]):
                    self.ledger[row[1], heading] = row[column]
        self.far.hand = self.hand

    # What people do.

    def hand(self, phase, line):
        if phase == "before" and line.startswith("POST"):
            self.writes.append(self.tools.clock.now())
        while self.trouble and self.rolls.random() < 0.4:
            self.trouble -= 1
            self.rolls.choices(
                [
                    self.edit,
                    self.move,
                    self.sort,
                    self.insert,
                    self.delete,
                    self.retype,
                    self.rename,
                    self.column,
                    self.fail,
                ],
                [8, 3, 2, 2, 1, 1, 1, 1, 3],
            )[0]()

    def tab(self):
        return self.rolls.choice(self.far.book().visible())

    def row(self, tab):
        """A row that has something in it."""
        filled = [row for row in range(2, tab.height + 1) if self.token(tab, row)]
        return self.rolls.choice(filled) if filled else None

    def token(self, tab, row):
        return tab.cells[row - 1].tag

    def at(self, tab, heading):
        return next(column for column in range(tab.width) if tab.text(1, column) == heading)

    def edit(self):
        tab = self.tab()
        row = self.row(tab)
        if row is None:
            return
        heading = self.rolls.choice(["notes", "status", "link", "status", "link", "remarks"])
        self.words += 1
        text = "" if self.rolls.random() < 0.15 else f"word {self.words}"
        if not text and not tab.text(row, self.at(tab, heading)):
            return
        tab.type(row, self.at(tab, heading), text)
        self.ledger[self.token(tab, row), heading] = text

    def move(self):
        tab = self.tab()
        tab.move_row(self.rolls.randint(2, tab.height), self.rolls.randint(2, tab.height))

    def sort(self):
        tab = self.tab()
        tab.sort(
            self.at(tab, self.rolls.choice(["uuid", "token", "status", "notes"])), reverse=self.rolls.random() < 0.5
        )

    def insert(self):
        tab = self.tab()
        new = tab.insert_row(self.rolls.randint(2, tab.height))
        if self.rolls.random() < 0.5:
            self.words += 1
            row = next(number for number, cell in enumerate(tab.cells, 1) if cell is new)
            new.tag = f"pause {self.words}"
            tab.type(row, self.at(tab, "token"), new.tag)
            self.ledger[new.tag, "token"] = new.tag
            if self.rolls.random() < 0.5:
                tab.type(row, self.at(tab, "status"), f"word {self.words}")
                self.ledger[f"pause {self.words}", "status"] = f"word {self.words}"

    def delete(self):
        tab = self.tab()
        row = self.row(tab)
        if row is not None:
            token = tab.delete_row(row).tag
            talk = self.ledger.get((token, "uuid"))
            if talk:
                self.gone[token] = (tab.id, talk)
            self.ledger = {key: text for key, text in self.ledger.items() if key[0] != token}

    def retype(self):
        """Somebody changes an id, and changes it back."""
        tab = self.tab()
        row = self.row(tab)
        talk = row and self.ledger.get((self.token(tab, row), "uuid"))
        if talk:
            self.ledger[self.token(tab, row), "uuid"] = new = talk[:-1] if talk.endswith("?") else f"{talk}?"
            tab.type(row, self.at(tab, "uuid"), new)

    def rename(self):
        self.words += 1
        self.tab().title = f"Renamed {self.words}"

    def column(self):
        tab = self.tab()
        if self.rolls.random() < 0.5 and tab.width < 12:
            tab.insert_column(self.rolls.randint(0, tab.width - 1))
        else:
            tab.move_column(self.rolls.randint(0, tab.width - 1), self.rolls.randint(0, tab.width - 1))

    def fail(self):
        busy = Invalid("Quota exceeded", 429, "RESOURCE_EXHAUSTED")
        down = Invalid("The service is currently unavailable.", 503, "UNAVAILABLE")
        raise self.rolls.choice([Lost(), Lost(), Killed(), busy, down])

    def restore(self):
        """The rows that were deleted are put back, and the ids corrected."""
        for token, (number, talk) in self.gone.items():
            tab = next(tab for tab in self.far.book().tabs if tab.id == number)
            tab.insert_row(tab.height + 1).tag = token
            for heading, text in (("uuid", talk), ("token", token)):
                self.ledger[token, heading] = text
                tab.type(tab.height, self.at(tab, heading), text)
        for tab in self.far.book().visible():
            for row in range(2, tab.height + 1):
                key = (self.token(tab, row), "uuid")
                if self.ledger.get(key, "").endswith("?"):
                    self.ledger[key] = self.ledger[key][:-1]
                    tab.type(row, self.at(tab, "uuid"), self.ledger[key])

    # What vidd does.

    async def talk(self, talk):
        self.journal.known[talk] = job(
            id=f"job-{talk}", talk=talk, state=self.rolls.choice([State.WORKING, State.REFUSED])
        )
        await self.said(talk)
        await asyncio.sleep(0)
        if self.rolls.random() < 0.7:
            self.journal.known[talk] = job(id=f"job-{talk}", talk=talk, state=State.PUBLISHED)
            await self.said(talk)
            await self.publish(talk)

    async def said(self, talk):
        self.row_sync.note(JobMoved(self.journal.known[talk], None))
        await self.patiently(self.row_sync.flush)

    async def publish(self, talk):
        receipts = {"s3": Receipt(link(talk))}
        context = Sent(self.state, kind="sheet", tools=self.tools, receipts=receipts, job=job(talk=talk)).context()
        await self.patiently(lambda: sheet_publisher.publish(sheet_publisher.Options(**GOOGLE), context))

    async def patiently(self, call):
        for _ in range(20):
            try:
                await call()
            except RetryLater as fault:
                self.tools.clock.advance(fault.after or 5)
            except Refused as fault:
                if "has no row" not in str(fault):
                    raise
            else:
                return

    def start(self):
        """vidd starts: nothing is left of what it had in mind but what it remembers for good."""
        self.tools = restarted(self.tools)
        options = sheet_publisher.Options(**GOOGLE)
        stage = SimpleNamespace(store=self.journal, tools=self.tools)
        self.row_sync = RowSync(
            stage, "talks", lambda standings, tools: sheet_publisher.follow(options, standings, tools)
        )

    async def all(self):
        talks = [text for (_, heading), text in self.ledger.items() if heading == "uuid" and text]
        self.start()
        tasks = [asyncio.create_task(self.talk(talk)) for talk in talks]
        for task in tasks:
            try:
                await task
            except (Killed, asyncio.CancelledError):
                for other in tasks:
                    other.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.start()
        self.trouble = 0
        self.restore()
        self.start()
        for talk in self.journal.known:
            self.row_sync.note(JobMoved(self.journal.known[talk], None))
        await self.patiently(self.row_sync.flush)
        for talk, known in self.journal.known.items():
            if known.state is State.PUBLISHED:
                await self.publish(talk)

    # What came of it.

    def judge(self):
        lost, wrong = [], []
        standing = {}
        for tab in self.far.book().visible():
            for row in range(2, tab.height + 1):
                token = self.token(tab, row)
                talk = self.ledger.get((token, "uuid"), "")
                for heading in HEADINGS:
                    text, theirs = tab.text(row, self.at(tab, heading)), self.ledger.get((token, heading), "")
                    standing[token, heading] = text
                    if theirs and text != theirs:
                        lost.append((token, heading, theirs, text))
                    elif not theirs and text != self.ours(talk, heading):
                        wrong.append((token, heading, self.ours(talk, heading), text))
        lost += [(*key, text, None) for key, text in self.ledger.items() if text and key not in standing]
        return lost, wrong

    def ours(self, talk, heading):
        known = self.journal.known.get(talk)
        if heading == "status" and talk:
            return LAST[known.state if known else None]
        return link(talk) if heading == "link" and known and known.state is State.PUBLISHED else ""


async def test_no_persons_word_is_lost_and_no_row_is_wrong_whatever_happens_meanwhile(tmp_path, monkeypatch, capsys):
    lost, wrong, writes, edits, hasty = [], [], 0, 0, 0
    for seed in range(ROUNDS):
        with unserved() as far:
            tools = tools_at(far, tmp_path, near(monkeypatch, far), ShortMemory(), HeldClock())
            run = Run(seed, far, tmp_path, tools)
            async with asyncio.timeout(60):
                await run.all()
            found_lost, found_wrong = run.judge()
            lost += [(seed, *entry) for entry in found_lost]
            wrong += [(seed, *entry) for entry in found_wrong]
            writes, edits = writes + len(run.writes), edits + run.words
            pairs = pairwise(run.writes)
            hasty += sum((later - sooner).total_seconds() < 2 for sooner, later in pairs)
    line = f"{ROUNDS} mixtures, {edits} edits, {writes} writes: human_edits_lost={len(lost)} wrong_row={len(wrong)}\n"
    with capsys.disabled():
        sys.stdout.write(f"\n{line}")
    assert (lost[:5], wrong[:5], hasty) == ([], [], 0)
