"""Mails a notice to its recipients, one mail per person."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import structlog
from pydantic import AfterValidator, Field, model_validator

from vidd.display_text import quoted
from vidd.errors import Fault, FaultCode, Refused
from vidd.integrations.mail.account import Account
from vidd.integrations.mail.connection import connect
from vidd.integrations.mail.delivery import Delivery
from vidd.integrations.mail.mime_message import Draft, Message, Person, ascii_domain, message_id
from vidd.integrations.mail.outbox import make_outbox
from vidd.integrations.notice import NoticeOptions
from vidd.model.email_address import parse_address, split_addresses
from vidd.model.publication import Receipt
from vidd.model.talk import names_in_words
from vidd.ports import PublishContext, Tools
from vidd.settings.marks import AccountOf
from vidd.settings.template_check import MayName, unknown_in
from vidd.settings.templates import check_template, fields_of, render, render_forgiving, title_among

_log = structlog.get_logger()
_HERE = files("vidd.integrations.mail")
_TEXT, _HTML = (_HERE.joinpath(name).read_text("utf-8") for name in ("mail.txt.j2", "mail.html.j2"))
_FAILED = _HERE.joinpath("mail_failed.txt.j2").read_text("utf-8")

_Address = Annotated[str, AfterValidator(check_template), MayName("link", "urls", "speakers", "title", "sender")]
_FIELDS = MayName("link", "urls", "speakers", "title", "sender", "recipient")
_Template = Annotated[str, AfterValidator(check_template), _FIELDS]


def _check_mailbox(text: str) -> str:
    parsed = parse_address(text)
    try:
        valid = parsed is not None and bool(ascii_domain(parsed[1]))
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"{text!r} is no e-mail address; write it like team@example.org or Team <team@example.org>")
    return text


class Options(NoticeOptions):
    """Settings of a notice of kind `mail`.

    Templates may name title, link, urls (by publisher), recipient.name, sender.name, talk, job, speakers, failure and the
    steps' facts.
    """

    account: Annotated[str, AccountOf("smtp")] | None = Field(
        None, description="The mail server, by the name of its account; an outbox otherwise."
    )
    outbox: Path = Field(Path("outbox"), description="Where mails are written as .eml files when there is no account.")
    sender: Annotated[str, AfterValidator(_check_mailbox)] = Field(
        "vidd <vidd@localhost>", description="The sender, as Name <address>."
    )
    to: tuple[_Address, ...] | None = Field(
        None, description="The recipients: addresses, or templates that make some; the talk's speakers otherwise."
    )
    cc: tuple[_Address, ...] = Field((), description="Recipients of a copy, whom everybody sees.")
    bcc: tuple[_Address, ...] = Field((), description="Recipients of a copy, whom nobody sees.")
    reply_to: tuple[_Address, ...] = Field((), description="Where answers go, if not to the sender.")
    subject: _Template = Field('Your talk "{{ title }}" is online', description="The subject.")
    text: _Template | None = Field(None, description="The plain text; vidd's own otherwise.")
    html: _Template | None = Field(None, description="The same as HTML; none where only the text is set.")
    text_file: Annotated[Path | None, _FIELDS] = Field(None, description="A file with the plain text's template.")
    html_file: Annotated[Path | None, _FIELDS] = Field(None, description="A file with the HTML template.")

    @model_validator(mode="before")
    @classmethod
    def _failure_defaults(cls, values: Any) -> Any:
        """Set subject and text of a mail about a failure (`on = "failed"`) where the settings have none of their own.

        ValueError without `to`: by default a mail goes to the speakers, who are not told of failures.
        """
        if not isinstance(values, dict) or values.get("on") != "failed":
            return values
        if values.get("to") is None:
            raise ValueError("say in `to` who is told of failures: the speakers are not")
        own = values.get("text") is not None or values.get("text_file") is not None
        return {"subject": "Failed: {{ title }}", **values} | ({} if own else {"text": _FAILED})

    @model_validator(mode="after")
    def _check_templates(self) -> Options:
        for inline, file in (("text", "text_file"), ("html", "html_file")):
            if getattr(self, inline) is not None and getattr(self, file) is not None:
                raise ValueError(f"set {inline} or {file}, not both")
        return self


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Send the mails that were not sent yet. Raises OutcomeUnknown, RetryLater or Refused, naming who got none."""
    return await _delivery(options, context, resend=True).run()


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """Look into the outbox; or send what is certain and leave the rest to a person. None where nothing was sent."""
    if not context.publication.token.get("recipients"):
        return None
    return await _delivery(options, context, resend=options.account is None).run()


async def check_here(options: Options, tools: Tools) -> None:
    """Read the files of templates."""
    for path in (options.text_file, options.html_file):
        for slip in unknown_in(_template(path, tools) or "", None, ()):
            raise Refused(f"In {tools.path(path or '')} {slip}: correct it.", code=FaultCode.BAD_SETTINGS)


async def check(options: Options, tools: Tools) -> str:
    """Log in and check that the server answers, without sending anything."""
    if options.account is None:
        await asyncio.to_thread(make_outbox, tools.path(options.outbox))
        return f"mails go into {tools.path(options.outbox)}"
    account = tools.account(options.account, Account)
    async with connect(account, tools) as session:
        await session.noop()
    return f"{account.server} takes mail" + (f" from {account.user}" if account.user else "")


def _delivery(options: Options, context: PublishContext, *, resend: bool) -> Delivery:
    messages, faults = _messages(options, context)
    account = None if options.account is None else context.tools.account(options.account, Account)
    outbox = context.tools.path(options.outbox)
    return Delivery(context, messages, _sender(options).address, account, outbox, resend=resend, faults=faults)


def _sender(options: Options) -> Person:
    return Person(*(parse_address(options.sender) or ("", options.sender)))


