"""A channel at the double of YouTube, and a publication on its way there as the engine would carry it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from builders.engine import job
from builders.google import signed_in
from vidd.errors import OutcomeUnknown, RetryLater
from vidd.integrations.youtube import publisher as youtube_publisher
from vidd.integrations.youtube.account import Account
from vidd.integrations.youtube.publisher import Options
from vidd.model.media import Artifact
from vidd.model.publication import Publication, Receipt
from vidd.model.talk import Speaker, Talk
from vidd.ports import Encoder, PublishContext, Tools

PIECE = 256 * 1024
MOVIE = bytes(range(256)) * 3000
TALK = Talk("t1", "On things", "All of them.", (Speaker("Ada"),), stage="Main")
FACTS = {"title": "On things", "description": "Ada\n\nAll of them.", "tags": ["Ada", "Main Stage"]}


class Clock:
    """Stands still but for what is slept, which passes at once."""

    def __init__(self):
        self.time = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)

    def now(self):
        return self.time

    async def sleep(self, seconds):
        self.time += timedelta(seconds=seconds)
        await asyncio.sleep(0)

    def forward(self, seconds):
        self.time += timedelta(seconds=seconds)


class Killed(BaseException):
    """The daemon is no more."""


@dataclass
class Desk:
    """One publication; what is saved outlives an attempt. `kill` ends the daemon before or after a saving."""

    tools: Tools
    directory: Any
    options: Options
    talk: Talk | None = TALK
    facts: dict = field(default_factory=lambda: dict(FACTS))
    publication: Publication | None = None
    artifacts: dict = field(default_factory=dict)
    saved: list = field(default_factory=list)
    waits: list = field(default_factory=list)
    kill: Any = None
    job: Any = None

    def __post_init__(self):
        self.job = self.job or job("01ABCDEF", talk="t1")
        self.publication = Publication(self.job.id, "youtube", "youtube", self.tools.clock.now())
        if "talk" not in self.artifacts:
            self.add("talk", "talk.mp4", MOVIE, "video/mp4")

    def add(self, role, name, data, content_type):
        (self.directory / name).write_bytes(data)
        self.artifacts[role] = Artifact(role, name, len(data), content_type)
        return self

    @property
    def token(self):
        return self.publication.token

    @property
    def context(self):
        async def checkpoint(token):
            if self.kill is not None:
                self.kill("before", token)
            self.publication = replace(self.publication, token=dict(token))
            self.saved.append(dict(token))
            if self.kill is not None:
                self.kill("after", token)

        return PublishContext(
            self.job, self.directory, self.tools, self.talk, self.artifacts, self.facts, self.publication, {},
            lambda *_: None, checkpoint, checkpoint,
        )  # fmt: skip

    async def attempt(self) -> Receipt:
        """One try as the engine makes it: what was begun is asked for first, and again after a lost reply."""
        if self.publication.begun:
            found = await youtube_publisher.reconcile(self.options, self.context)
            if found is not None:
                return self._done(found)
        self.publication = replace(self.publication, begun=True, tried=self.tools.clock.now())
        try:
            return self._done(await youtube_publisher.publish(self.options, self.context))
        except OutcomeUnknown as unknown:
            found = await youtube_publisher.reconcile(self.options, self.context)
            if found is None:
                raise RetryLater(unknown.sentence) from unknown
            return self._done(found)

    async def through(self, most=30) -> Receipt:
        """Try until there is a receipt, waiting as long as it is asked for."""
        for _ in range(most):
            try:
                return await self.attempt()
            except RetryLater as fault:
                self.waits.append(fault)
                self.tools.clock.forward(max(5.0, fault.after or 0.0))
            except Killed:
                self.kill = None
        raise AssertionError([wait.sentence for wait in self.waits])

    def _done(self, receipt):
        self.publication = replace(self.publication, receipt=receipt)
        return receipt

    async def amend(self, **changes):
        for name, value in changes.items():
            setattr(self, name, value)
        return self._done(await youtube_publisher.amend(self.options, self.context))

    async def retract(self):
        return await youtube_publisher.retract(self.options, self.context)


def an_account(double, certificate, **changes):
    return signed_in(double, certificate, model=Account, api_url=double.url, **changes)


def the_tools(state, account, **more):
    return Tools(state, Encoder(state / "ffmpeg"), Clock(), accounts={"channel": account, **more})


def a_desk(double, certificate, directory, *, account=None, tools=None, **options):
    account = account or an_account(double, certificate)
    tools = tools or the_tools(directory, account)
    double.now = double.oauth.now = lambda: tools.clock.now().timestamp()
    return Desk(tools, directory, Options(**{"account": "channel", "chunk": PIECE, **options}))


def creations(double):
    """How many sessions were begun, and how many of them got bytes."""
    return len(double.called("POST", "upload.*videos")), sum(
        value.received > 0 for value in double.sessions.all.values()
    )
