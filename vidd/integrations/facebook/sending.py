"""One file on its way to a page, as far as the journal's token tells: a session begun, filled and finished.

The token has `account`, `page`, `size` and `stamp` of the file; `session`, `video`, `at` and `end` while bytes go out;
`finish` (when) and `marker` once the video was asked to be published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.integrations.facebook.errors import Wait400
from vidd.integrations.facebook.upload import Session, Transfer, finish, identity_of, start
from vidd.integrations.facebook.video import Film, look
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.integrations.facebook.api import Graph
    from vidd.integrations.facebook.text import Words
    from vidd.ports import PublishContext


class Sending:
    """One file on its way to a page. `token` is what was saved last."""

    def __init__(self, context: PublishContext, api: Graph, path: Path, words: Words, marker: str) -> None:
        self._context, self._api, self._path = context, api, path
        self._words, self._marker = words, marker
        self._size, self._stamp = identity_of(path)
        self.token: dict[str, Any] = dict(context.publication.token)
        about = {"account": api.name, "page": api.page, "size": self._size, "stamp": self._stamp}
        if any(self.token.get(name) != value for name, value in about.items()):
            self.token = about

    async def run(self) -> Film | None:
        """Go on from where the token says; the video as it is then seen."""
        try:
            session = await self._session()
            session = await self._transfer(session)
            self.token |= {"at": session.at, "end": session.end, "finish": self._now, "marker": self._marker}
            await self._context.sent(self.token)
            await finish(self._api, session, self._words.form)
        except Wait400:
            await self.forget()
            raise
        return await look(self._api, session.video, labels=self._words.label is not None)

    @property
    def doubtful(self) -> bool:
        """Whether the session was asked to finish before this attempt, so that it may be gone because it did."""
        earlier = self._context.publication.token
        return {"finish", "session"} <= earlier.keys() and earlier["video"] == self.token["video"]

    async def forget(self) -> None:
        """The session is of no more use; the video's id stays known, in case it was finished all the same."""
        self.token = {name: value for name, value in self.token.items() if name not in {"session", "at", "end"}}
        await self._context.checkpoint(self.token)

    @property
    def _now(self) -> str:
        return self._context.tools.clock.now().isoformat()

    async def _session(self) -> Session:
        known = self.token
        if "session" in known:
            return Session(known["session"], known["video"], known["at"], known["end"])
        session = await start(self._api, self._size)
        self.token = {name: value for name, value in known.items() if name not in {"finish", "marker"}}
        await self._note(session)
        return session

    async def _note(self, session: Session) -> None:
        self.token |= {"session": session.id, "video": session.video, "at": session.at, "end": session.end}
        await self._context.checkpoint(self.token)

    async def _transfer(self, session: Session) -> Session:
        context = self._context
        meter = ProgressMeter(
            "facebook",
            "upload",
            progress=context.progress,
            observe=context.tools.observe,
            total=self._size,
            done=session.at,
        )
        transfer = Transfer(self._api, session, self._path, size=self._size, meter=meter, note=self._note)
        await transfer.run()
        meter.report()
        return transfer.session
