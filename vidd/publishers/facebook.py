"""Publish to a Facebook page: a resumable upload, waited for until it is processed, and never twice.

The upload's session and the video's id are saved before the first byte; that the upload is about to be finished is
saved before it is asked for, because only that makes the video be seen. Whether it took effect is asked by the video's
id and then by a marker in the page's last videos.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from vidd.clients.facebook import Account, Graph, graph
from vidd.clients.facebook_faults import GraphError, Wait400
from vidd.clients.facebook_upload import Session, SessionGone, Transfer, finish, identity_of, start
from vidd.clients.facebook_video import Film, correct, delete, look, marked
from vidd.clients.facebook_words import Words, marker_of, words_of
from vidd.clients.meter import Meter
from vidd.clients.watched import watched
from vidd.errors import AgainLater, NobodyKnows, Refused
from vidd.model.publication import Receipt
from vidd.model.talk import names_in_words
from vidd.options import Duration
from vidd.options import Options as Base
from vidd.texts import check_template

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from vidd.ports import Parcel, Tools

SLOT = "uploads"

_Template = Annotated[str, AfterValidator(check_template)]


class Options(Base):
    """Which page a talk goes to, and with which words."""

    account: str | None = Field(None, description="The Facebook account, where the talk's stage has none of its own.")
    accounts: dict[str, str] = Field(default_factory=dict, description="Accounts by the talk's stage.")
    file: str | None = Field(None, description="Role of the file; without it, what the steps made first.")
    title: _Template = Field("{{ title }}", description="Template of the title.")
    description: _Template = Field("{{ description }}", description="Template of the description, with the speakers.")
    published: bool = Field(True, description="Show it to everybody; false keeps every video to the page's own people.")
    marker: Literal["label", "description"] = Field(
        "label",
        description="Where the job's marker stands: a label that only the page sees, or the description's last line.",
    )
    wait_after_400: Duration = Field(
        21600.0, gt=0, description="How long a video waits after a 400 that says nothing more."
    )
    settle: Duration = Field(
        120.0, ge=0, description="How long after the last byte it is not yet believed that a video is not there."
    )
    look_again: Duration = Field(30.0, gt=0, description="Time between two looks at a video that is being processed.")
    processing: Duration = Field(86400.0, gt=0, description="Longest processing; then a person must look.")
    recent: int = Field(200, gt=0, description="How many of the page's last videos are looked through for the marker.")

    @model_validator(mode="after")
    def _some_account(self) -> Options:
        if self.account is None and not self.accounts:
            raise ValueError("give account, or accounts by stage")
        return self


def _words(options: Options, parcel: Parcel, marker: str) -> Words:
    return words_of(
        parcel,
        title=options.title,
        description=options.description,
        published=options.published,
        marker=marker,
        label=options.marker == "label",
    )


def _account_of(options: Options, parcel: Parcel) -> str:
    stage = parcel.talk.stage if parcel.talk else ""
    name = options.accounts.get(stage) or options.account
    if name is None:
        raise Refused(f"No Facebook account is given for the stage {stage!r}: add it to accounts, or set account.")
    return name


@asynccontextmanager
async def _open(options: Options, tools: Tools, name: str) -> AsyncIterator[Graph]:
    account = tools.account(name, Account)
    async with graph(account, name, tools.clock, wait_after_400=options.wait_after_400) as api:
        yield api


async def publish(options: Options, parcel: Parcel) -> Receipt:
    """Upload, publish, and look whether it is processed."""
    async with _open(options, parcel.tools, _account_of(options, parcel)) as api:
        sending = _Sending(options, parcel, api)
        try:
            film = await sending.run()
        except SessionGone:
            await sending.forget()
            if sending.doubtful:
                raise AgainLater(
                    "Facebook no longer knows the upload that was to be published; the video is looked for once more.",
                    after=options.settle,
                    counts=False,
                ) from None
            try:
                film = await sending.run()
            except SessionGone:
                raise AgainLater("Facebook forgets each upload session at once; another one is tried.") from None
        return await _outcome(options, parcel, sending.token, film)


class _Sending:
    """One file on its way to a page. `token` is what was saved last."""

    def __init__(self, options: Options, parcel: Parcel, api: Graph) -> None:
        artifact = parcel.chosen([options.file] if options.file else [])[0]
        self._options, self._parcel, self._api = options, parcel, api
        self._path: Path = parcel.directory / artifact.path
        self._size, self._stamp = identity_of(self._path)
        self._marker = marker_of(parcel)
        self._words = _words(options, parcel, self._marker)
        self.token: dict[str, Any] = dict(parcel.publication.token)
        about = {"account": api.name, "page": api.page, "size": self._size, "stamp": self._stamp}
        if any(self.token.get(name) != value for name, value in about.items()):
            self.token = about

    async def run(self) -> Film | None:
        """Go on from where the token says; the video as it is then seen."""
        try:
            session = await self._session()
            session = await self._transfer(session)
            self.token |= {"at": session.at, "end": session.end, "finish": self._now, "marker": self._marker}
            await self._parcel.sent(self.token)
            await finish(self._api, session, self._words.form)
        except Wait400:
            await self.forget()
            raise
        return await look(self._api, session.video, labels=self._options.marker == "label")

    @property
    def doubtful(self) -> bool:
        """Whether the session was asked to finish before this attempt, so that it may be gone because it did."""
        earlier = self._parcel.publication.token
        return {"finish", "session"} <= earlier.keys() and earlier["video"] == self.token["video"]

    async def forget(self) -> None:
        """The session is of no more use; the video's id stays known, in case it was finished all the same."""
        self.token = {name: value for name, value in self.token.items() if name not in {"session", "at", "end"}}
        await self._parcel.checkpoint(self.token)

    @property
    def _now(self) -> str:
        return self._parcel.tools.clock.now().isoformat()

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
        await self._parcel.checkpoint(self.token)

    async def _transfer(self, session: Session) -> Session:
        parcel = self._parcel
        meter = Meter(
            "facebook",
            "upload",
            progress=parcel.progress,
            observe=parcel.tools.observe,
            total=self._size,
            done=session.at,
        )
        transfer = Transfer(self._api, session, self._path, size=self._size, meter=meter, note=self._note)
        await transfer.run()
        meter.tell()
        return transfer.session


