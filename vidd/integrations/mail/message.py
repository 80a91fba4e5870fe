"""One mail to one person (RFC 5322): plain text with HTML beside it, and headers that nobody can break out of."""

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

_POLICY = email.policy.SMTP.clone(cte_type="7bit")
_LONGEST = 250


@dataclass(frozen=True, slots=True)
class Person:
    """A name, which may be empty, and an address."""

    name: str
    address: str

    @property
    def header(self) -> Address:
        """As a header has it."""
        local, _, domain = self.address.rpartition("@")
        return Address(one_line(self.name), local, domain)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as it goes out, to `recipient` alone."""

    recipient: Person
    message_id: str
    content: bytes

    @property
    def file_name(self) -> str:
        """The name of its file in an outbox."""
        return f"{self.message_id.strip('<>').rpartition('@')[0]}.eml"


def one_line(text: str) -> str:
    """A text that can stand in a header: no line breaks or other controls, of bounded length."""
    harmless = "".join(letter if letter.isprintable() else " " for letter in plain(text))
    return " ".join(harmless.split())[:_LONGEST]


def plain(text: str) -> str:
    """A text that can be encoded: what was not UTF-8 in a file's name becomes a question mark."""
    return text.encode(errors="replace").decode()


def message_id(sender: Person, *parts: str, recipient: str) -> str:
    """The same for the same parts (job, notice, edition) and recipient, so that a mail that came twice can be told."""
    known = ".".join(re.sub(r"[^A-Za-z0-9-]+", "-", part) for part in parts)
    digest = hashlib.sha256(recipient.casefold().encode()).hexdigest()[:16]
    return f"<{known}.{digest}@{ascii_domain(sender.address).rpartition('@')[2]}>"


def ascii_domain(address: str) -> str:
    """An address with its domain as DNS has it (RFC 5890); ValueError where it cannot be."""
    local, _, domain = address.rpartition("@")
    return address if domain.isascii() else f"{local}@{domain.encode('idna').decode()}"


def write_letter(
    *,
    sender: Person,
    recipient: Person,
    to: Sequence[Person],
    cc: Sequence[Person],
    reply_to: Sequence[Person],
    subject: str,
    text: str,
    html: str | None,
    identity: str,
    date: datetime,
) -> Letter:
    """Compose it. Letters beyond ASCII before an @ need a server that knows SMTPUTF8 (RFC 6531)."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender.header
    message["To"] = [person.header for person in to]
    if cc:
        message["Cc"] = [person.header for person in cc]
    if reply_to:
        message["Reply-To"] = [person.header for person in reply_to]
    message["Subject"] = one_line(subject)
    message["Date"] = format_datetime(date)
    message["Message-ID"] = identity
    # RFC 3834: nobody's holiday answer comes back to this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(plain(text))
    if html is not None:
        message.add_alternative(plain(html), subtype="html")
    people = [sender, recipient, *to, *cc, *reply_to]
    utf8 = not all(person.address.isascii() for person in people)
    policy = email.policy.SMTPUTF8.clone(cte_type="8bit") if utf8 else _POLICY
    return Letter(recipient, identity, message.as_bytes(policy=policy))
