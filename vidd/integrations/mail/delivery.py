"""One attempt at a notice's mails, each recipient's fate recorded: `intent` before it goes out, then `sent`.

An intent without an answer stays open. The outbox can be asked whether the mail is there; a mail server cannot, so a
person must look, and nobody gets a mail twice because somebody else's failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidd.aio.shield import shield_for
from vidd.errors import Fault, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.mail.account import Account, Session, session
from vidd.integrations.mail.message import Letter
from vidd.integrations.mail.outbox import post
from vidd.model.publication import Receipt
from vidd.ports import PublishContext

_GRACE = 10.0


@dataclass
class Round:
    """One attempt at all of these letters, over the `account`'s server or else into the `outbox`.

    `resend` says whether an open intent may be sent again. `faults` are by address, some known before: what stands for
    an address but is none.

    For an outbox the files themselves tell what is out. A mail server cannot be asked, so there `reconcile` never
    resends, and the engine calls `publish` on an open intent only where `reconcile` did not object.
    """

    context: PublishContext
    letters: Sequence[Letter]
    sender: str
    account: Account | None
    outbox: Path
    resend: bool
    faults: dict[str, Fault]
    states: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take up what earlier attempts recorded."""
        recorded = self.context.publication.token.get("recipients", {})
        self.states = {address: dict(state) for address, state in recorded.items()}

    async def run(self) -> Receipt:
        """The receipt once everybody has theirs."""
        total = len(self.letters) + len(self.faults)
        todo = []
        for letter in self.letters:
            state = self._state(letter)
            if state == "intent" and not self.resend:
                self.faults[letter.recipient.address] = _unknown(letter)
            elif state != "sent":
                todo.append(letter)
        if self.account is None:
            await self._into_outbox(todo)
        else:
            await self._over(self.account, todo)
        self._raise_worst(total)
        facts: dict[str, Any] = {"recipients": [letter.recipient.address for letter in self.letters]}
        if not self.letters:
            facts["notes"] = ["Nobody to tell: the talk has no e-mail addresses."]
        elif self.account is None:
            facts["files"] = [str(self.outbox / letter.file_name) for letter in self.letters]
        return Receipt(facts=facts | {"message_ids": [letter.message_id for letter in self.letters]})

    async def _into_outbox(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            await self._record(letter, "intent")
            await asyncio.to_thread(post, self.outbox, letter)
            await self._record(letter, "sent")

    async def _over(self, account: Account, letters: Sequence[Letter]) -> None:
        """Send over as few connections as the server leaves us."""
        waiting = list(letters)
        while waiting:
            try:
                async with session(account, self.context.tools) as line:
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
            await line.envelope(self.sender, address)
            await self._record(letter, "intent")
            await shield_for(_GRACE, self._hand_over(letter, line))
        except OutcomeUnknown:
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
        await self.context.checkpoint({"recipients": {address: dict(one) for address, one in self.states.items()}})

    def _raise_worst(self, total: int) -> None:
        """What nobody knows comes first, because only a person can end it; then what may still succeed."""
        for kind in (OutcomeUnknown, RetryLater, Refused):
            faults = [fault for fault in self.faults.values() if isinstance(fault, kind)]
            if faults:
                words = " ".join(dict.fromkeys(fault.sentence for fault in faults))
                sentence = f"{words} ({total - len(self.faults)} of {total} mails are out.)" if total > 1 else words
                if kind is RetryLater:
                    waits = [fault.after for fault in faults if isinstance(fault, RetryLater) and fault.after]
                    raise RetryLater(sentence, after=max(waits, default=None))
                raise kind(sentence)


def _unknown(letter: Letter) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"Nobody knows whether {letter.recipient.address} got the mail: look for Message-ID {letter.message_id} in the "
        "mail server's log, and write yourself if it is not there. vidd does not send it again."
    )