async def reconcile(options: Options, parcel: Parcel) -> Receipt | None:
    """Ask whether the finish took effect; None where it was never asked for, or provably did not."""
    token = parcel.publication.token
    if "finish" not in token:
        return None
    async with _open(options, parcel.tools, token["account"]) as api:
        film = await _found(options, api, token)
    if film is not None:
        return await _outcome(options, parcel, token, film)
    left = options.settle - _age(parcel, token)
    if left > 0:
        raise AgainLater("Facebook does not show the video yet; it is looked for again.", after=left, counts=False)
    return None


async def _found(options: Options, api: Graph, token: Mapping[str, Any]) -> Film | None:
    """The video, if its upload was finished: by its id, then by its marker in the page's last videos."""
    marker, labels = token["marker"], options.marker == "label"
    film = await look(api, token["video"], labels=labels)
    if film is not None and (film.taken_up or film.failed or marker in film.labels or marker in film.description):
        return film
    return await marked(api, token["page"], marker, labels=labels, most=options.recent)


def _age(parcel: Parcel, token: Mapping[str, Any]) -> float:
    return (parcel.tools.clock.now() - datetime.fromisoformat(token["finish"])).total_seconds()


async def _outcome(options: Options, parcel: Parcel, token: Mapping[str, Any], film: Film | None) -> Receipt:
    """The receipt once it is processed; else the wait for that, or the end of it."""
    if film is not None and film.ready:
        return _receipt(token, film)
    video = film.id if film else token["video"]
    if film is not None and film.failed:
        # A person who corrects what was wrong and tries again wants another upload, not this answer once more.
        await parcel.checkpoint({})
        raise Refused(
            f"Facebook could not process the video {video} ({film.failed}): correct the file and retry; what is left of "
            "it can be deleted from the page."
        )
    seconds, seen = watched(token, parcel.tools.clock.now(), options.look_again)
    await parcel.checkpoint(seen)
    if seconds > options.processing:
        raise NobodyKnows(
            f"Facebook has been processing the video {video} since {token['finish'][:16]}: look at the page "
            f"{token['page']}, whether it can be seen there."
        )
    raise AgainLater(
        f"Facebook is processing the video {video}; it is looked at again.", after=options.look_again, counts=False
    )


def _receipt(token: Mapping[str, Any], film: Film) -> Receipt:
    facts = {
        "video": film.id,
        "page": token["page"],
        "account": token["account"],
        "title": film.title,
        "published": film.published,
    }
    return Receipt(url=film.url(token["page"]), facts=facts)


def _published(parcel: Parcel) -> Mapping[str, Any]:
    receipt = parcel.publication.receipt
    if receipt is None or "video" not in receipt.facts:
        raise Refused("There is no receipt that names a video on Facebook, so nothing can be changed there.")
    return receipt.facts


async def amend(options: Options, parcel: Parcel) -> Receipt:
    """Bring title, description and whether everybody sees it up to date; written only where it differs."""
    facts = _published(parcel)
    marker = parcel.publication.token.get("marker") or marker_of(parcel)
    words, video = _words(options, parcel, marker), str(facts["video"])
    async with _open(options, parcel.tools, facts["account"]) as api:
        film = await look(api, video, labels=False)
        if film is None:
            raise Refused(
                f"The video {video} is no longer on the page {facts['page']}: publish it again, or let it be."
            )
        await correct(api, film, words)
        film = await look(api, video, labels=False) or film
    return _receipt(facts, film)


async def retract(options: Options, parcel: Parcel) -> str:
    """Delete the video by its id; one that is gone already is as good."""
    facts = _published(parcel)
    video = str(facts["video"])
    async with _open(options, parcel.tools, facts["account"]) as api:
        if not await delete(api, video):
            return f"The video {video} was no longer on the page {facts['page']}."
    return f"The video {video} is deleted from the page {facts['page']}."


async def check(options: Options, tools: Tools) -> str:
    """Ask every account which page its token is of."""
    names = dict.fromkeys([*([options.account] if options.account else []), *options.accounts.values()])
    said = []
    for name in names:
        async with _open(options, tools, name) as api:
            doing = f"asking whose token the account {name!r} has"
            try:
                found = await api.get("me", doing=doing, fields="id,name")
            except GraphError as error:
                raise api.fate(error, doing) from error
            if str(found.get("id")) != api.page:
                raise Refused(
                    f"The token of the account {name!r} is that of {found.get('name')!r} ({found.get('id')}), not of the "
                    f"page {api.page}: correct one of them; `vidd accounts facebook` lists pages and tokens."
                )
            said.append(f"{found.get('name')} ({api.page})")
    return f"The page{'s' if len(said) > 1 else ''} {names_in_words(said)} can be reached."