def _template(path: Path | None, tools: Tools) -> str | None:
    if path is None:
        return None
    try:
        return check_template(tools.path(path).read_text("utf-8"))
    except OSError as error:
        raise Refused(
            f"The template {tools.path(path)} cannot be read ({error.strerror}): correct its path.",
            code=FaultCode.BAD_SETTINGS,
        ) from None
    except ValueError as error:
        raise Refused(f"In {tools.path(path)} {error}: correct it.", code=FaultCode.BAD_SETTINGS) from None


def _messages(options: Options, context: PublishContext) -> tuple[list[Message], dict[str, Fault]]:
    """The mails, and a fault for each text that is no address."""
    faults: dict[str, Fault] = {}
    sender, fields = _sender(options), _fields(options, context)
    copies: Mapping[Person, Sequence[Person]] = (
        _speakers(context, faults)
        if options.to is None
        else dict.fromkeys(_people("to", options.to, fields, faults), ())
    )
    to = list(copies)
    if not to:
        return [], faults
    cc, bcc = _people("cc", options.cc, fields, faults), _people("bcc", options.bcc, fields, faults)
    reply_to = _people("reply_to", options.reply_to, fields, faults)
    text = options.text or _template(options.text_file, context.tools)
    html = options.html or _template(options.html_file, context.tools) or (None if text else _HTML)
    # Subject and text of a copy have the same fields as those of the mail, but the greeting names everybody.
    everybody = Person(names_in_words([person.name for person in to if person.name]), "")
    messages: dict[str, Message] = {}
    gaps: list[str] = []
    mails = [(person, [person], person) for person in to]
    mails += [(copied, [person], person) for person in to for copied in copies[person]]
    mails += [(person, to, everybody) for person in cc + bcc]
    for person, shown, greeted in mails:
        if person.address.casefold() in messages:
            continue
        own_fields = {**fields, "recipient": {"name": greeted.name, "email": person.address}}
        messages[person.address.casefold()] = Draft(
            sender=sender,
            recipient=person,
            to=shown,
            cc=[*(copied for addressee in shown for copied in copies[addressee]), *cc],
            reply_to=reply_to,
            subject=_render(options.subject, own_fields, gaps),
            text=_render(text or _TEXT, own_fields, gaps),
            html=_render(html, own_fields, gaps, html=True) if html else None,
            message_id=message_id(sender, *_identity(context), recipient=person.address),
            date=context.tools.clock.now(),
        ).compose()
    for gap in dict.fromkeys(gaps):
        _log.warning("mail lacks a field", job=context.job.id, to=context.publication.name, reason=gap)
    return list(messages.values()), faults


def _render(template: str, fields: Mapping[str, Any], gaps: list[str], *, html: bool = False) -> str:
    """A text for a mail. A field that the job has not stands as `(no NAME)` in it: a notice with a gap beats none.

    `gaps` gets a sentence about it.
    """
    text, gap = render_forgiving(template, fields, html=html)
    if gap is not None:
        gaps.append(gap)
    return text


def _fields(options: Options, context: PublishContext) -> dict[str, Any]:
    """The fields that templates may name, without the recipient's."""
    talk, sender = context.talk, _sender(options)
    speakers = names_in_words([speaker.name for speaker in talk.speakers if speaker.name] if talk else [])
    urls = {name: receipt.url for name, receipt in context.receipts.items() if receipt.url}
    fields = fields_of(context.job, talk, context.facts, link=context.link, urls=urls, speakers=speakers)
    fields["title"] = title_among(fields)
    fields["sender"] = {"name": sender.name, "email": sender.address}
    return fields


def _identity(context: PublishContext) -> list[str]:
    """The parts of a Message-ID. A server that drops duplicates must not drop a mail that a person asked for again."""
    revision = context.publication.edition
    return [context.job.id, context.publication.name] + ([str(revision)] if revision > 1 else [])


def _speakers(context: PublishContext, faults: dict[str, Fault]) -> dict[Person, list[Person]]:
    """The speakers that have an address, with the people who get a copy of their mail; `faults` gets one for each of the others."""
    talk = context.talk
    if talk is None:
        return {}
    for text in talk.facts.get("unusable", ()):
        faults[text] = Refused(
            f"{quoted(text)} in {talk.facts['row']} of the sheet is no e-mail address: correct it, then retry."
        )
    for text, sentence in talk.facts.get("unreachable", {}).items():
        faults[text] = Refused(sentence)
    people: dict[Person, list[Person]] = {}
    for speaker in talk.speakers:
        addresses = {}
        for text in (speaker.email, *speaker.cc) if speaker.email else ():
            try:
                addresses[text] = ascii_domain(text)
            except ValueError:
                faults[text] = _no_address(text, f"the address of the speaker {speaker.name}".rstrip())
        if speaker.email in addresses:
            copies = [Person("", address) for text, address in addresses.items() if text != speaker.email]
            people[Person(speaker.name, addresses[speaker.email])] = copies
    return people


def _people(option: str, templates: Sequence[str], fields: Mapping[str, Any], faults: dict[str, Fault]) -> list[Person]:
    """The people that the templates of an option name; `faults` gets one for each text that is no address."""
    people = []
    for template in templates:
        try:
            rendered = render(template, fields)
        except Refused as refused:
            faults[template] = refused
            continue
        for text in split_addresses(rendered):
            name, address = parse_address(text) or ("", "")
            try:
                address = ascii_domain(address)
            except ValueError:
                address = ""
            if address:
                people.append(Person(name, address))
            else:
                faults[text] = _no_address(text, f"`{option}` of the notice")
    return people


def _no_address(text: str, where: str) -> Refused:
    return Refused(f"{text!r} is no e-mail address: correct {where}, then retry.")
