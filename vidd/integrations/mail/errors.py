"""What the errors of a mail server mean."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import aiosmtplib as smtp

from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.integrations.mail.account import Account

_GREYLISTED = 300.0


def connection_fault(error: Exception, account: Account) -> Fault:
    """The fault for an error that occurred before any mail was sent."""
    server = account.server
    fault: Fault = Refused(
        f"{server} cannot be used ({_reason(error)}): correct the account.", code=FaultCode.BAD_SETTINGS
    )
    if tls := next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None):
        fault = _tls_fault(tls, server)
    elif isinstance(error, smtp.SMTPAuthenticationError) and not 400 <= error.code < 500:
        fault = Refused(
            f"{server} refused the login of {account.user!r} ({error.code}): correct user and password.",
            code=FaultCode.UNAUTHORIZED,
        )
    elif isinstance(error, smtp.SMTPResponseException):
        fault = answer_fault(error, f"{server} does not serve vidd")
    elif isinstance(error, smtp.SMTPTimeoutError):
        fault = RetryLater(
            f"{server} did not answer within {account.timeout:g} s. vidd will retry.", code=FaultCode.NO_ANSWER
        )
    elif isinstance(error, OSError):
        fault = RetryLater(
            f"{server} cannot be reached ({_reason(error)}). vidd will retry.", code=FaultCode.UNREACHABLE
        )
    # aiosmtplib has no class for this.
    elif "STARTTLS" in str(error):
        fault = Refused(
            f"{server} offers no STARTTLS, and vidd sends nothing without: correct `security` and `port`.",
            code=FaultCode.BAD_SETTINGS,
        )
    return fault


def _tls_fault(error: ssl.SSLError, server: str) -> Refused:
    if isinstance(error, ssl.SSLCertVerificationError):
        sentence = (
            f"The certificate of {server} is not to be trusted ({error.verify_message}): correct `host`, or name its "
            "authority with `ca_file`."
        )
    else:
        sentence = f"{server} does not speak TLS as asked ({error.reason}): correct `security` and `port`."
    return Refused(sentence, code=FaultCode.BAD_SETTINGS)


def answer_fault(error: smtp.SMTPResponseException, what: str) -> Fault:
    """The fault for an answer of 4yz, which may succeed later, or 5yz, which will not (RFC 5321, 4.2.1).

    A 421 means that the server is going away.
    """
    text = " ".join(error.message.encode(errors="replace").decode().split())[:200]
    sentence = f"{what}: {error.code} {text}"
    if 500 <= error.code < 600:
        return Refused(f"{sentence}. Correct what it names, then retry.", code=FaultCode.REJECTED)
    return RetryLater(f"{sentence}. vidd will retry.", after=_GREYLISTED if error.code != 421 else None)


def _causes(error: BaseException) -> Sequence[BaseException]:
    chain = [error]
    while len(chain) < 10 and (cause := chain[-1].__cause__ or chain[-1].__context__):
        chain.append(cause)
    return chain


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
