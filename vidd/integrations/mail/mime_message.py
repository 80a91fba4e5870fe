"""Composes the MIME message of one mail to one recipient (RFC 5322): its headers, plain text, and HTML beside it.

The text itself comes from the templates beside this module (`mail.txt.j2`, `mail.html.j2`, `mail_failed.txt.j2`) or from
the settings; `publisher` renders them.
"""

from __future__ import annotations

import email.policy
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from email_validator import EmailNotValidError, validate_email

_POLICY = email.policy.SMTP.clone(cte_type="7bit")
_LONGEST_HEADER = 250
_SUFFIX = ".org"


@dataclass(frozen=True, slots=True)
class Person:
    """A name, which may be empty, and an address."""

    name: str
    address: str

    @property
    def header(self) -> Address:
        """The address as a header has it."""
        local, _, domain = self.address.rpartition("@")
        return Address(one_line(self.name), local, domain)


@dataclass(frozen=True, slots=True)
class Message:
    """A mail ready to be sent to `recipient` alone."""

    recipient: Person
    message_id: str
    content: bytes

    @property
    def file_name(self) -> str:
        """The name of its file in an outbox."""
        return f"{self.message_id.strip('<>').rpartition('@')[0]}.eml"


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts of a mail. `recipient` gets it; `to` and `cc` are the headers that everybody sees."""

    sender: Person
    recipient: Person
    to: Sequence[Person]
    cc: Sequence[Person]
    reply_to: Sequence[Person]
    subject: str
    text: str
    html: str | None
    message_id: str
    date: datetime

    def compose(self) -> Message:
        """The mail. Characters beyond ASCII before an @ need a server with SMTPUTF8 (RFC 6531)."""
        message = EmailMessage(policy=_POLICY)
        message["From"] = self.sender.header
        message["To"] = [person.header for person in self.to]
        if self.cc:
            message["Cc"] = [person.header for person in self.cc]
        if self.reply_to:
            message["Reply-To"] = [person.header for person in self.reply_to]
        message["Subject"] = one_line(self.subject)
        message["Date"] = format_datetime(self.date)
        message["Message-ID"] = self.message_id
        # RFC 3834: no out-of-office reply is sent to this mail.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(encodable(self.text))
        if self.html is not None:
            message.add_alternative(encodable(self.html), subtype="html")
        people = [self.sender, self.recipient, *self.to, *self.cc, *self.reply_to]
        utf8 = not all(person.address.isascii() for person in people)
        policy = email.policy.SMTPUTF8.clone(cte_type="8bit") if utf8 else _POLICY
        return Message(self.recipient, self.message_id, message.as_bytes(policy=policy))


def one_line(text: str) -> str:
    """A text that can stand in a header: without line breaks and other controls, of bounded length."""
    harmless = "".join(character if character.isprintable() else " " for character in encodable(text))
    return " ".join(harmless.split())[:_LONGEST_HEADER]


def encodable(text: str) -> str:
    """The text with a question mark for each byte of a file name that was not UTF-8."""
    return text.encode(errors="replace").decode()


def message_id(sender: Person, *parts: str, recipient: str) -> str:
    """The same Message-ID for the same parts (job, notice, revision) and recipient, so that duplicates are recognized."""
    known = ".".join(re.sub(r"[^A-Za-z0-9-]+", "-", part) for part in parts)
    digest = hashlib.sha256(recipient.casefold().encode()).hexdigest()[:16]
    return f"<{known}.{digest}@{ascii_domain(sender.address).rpartition('@')[2]}>"


def ascii_domain(address: str) -> str:
    """An address with its domain as the DNS has it (IDNA 2008, RFC 5891). Raises ValueError where that is impossible."""
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        # Only the domain is encoded. With a public suffix, names of a local network pass too (.local, .internal).
        found = validate_email(f"x@{domain}{_SUFFIX}", check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    return f"{local}@{found.ascii_domain.removesuffix(_SUFFIX)}"
