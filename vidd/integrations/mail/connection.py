"""A connection to a mail server (RFC 5321), over which mails are sent one by one.

From the DATA command on vidd cannot take a mail back: if the connection breaks before the answer to the final dot, the
outcome is unknown (RFC 5321, 4.5.3.2.6 and 6.1), and SMTP has no command to ask for it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosmtplib as smtp
from yarl import URL

from vidd.errors import FaultCode, OutcomeUnknown, Refused
from vidd.integrations.mail.account import Account
from vidd.integrations.mail.errors import answer_fault, connection_fault
from vidd.ports import Tools
from vidd.transfer.proxy import proxy_for
from vidd.transfer.tunnel import open_tunnel

_NOT_OFFERED = {500, 502, 504, 534}


class Session:
    """A connection that is logged in."""

    def __init__(self, account: Account, client: smtp.SMTP) -> None:
        self._account, self._client = account, client

    @property
    def open(self) -> bool:
        """Whether another mail can be sent on it."""
        return self._client.is_connected

    def supports(self, address: str) -> bool:
        """Whether the server accepts the characters of an address: beyond ASCII it needs SMTPUTF8 (RFC 6531)."""
        return address.isascii() or self._client.supports_extension("smtputf8")

    async def envelope(self, sender: str, recipient: str) -> None:
        """Name sender and recipient. Raises Refused or RetryLater by the server's answer; then nothing was sent."""
        utf8 = not (sender.isascii() and recipient.isascii())
        encoding = "utf-8" if utf8 else "ascii"
        try:
            await self._client.mail(sender, options=["SMTPUTF8", "BODY=8BITMIME"] if utf8 else [], encoding=encoding)
            await self._client.rcpt(recipient, encoding=encoding)
        except smtp.SMTPSenderRefused as error:
            raise answer_fault(error, f"{self._account.server} does not accept mail from {sender}") from None
        except smtp.SMTPRecipientRefused as error:
            raise answer_fault(error, f"{self._account.server} does not accept mail for {recipient}") from None
        except smtp.SMTPException as error:
            raise connection_fault(error, self._account) from None

    async def data(self, message: bytes) -> str:
        """Send the mail itself; returns the server's answer. Raises OutcomeUnknown where none came."""
        try:
            answer = await self._client.data(message, timeout=self._account.data_timeout)
        except smtp.SMTPDataError as error:
            raise answer_fault(error, f"{self._account.server} does not accept this mail") from None
        except smtp.SMTPException:
            self._client.close()
            raise OutcomeUnknown(f"{self._account.server} gave no answer after vidd sent the mail.") from None
        return answer.message

    async def reset(self) -> None:
        """Drop an envelope that led to nothing; if even that fails, close the connection."""
        try:
            await self._client.rset()
        except smtp.SMTPException:
            self._client.close()

    async def noop(self) -> None:
        """Send NOOP, to which a working server answers."""
        try:
            await self._client.noop()
        except smtp.SMTPException as error:
            raise connection_fault(error, self._account) from None


@asynccontextmanager
async def connect(account: Account, tools: Tools) -> AsyncIterator[Session]:
    """A connection, encrypted and logged in as the account says. Raises Refused or RetryLater where there is none."""
    trust = await asyncio.to_thread(_context, account, tools)
    address = URL(account.url)
    proxy = proxy_for(address, account.proxy)
    target = (address.raw_host or "", account.actual_port)
    tunnel = None if proxy is None else await open_tunnel(proxy, target, limit=account.timeout, trust=trust)
    client = smtp.SMTP(
        hostname=account.host,
        port=account.actual_port if tunnel is None else None,
        sock=tunnel,
        timeout=account.timeout,
        use_tls=account.security == "tls",
        start_tls=account.security == "starttls",
        tls_context=trust,
        local_hostname=account.local_hostname,
    )
    try:
        try:
            await client.connect()
            await _greet(client)
            if account.user is not None and account.password is not None:
                await _log_in(client, account, account.user, account.password.get_secret_value())
        except (smtp.SMTPException, OSError) as error:
            raise connection_fault(error, account) from None
        yield Session(account, client)
        await _leave(client)
    finally:
        await _hang_up(client)


async def _hang_up(client: smtp.SMTP) -> None:
    """Close at once: a peer that never answers the TLS close_notify would keep the socket open."""
    transport = client.transport
    client.close()
    if transport:
        transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(0)  # the loop closes the socket itself in its next iteration


async def _leave(client: smtp.SMTP) -> None:
    try:
        await client.quit(timeout=5)
    except smtp.SMTPException:
        return  # all mails have their answers; how the server closes the connection does not matter


async def _greet(client: smtp.SMTP) -> None:
    """Ask for the server's extensions; a server without EHLO has none (RFC 821)."""
    if client.is_ehlo_or_helo_needed:
        try:
            await client.ehlo()
        except smtp.SMTPHeloError:
            if not client.is_connected:
                raise
            await client.helo()


async def _log_in(client: smtp.SMTP, account: Account, user: str, password: str) -> None:
    """Log in with the first method that the server offers; vidd does not try a wrong password three times."""
    encrypted = account.security != "plain"
    for name in ("plain", "login", "cram-md5") if encrypted else ("cram-md5", "plain", "login"):
        if name not in client.server_auth_methods:
            continue
        methods = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
        try:
            await methods[name](user, password)
        except smtp.SMTPAuthenticationError as error:
            if error.code not in _NOT_OFFERED:
                raise
        else:
            return
    raise Refused(
        f"{account.server} offers no login method that vidd knows: correct `security`, or remove `user`.",
        code=FaultCode.BAD_SETTINGS,
    )


def _context(account: Account, tools: Tools) -> ssl.SSLContext | None:
    if account.security == "plain":
        return None
    if account.ca_file is None:
        return ssl.create_default_context()
    path = tools.path(account.ca_file)
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError):
        raise Refused(
            f"The file {path} holds no certificates that can be read: correct `ca_file`.", code=FaultCode.BAD_SETTINGS
        ) from None
