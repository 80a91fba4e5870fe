"""What the answers of webhook receivers, and missing ones, mean (RFC 9110; Standard Webhooks 1.0, "Operational considerations")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from vidd.display_text import printable
from vidd.errors import Fault, FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.webhook.account import host_of
from vidd.transfer.http import retry_after

if TYPE_CHECKING:
    from datetime import datetime

    from vidd.integrations.webhook.account import Account
    from vidd.integrations.webhook.delivery import Answer

_LONGEST_WAIT = 86400.0
_CODES = {401: FaultCode.UNAUTHORIZED, 403: FaultCode.FORBIDDEN, 404: FaultCode.NOT_FOUND}


def connection_fault(error: Exception, account: Account, *, repeatable: bool, where: str) -> Fault:
    """The fault for an exception of aiohttp. `where` tells a person where to look for the notice."""
    host = account.host
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Refused(
            f"The certificate of {host} is not trusted: correct the address, or name its authority with `ca`.",
            code=FaultCode.BAD_SETTINGS,
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return RetryLater(f"{host} does not speak TLS as asked; vidd will send the notice again.")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return RetryLater(f"{host} cannot be reached; vidd will send the notice again.", code=FaultCode.UNREACHABLE)
    if repeatable:
        return RetryLater(
            f"{host} gave no answer; vidd will send the notice again, under the same id.", code=FaultCode.NO_ANSWER
        )
    return outcome_unknown(host, where)


def outcome_unknown(receiver: str, where: str) -> OutcomeUnknown:
    """The fault for a notice that may have arrived; `where` tells a person where to look."""
    return OutcomeUnknown(
        f"vidd does not know whether {receiver} got the notice: look {where}, and say what you found with `vidd resolve`."
    )


def answer_fault(answer: Answer, account: Account, now: datetime, *, repeatable: bool, where: str) -> Fault:
    """The fault for an answer other than 2xx."""
    host, status = account.host, answer.status
    if 300 <= status < 400:
        try:
            target = host_of(URL(answer.headers.get("Location", ""))) or "another path"
        except ValueError:
            target = "an address that is none"
        target = printable(account.redact(target), 120)
        return Refused(
            f"{host} redirects ({status}) to {target}, which vidd does not follow: correct the account's address.",
            code=FaultCode.BAD_SETTINGS,
        )
    if status in {408, 425, 429, 503} or (status >= 500 and repeatable):
        after = retry_after(answer.headers.get("Retry-After"), now)
        if after is None and isinstance(millis := answer.data.get("retry_after_ms"), int | float):
            after = millis / 1000  # Matrix before 1.10 (client-server API, "Rate limiting")
        after = None if after is None else min(max(0.0, after), _LONGEST_WAIT)
        code = FaultCode.RATE_LIMITED if status == 429 else FaultCode.UNAVAILABLE
        return RetryLater(f"{host} answered {status}; vidd will send the notice again.", after=after, code=code)
    if status >= 500:
        # A server may fail after it has done its work.
        return outcome_unknown(f"{host}, which answered {status},", where)
    if status == 410:
        return Refused(
            f"{host} does not want notices any more (410): remove this notice from the pipeline.",
            code=FaultCode.NOT_FOUND,
        )
    # Redact first, then shorten: half a secret would no longer be found.
    text = printable(" ".join(account.redact(answer.text).split()), 200)
    quote = f" and said {text!r}" if text else ""
    return Refused(
        f"{host} answered {status} to the notice{quote}: correct the account or the notice, then retry.",
        code=_CODES.get(status, FaultCode.REJECTED),
    )
