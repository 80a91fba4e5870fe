"""Delivers the mails of a notice and records each recipient's state: `intent` before a mail is sent, then `sent`.

An intent without an answer stays open. vidd can look into the outbox whether the mail is there; it cannot ask a mail
server, so a person must look. Nobody gets a mail twice because somebody else's failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidd.aio.shield import shield_for
from vidd.errors import Fault, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.mail.account import Account
from vidd.integrations.mail.connection import Session, connect
from vidd.integrations.mail.mime_message import Message, ascii_domain
from vidd.integrations.mail.outbox import post
from vidd.model.publication import Receipt
from vidd.ports import PublishContext

_GRACE = 10.0


@dataclass
class Delivery:
    """One attempt to send all messages, over the `account`'s server or else into the `outbox`.

    `resend` says whether vidd may send again where an intent is open. `faults` are by address; those for texts that are
    no addresses are known beforehand.

    The files of an outbox tell which mails were written. A mail server cannot be asked, so `reconcile` never resends
    there, and the engine calls `publish` on an open intent only where `reconcile` did not object.
    """

    context: PublishContext
    messages: Sequence[Message]
    sender: str
    account: Account | None
    outbox: Path
    resend: bool
    faults: dict[str, Fault]
    states: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Load the states that earlier attempts recorded, also those under an address before its domain was encoded."""
        recorded = self.context.publication.token.get("recipients", {})
        self.states = {address: dict(state) for address, state in recorded.items()}
        for address, state in recorded.items():
            with suppress(ValueError):
                self.states.setdefault(ascii_domain(address), dict(state))

    async def run(self) -> Receipt:
        """The receipt once every recipient has a mail."""
        total = len(self.messages) + len(self.faults)
        todo = []
        for message in self.messages:
            state = self._state(message)
            if state == "intent" and not self.resend:
                self.faults[message.recipient.address] = _unknown(message)
            elif state != "sent":
                todo.append(message)
        if self.account is None:
            await self._write_to_outbox(todo)
        else:
            await self._send_all(self.account, todo)
        self._raise_worst(total)
        facts: dict[str, Any] = {"recipients": [message.recipient.address for message in self.messages]}
        if not self.messages:
            facts["notes"] = ["Nobody to tell: there is no e-mail address to write to."]
        elif self.account is None:
            facts["files"] = [str(self.outbox / message.file_name) for message in self.messages]
        return Receipt(facts=facts | {"message_ids": [message.message_id for message in self.messages]})

    async def _write_to_outbox(self, messages: Sequence[Message]) -> None:
        for message in messages:
            await self._record(message, "intent")
            await asyncio.to_thread(post, self.outbox, message)
            await self._record(message, "sent")

    async def _send_all(self, account: Account, messages: Sequence[Message]) -> None:
        """Send over as few connections as the server allows."""
        waiting = list(messages)
        while waiting:
            try:
                async with connect(account, self.context.tools) as session:
                    while waiting and session.open:
                        await self._send(waiting.pop(0), session)
            except Fault as fault:
                # A fault of the connection concerns all that are left.
                self.faults |= {message.recipient.address: fault for message in waiting}
                return

    async def _send(self, message: Message, session: Session) -> None:
        address = message.recipient.address
        try:
            if not session.supports(address):
                raise Refused(
                    f"The mail server supports no address like {address}: give that person a different address."
                )
            await session.envelope(self.sender, address)
            await self._record(message, "intent")
            await shield_for(_GRACE, self._send_data(message, session))
        except OutcomeUnknown:
            self.faults[address] = _unknown(message)
        except Fault as fault:
            self.faults[address] = fault
            if self._state(message) == "intent":
                await self._record(message, "refused")
            if session.open:
                await session.reset()

    async def _send_data(self, message: Message, session: Session) -> None:
        answer = await session.data(message.content)
        await self._record(message, "sent", answer=answer[:200])

    def _state(self, message: Message) -> str | None:
        return self.states.get(message.recipient.address, {}).get("state")

    async def _record(self, message: Message, state: str, **more: str) -> None:
        self.states[message.recipient.address] = {"state": state, "message_id": message.message_id, **more}
        await self.context.checkpoint({"recipients": {address: dict(known) for address, known in self.states.items()}})

    def _raise_worst(self, total: int) -> None:
        """Raise an unknown outcome first, because only a person can end it; then what may still succeed."""
        for kind in (OutcomeUnknown, RetryLater, Refused):
            faults = [fault for fault in self.faults.values() if isinstance(fault, kind)]
            if faults:
                sentence = " ".join(dict.fromkeys(fault.sentence for fault in faults))
                if total > 1:
                    sentence += f" ({total - len(self.faults)} of {total} mails are out.)"
                code = faults[0].code
                if kind is RetryLater:
                    waits = [fault.after for fault in faults if isinstance(fault, RetryLater) and fault.after]
                    raise RetryLater(sentence, after=max(waits, default=None), code=code)
                raise kind(sentence, code=code)


def _unknown(message: Message) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"vidd does not know whether {message.recipient.address} got the mail: look for Message-ID {message.message_id} "
        "in the mail server's log, and write yourself if it is not there. vidd does not send it again."
    )
