"""A mail to everybody who should know, one per person.

What became of each recipient is recorded: `intent` before the mail goes out, then `sent`. An intent without an
answer stays open. The outbox can be asked whether the mail is there; a mail server cannot, so a person must look,
and nobody gets a mail twice because somebody else's failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from email.utils import getaddresses
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from vidd.clients.address import parse_address
from vidd.clients.letter import Letter, Person, ascii_domain, message_id, write_letter
from vidd.clients.notice import NoticeOptions
from vidd.clients.outbox import make_outbox, post
from vidd.clients.smtp import Account, Session, session
from vidd.errors import AgainLater, Fault, NobodyKnows, Refused
from vidd.model.publication import Receipt
from vidd.model.talk import names_in_words
from vidd.ports import Parcel, Tools
from vidd.printable import quoted
from vidd.texts import check_template, fields_of, render, title_among

SLOT: str | None = "mails"
LETTER = True

_HERE = files("vidd.publishers")
_TEXT, _HTML = (_HERE.joinpath(name).read_text("utf-8") for name in ("mail.txt.j2", "mail.html.j2"))
_FAILED = _HERE.joinpath("mail_failed.txt.j2").read_text("utf-8")
_GRACE = 10.0

_Template = Annotated[str, AfterValidator(check_template)]


def _mailbox(text: str) -> str:
    if parse_address(text) is None:
        raise ValueError(f"{text!r} is no e-mail address; write it like team@example.org or Team <team@example.org>")
    return text


class Options(NoticeOptions):
    """Settings of a notice of kind `mail`.

    Templates may name title, link, urls (by publisher), recipient.name, sender.name, talk, job, speakers, failure and the
    steps' facts.
    """

    account: str | None = Field(None, description="The mail server, by the name of its account; an outbox otherwise.")
    outbox: Path = Field(Path("outbox"), description="Where mails are written as .eml files when there is no account.")
    sender: Annotated[str, AfterValidator(_mailbox)] = Field(
        "vidd <vidd@localhost>", description="Whom it is from, as Name <address>."
    )
    to: tuple[_Template, ...] | None = Field(
        None, description="Whom it goes to, addresses or templates that make some; the talk's speakers otherwise."
    )
    cc: tuple[_Template, ...] = Field((), description="Who gets a copy that everybody sees.")
    bcc: tuple[_Template, ...] = Field((), description="Who gets a copy that nobody sees.")
    reply_to: tuple[_Template, ...] = Field((), description="Where answers go, if not to the sender.")
    subject: _Template = Field('Your talk "{{ title }}" is online', description="The subject.")
    text: _Template | None = Field(None, description="The plain text; a friendly one otherwise.")
    html: _Template | None = Field(None, description="The same as HTML; none where only the text is set.")
    text_file: Path | None = Field(None, description="A file with the plain text's template.")
    html_file: Path | None = Field(None, description="A file with the HTML template.")

    @model_validator(mode="before")
    @classmethod
    def _words_for_a_failure(cls, values: Any) -> Any:
        """What is said of a failure where the settings do not say it, and never to the speakers by themselves."""
        if not isinstance(values, dict) or values.get("on") != "failed":
            return values
        if values.get("to") is None:
            raise ValueError("say in `to` who is told of failures: the speakers are not")
        own = values.get("text") is not None or values.get("text_file") is not None
        return {"subject": "Failed: {{ title }}", **values} | ({} if own else {"text": _FAILED})

    @model_validator(mode="after")
    def _one_of_each(self) -> Options:
        for inline, file in (("text", "text_file"), ("html", "html_file")):
            if getattr(self, inline) is not None and getattr(self, file) is not None:
                raise ValueError(f"set {inline} or {file}, not both")
        return self


async def publish(options: Options, parcel: Parcel) -> Receipt:
    """Send what has not been sent. NobodyKnows, AgainLater or Refused names those who did not get theirs."""
    return await _Round(options, parcel, resend=True).run()


async def reconcile(options: Options, parcel: Parcel) -> Receipt | None:
    """Ask the outbox, or finish what is certain and leave the rest to a person. None where nothing went out."""
    if not parcel.publication.token.get("recipients"):
        return None
    return await _Round(options, parcel, resend=options.account is None).run()


async def check(options: Options, tools: Tools) -> str:
    """Log in and ask for a sign of life, without sending anything."""
    _template(options.text_file, tools)
    _template(options.html_file, tools)
    if options.account is None:
        await asyncio.to_thread(make_outbox, tools.path(options.outbox))
        return f"mails go into {tools.path(options.outbox)}"
    account = tools.account(options.account, Account)
    async with session(account, tools) as line:
        await line.noop()
    return f"{account.place} takes mail" + (f" from {account.user}" if account.user else "")


class _Round:
    """One attempt at all recipients. `resend` says whether an open intent may be sent again.

    For an outbox the files themselves tell what is out. A mail server cannot be asked, so there `reconcile` never
    resends, and the engine calls `publish` on an open intent only where `reconcile` did not object.
    """

    def __init__(self, options: Options, parcel: Parcel, *, resend: bool) -> None:
        self.options, self.parcel, self.resend = options, parcel, resend
        self.states: dict[str, dict[str, Any]] = {
            address: dict(state) for address, state in parcel.publication.token.get("recipients", {}).items()
        }
        self.faults: dict[str, Fault] = {}

    async def run(self) -> Receipt:
        """The receipt once everybody has theirs."""
        letters, bad = _letters(self.options, self.parcel)
        self.faults |= bad
        todo = []
        for letter in letters:
            state = self._state(letter)
            if state == "intent" and not self.resend:
                self.faults[letter.recipient.address] = _unknown(letter)
            elif state != "sent":
                todo.append(letter)
        if self.options.account is None:
            await self._into_outbox(todo)
        else:
            await self._over(self.parcel.tools.account(self.options.account, Account), todo)
        self._raise_worst(len(letters) + len(bad))
        facts: dict[str, Any] = {"recipients": [letter.recipient.address for letter in letters]}
        if not letters:
            facts["note"] = "Nobody to tell: the talk has no e-mail addresses."
        elif self.options.account is None:
            folder = self.parcel.tools.path(self.options.outbox)
            facts["files"] = [str(folder / letter.file_name) for letter in letters]
        return Receipt(facts=facts | {"message_ids": [letter.message_id for letter in letters]})

    async def _into_outbox(self, letters: Sequence[Letter]) -> None:
        folder = self.parcel.tools.path(self.options.outbox)
        for letter in letters:
            await self._record(letter, "intent")
            await asyncio.to_thread(post, folder, letter)
            await self._record(letter, "sent")

    async def _over(self, account: Account, letters: Sequence[Letter]) -> None:
        """Send over as few connections as the server leaves us."""
        waiting = list(letters)
        while waiting:
            try:
                async with session(account, self.parcel.tools) as line:
                    while waiting and line.open:
                        await self._send(waiting.pop(0), line)
            except Fault as fault:
                # The connection's fault, which holds for everybody who is left.
                self.faults |= {letter.recipient.address: fault for letter in waiting}
                return

    async def _send(self, letter: Letter, line: Session) -> None:
        address = letter.recipient.address
        try:
            if not line.takes(address):
                raise Refused(f"The mail server takes no address like {address}: give that person another one.")
            await line.envelope(_sender(self.options).address, address)
            await self._record(letter, "intent")
            await _undisturbed(self._hand_over(letter, line))
        except NobodyKnows:
            self.faults[address] = _unknown(letter)
        except Fault as fault:
            self.faults[address] = fault
            if self._state(letter) == "intent":
                await self._record(letter, "refused")
            if line.open:
                await line.reset()

    async def _hand_over(self, letter: Letter, line: Session) -> None:
        answer = await line.data(letter.content)
        await self._record(letter, "sent", answer=answer[:200])

    def _state(self, letter: Letter) -> str | None:
        return self.states.get(letter.recipient.address, {}).get("state")

    async def _record(self, letter: Letter, state: str, **more: str) -> None:
        self.states[letter.recipient.address] = {"state": state, "message_id": letter.message_id, **more}
        await self.parcel.checkpoint({"recipients": {address: dict(one) for address, one in self.states.items()}})

    def _raise_worst(self, total: int) -> None:
        """What nobody knows comes first, because only a person can end it; then what may still succeed."""
        for kind in (NobodyKnows, AgainLater, Refused):
            faults = [fault for fault in self.faults.values() if isinstance(fault, kind)]
            if faults:
                words = " ".join(dict.fromkeys(fault.sentence for fault in faults))
                sentence = f"{words} ({total - len(self.faults)} of {total} mails are out.)" if total > 1 else words
                if kind is AgainLater:
                    waits = [fault.after for fault in faults if isinstance(fault, AgainLater) and fault.after]
                    raise AgainLater(sentence, after=max(waits, default=None))
                raise kind(sentence)


def _unknown(letter: Letter) -> NobodyKnows:
    return NobodyKnows(
        f"Nobody knows whether {letter.recipient.address} got the mail: look for Message-ID {letter.message_id} in the "
        "mail server's log, and write yourself if it is not there. vidd does not send it again."
    )


async def _undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Let a mail that is going out come to its answer, a little beyond a cancellation; else it would stay unsure."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.wait([task], timeout=_GRACE)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        raise


def _sender(options: Options) -> Person:
    return Person(*(parse_address(options.sender) or ("", options.sender)))


def _template(path: Path | None, tools: Tools) -> str | None:
    if path is None:
        return None
    try:
        return check_template(tools.path(path).read_text("utf-8"))
    except OSError as error:
        raise Refused(f"The template {tools.path(path)} cannot be read ({error.strerror}): correct its path.") from None
    except ValueError as error:
        raise Refused(f"In {tools.path(path)} {error}: correct it.") from None


def _letters(options: Options, parcel: Parcel) -> tuple[list[Letter], dict[str, Fault]]:
    """The mails, and what stands for an address but is none."""
    bad: dict[str, Fault] = {}
    talk, tools, sender = parcel.talk, parcel.tools, _sender(options)
    named = names_in_words([speaker.name for speaker in talk.speakers if speaker.name] if talk else [])
    urls = {name: one.url for name, one in parcel.receipts.items() if one.url}
    fields = fields_of(parcel.job, talk, parcel.facts, link=parcel.link, urls=urls, speakers=named)
    fields["title"] = title_among(fields)
    fields["sender"] = {"name": sender.name, "email": sender.address}
    # Subject and text see the same fields for a copy as for the mail, only the greeting goes to all at once.
    if options.to is None:
        speakers = talk.speakers if talk else ()
        to = [Person(speaker.name, speaker.email) for speaker in speakers if speaker.email]
        for text in talk.facts.get("unusable", ()) if talk else ():
            where = f"in {talk.facts['row']} of the sheet" if talk else ""
            bad[text] = Refused(f"{quoted(text)} {where} is no e-mail address: correct it, then retry.")
    else:
        to = _people(options.to, fields, bad)
    if not to:
        return [], bad
    cc, bcc = _people(options.cc, fields, bad), _people(options.bcc, fields, bad)
    reply_to = _people(options.reply_to, fields, bad)
    text = options.text or _template(options.text_file, tools)
    html = options.html or _template(options.html_file, tools) or (None if text else _HTML)
    everybody = Person(names_in_words([person.name for person in to if person.name]), "")
    letters: dict[str, Letter] = {}
    for person, shown, greeted in [(one, [one], one) for one in to] + [(one, to, everybody) for one in cc + bcc]:
        mine = {**fields, "recipient": {"name": greeted.name, "email": person.address}}
        if person.address.casefold() in letters:
            continue
        letters[person.address.casefold()] = write_letter(
            sender=sender,
            recipient=person,
            to=shown,
            cc=cc,
            reply_to=reply_to,
            subject=render(options.subject, mine),
            text=render(text or _TEXT, mine),
            html=render(html, mine, html=True) if html else None,
            identity=message_id(sender, *_identity(parcel), recipient=person.address),
            date=tools.clock.now(),
        )
    return list(letters.values()), bad


def _identity(parcel: Parcel) -> list[str]:
    """What a mail is told by. A server that drops doubles must not drop one that a person asked for once more."""
    edition = parcel.publication.edition
    return [parcel.job.id, parcel.publication.name] + ([str(edition)] if edition > 1 else [])


def _people(templates: Sequence[str], fields: Mapping[str, Any], bad: dict[str, Fault]) -> list[Person]:
    people = []
    for template in templates:
        made = render(template, fields).replace(";", ",").replace("\n", ",")
        for name, address in getaddresses([made]):
            try:
                parsed = parse_address(ascii_domain(address))
            except ValueError:
                parsed = None
            if parsed:
                people.append(Person(name, parsed[1]))
            elif address or name:
                bad[address or name] = Refused(f"{address or name!r} is no e-mail address: correct it, then retry.")
    return people
