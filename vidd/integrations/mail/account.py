"""An account at a mail server (RFC 5321), each of its answers turned into one of the three fates.

A mail is out of our hands from the DATA command on: a connection that breaks before the answer to the final dot
leaves it open whether it was taken (RFC 5321, 4.5.3.2.6 and 6.1), and SMTP has no question for that.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import aiosmtplib as smtp
from pydantic import Field, SecretStr, model_validator

from vidd.errors import Fault, OutcomeUnknown, Refused, RetryLater
from vidd.ports import Tools
from vidd.settings.types import Duration, Options

_PORTS = {"starttls": 587, "tls": 465, "plain": 25}
_GREYLISTED = 300.0
_NOT_OFFERED = {500, 502, 504, 534}


class Account(Options):
    """A mail server, and who we are there."""

    kind: Literal["smtp"] = Field("smtp", description="A mail server.")
    host: str = Field(description="Its name.")
    port: int | None = Field(None, ge=1, le=65535, description="Its port; 587, 465 or 25 by `security` otherwise.")
    security: Literal["starttls", "tls", "plain"] = Field(
        "starttls", description="Encryption: asked for after the greeting, from the first byte, or none at all."
    )
    user: str | None = Field(None, description="Whom to log in as; without it there is no login.")
    password: SecretStr | None = Field(None, description="The user's password.")
    ca_file: Path | None = Field(None, description="PEM file of the authorities to trust instead of the system's.")
    timeout: Duration = Field(30.0, gt=0, description="How long to wait for each answer.")
    data_timeout: Duration = Field(600.0, gt=0, description="How long to wait for the answer to a whole mail.")
    local_hostname: str | None = Field(None, description="How we greet; the machine's full name otherwise.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Account:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together: set both or none")
        return self

    @property
    def place(self) -> str:
        """The server as sentences name it."""
        return f"{self.host}:{self.port or _PORTS[self.security]}"


class Session:
    """A connection that is logged in."""

    def __init__(self, account: Account, client: smtp.SMTP) -> None:
        self._account, self._client = account, client

    @property
    def open(self) -> bool:
        """Whether another mail can go out on it."""
        return self._client.is_connected

    def takes(self, address: str) -> bool:
        """Whether an address with letters beyond ASCII before the @ can be named to this server (RFC 6531)."""
        return address.isascii() or self._client.supports_extension("smtputf8")

    async def envelope(self, sender: str, recipient: str) -> None:
        """Name sender and recipient. Refused or RetryLater by the server's answer; nothing has gone out then."""
        utf8 = not (sender.isascii() and recipient.isascii())
        encoding = "utf-8" if utf8 else "ascii"
        try:
            await self._client.mail(sender, options=["SMTPUTF8", "BODY=8BITMIME"] if utf8 else [], encoding=encoding)
            await self._client.rcpt(recipient, encoding=encoding)
        except smtp.SMTPSenderRefused as error:
            raise _answered(error, f"{self._account.place} does not take mail from {sender}") from None
        except smtp.SMTPRecipientRefused as error:
            raise _answered(error, f"{self._account.place} does not take mail for {recipient}") from None
        except smtp.SMTPException as error:
            raise fault_of(error, self._account) from None

    async def data(self, message: bytes) -> str:
        """Send the mail itself; returns the server's words. OutcomeUnknown where no answer came."""
        try:
            answer = await self._client.data(message, timeout=self._account.data_timeout)
        except smtp.SMTPDataError as error:
            raise _answered(error, f"{self._account.place} does not take this mail") from None
        except smtp.SMTPException:
            self._client.close()
            raise OutcomeUnknown(f"{self._account.place} gave no answer after the mail went out.") from None
        return answer.message

    async def reset(self) -> None:
        """Forget an envelope that led to nothing; the connection is closed where even that fails."""
        try:
            await self._client.rset()
        except smtp.SMTPException:
            self._client.close()

    async def noop(self) -> None:
        """Ask for a sign of life."""
        try:
            await self._client.noop()
        except smtp.SMTPException as error:
            raise fault_of(error, self._account) from None


