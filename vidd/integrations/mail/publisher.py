"""A mail to everybody who should know, one per person."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from email.utils import getaddresses
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from vidd.display_text import quoted
from vidd.errors import Fault, Refused
from vidd.files.file_uri import parse_address
from vidd.integrations.mail.account import Account, session
from vidd.integrations.mail.delivery import Round
from vidd.integrations.mail.message import Letter, Person, ascii_domain, message_id, write_letter
from vidd.integrations.mail.outbox import make_outbox
from vidd.integrations.notice import NoticeOptions
from vidd.model.publication import Receipt
from vidd.model.talk import names_in_words
from vidd.ports import PublishContext, Tools
from vidd.settings.template_check import MayName, unknown_in
from vidd.settings.templates import check_template, fields_of, render, title_among

_HERE = files("vidd.integrations.mail")
_TEXT, _HTML = (_HERE.joinpath(name).read_text("utf-8") for name in ("mail.txt.j2", "mail.html.j2"))
_FAILED = _HERE.joinpath("mail_failed.txt.j2").read_text("utf-8")

_Address = Annotated[str, AfterValidator(check_template), MayName("link", "urls", "speakers", "title", "sender")]
_Template = Annotated[
    str, AfterValidator(check_template), MayName("link", "urls", "speakers", "title", "sender", "recipient")
]


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
    to: tuple[_Address, ...] | None = Field(
        None, description="Whom it goes to, addresses or templates that make some; the talk's speakers otherwise."
    )
    cc: tuple[_Address, ...] = Field((), description="Who gets a copy that everybody sees.")
    bcc: tuple[_Address, ...] = Field((), description="Who gets a copy that nobody sees.")
    reply_to: tuple[_Address, ...] = Field((), description="Where answers go, if not to the sender.")
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


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Send what has not been sent. OutcomeUnknown, RetryLater or Refused names those who did not get theirs."""
    return await _round(options, context, resend=True).run()


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """Ask the outbox, or finish what is certain and leave the rest to a person. None where nothing went out."""
    if not context.publication.token.get("recipients"):
        return None
    return await _round(options, context, resend=options.account is None).run()


async def check(options: Options, tools: Tools) -> str:
    """Log in and ask for a sign of life, without sending anything."""
    for path in (options.text_file, options.html_file):
        for slip in unknown_in(_template(path, tools) or "", None, ()):
            raise Refused(f"In {tools.path(path or '')} {slip}: correct it.")
    if options.account is None:
        await asyncio.to_thread(make_outbox, tools.path(options.outbox))
        return f"mails go into {tools.path(options.outbox)}"
    account = tools.account(options.account, Account)
    async with session(account, tools) as line:
        await line.noop()
    return f"{account.place} takes mail" + (f" from {account.user}" if account.user else "")


def _round(options: Options, context: PublishContext, *, resend: bool) -> Round:
    letters, bad = _letters(options, context)
    account = None if options.account is None else context.tools.account(options.account, Account)
    outbox = context.tools.path(options.outbox)
    return Round(context, letters, _sender(options).address, account, outbox, resend=resend, faults=bad)


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


def _letters(options: Options, context: PublishContext) -> tuple[list[Letter], dict[str, Fault]]:
    """The mails, and what stands for an address but is none."""
    bad: dict[str, Fault] = {}
    talk, tools, sender = context.talk, context.tools, _sender(options)
    named = names_in_words([speaker.name for speaker in talk.speakers if speaker.name] if talk else [])
    urls = {name: receipt.url for name, receipt in context.receipts.items() if receipt.url}
    fields = fields_of(context.job, talk, context.facts, link=context.link, urls=urls, speakers=named)
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
    for person, shown, greeted in [(person, [person], person) for person in to] + [
        (person, to, everybody) for person in cc + bcc
    ]:
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
            identity=message_id(sender, *_identity(context), recipient=person.address),
            date=tools.clock.now(),
        )
    return list(letters.values()), bad


def _identity(context: PublishContext) -> list[str]:
    """What a mail is told by. A server that drops doubles must not drop one that a person asked for once more."""
    edition = context.publication.edition
    return [context.job.id, context.publication.name] + ([str(edition)] if edition > 1 else [])


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