@asynccontextmanager
async def session(account: Account, tools: Tools) -> AsyncIterator[Session]:
    """A connection with its security and login done, closed afterwards. Refused or RetryLater where there is none."""
    client = smtp.SMTP(
        hostname=account.host,
        port=account.port or _PORTS[account.security],
        timeout=account.timeout,
        use_tls=account.security == "tls",
        start_tls=account.security == "starttls",
        tls_context=await asyncio.to_thread(_context, account, tools),
        local_hostname=account.local_hostname,
    )
    try:
        try:
            await client.connect()
            await _greet(client)
            if account.user is not None and account.password is not None:
                await _log_in(client, account, account.user, account.password.get_secret_value())
        except (smtp.SMTPException, OSError) as error:
            raise fault_of(error, account) from None
        yield Session(account, client)
        await _leave(client)
    finally:
        await _hang_up(client)


async def _hang_up(client: smtp.SMTP) -> None:
    """Close at once: everything is said, and a peer that never answers the TLS farewell would keep the socket."""
    transport = client.transport
    client.close()
    if transport:
        transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(0)  # the loop closes the socket itself in its next round


async def _leave(client: smtp.SMTP) -> None:
    try:
        await client.quit(timeout=5)
    except smtp.SMTPException:
        return  # everything is said; how the server hangs up is its own affair


async def _greet(client: smtp.SMTP) -> None:
    """Learn what the server can do; a server that knows no EHLO can do nothing beyond RFC 821."""
    if client.is_ehlo_or_helo_needed:
        try:
            await client.ehlo()
        except smtp.SMTPHeloError:
            if not client.is_connected:
                raise
            await client.helo()


async def _log_in(client: smtp.SMTP, account: Account, user: str, password: str) -> None:
    """Try one way that the server offers; a wrong password is not tried three ways, each of them slow."""
    encrypted = account.security != "plain"
    for name in ("plain", "login", "cram-md5") if encrypted else ("cram-md5", "plain", "login"):
        if name not in client.server_auth_methods:
            continue
        ways = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
        try:
            await ways[name](user, password)
        except smtp.SMTPAuthenticationError as error:
            if error.code not in _NOT_OFFERED:
                raise
        else:
            return
    raise Refused(f"{account.place} offers no login that vidd knows: correct `security`, or take away `user`.")


def _context(account: Account, tools: Tools) -> ssl.SSLContext | None:
    if account.security == "plain":
        return None
    if account.ca_file is None:
        return ssl.create_default_context()
    path = tools.path(account.ca_file)
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError):
        raise Refused(f"The file {path} holds no certificates that can be read: correct `ca_file`.") from None


def fault_of(error: Exception, account: Account) -> Fault:
    """The fate of what went wrong before any mail was sent."""
    place = account.place
    fault: Fault = Refused(f"{place} cannot be used ({_reason(error)}): correct the account.")
    if tls := next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None):
        fault = _tls_fault(tls, place)
    elif isinstance(error, smtp.SMTPAuthenticationError) and not 400 <= error.code < 500:
        fault = Refused(f"{place} refused the login of {account.user!r} ({error.code}): correct user and password.")
    elif isinstance(error, smtp.SMTPResponseException):
        fault = _answered(error, f"{place} does not serve us")
    elif isinstance(error, smtp.SMTPTimeoutError):
        fault = RetryLater(f"{place} did not answer within {account.timeout:g} s. It is tried again.")
    elif isinstance(error, OSError):
        fault = RetryLater(f"{place} cannot be reached ({_reason(error)}). It is tried again.")
    elif "STARTTLS" in str(error):
        fault = Refused(f"{place} offers no STARTTLS, and nothing is sent without: correct `security` and `port`.")
    return fault


def _tls_fault(error: ssl.SSLError, place: str) -> Refused:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Refused(
            f"The certificate of {place} is not to be trusted ({error.verify_message}): correct `host`, or name its "
            "authority with `ca_file`."
        )
    return Refused(f"{place} does not speak TLS as asked ({error.reason}): correct `security` and `port`.")


def _answered(error: smtp.SMTPResponseException, what: str) -> Fault:
    """RFC 5321, 4.2.1: 4yz may succeed later, 5yz will not. A 421 means that the server is going away."""
    said = " ".join(error.message.encode(errors="replace").decode().split())[:200]
    sentence = f"{what}: {error.code} {said}"
    if 500 <= error.code < 600:
        return Refused(f"{sentence}. Correct what it names, then retry.")
    return RetryLater(f"{sentence}. It is tried again.", after=_GREYLISTED if error.code != 421 else None)


def _causes(error: BaseException) -> Sequence[BaseException]:
    chain = [error]
    while len(chain) < 10 and (cause := chain[-1].__cause__ or chain[-1].__context__):
        chain.append(cause)
    return chain


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
