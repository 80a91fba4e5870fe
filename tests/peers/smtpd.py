"""Mail servers for single cases: aiosmtpd with a handler that can be told what to answer, and one that hangs up."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


@dataclass
class Post:
    """What the server was told, and what it is to answer. `answers` are by address, used up one by one."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    data_answers: list[str] = field(default_factory=list)
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd calls it
        answer = self.answers.get(address, [])
        if answer:
            return answer.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd calls it
        if self.data_answers:
            return self.data_answers.pop(0)
        self.taken += [(address, envelope.content) for address in envelope.rcpt_tos]
        return "250 taken as 42"

    def authenticate(self, server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), mechanism))
        return AuthResult(success=data.password == b"s3cret", handled=False)

    def mails(self):
        return [
            (address, email.message_from_bytes(content, policy=email.policy.default)) for address, content in self.taken
        ]

    @property
    def recipients(self):
        return [address for address, _ in self.taken]


@asynccontextmanager
async def smtp_server(*, implicit=None, **settings) -> AsyncIterator[Post]:
    """aiosmtpd in this loop; `implicit` is the TLS context of a server that speaks TLS from the first byte."""
    post = settings.pop("post", None) or Post()
    loop = asyncio.get_running_loop()
    if settings.pop("login", False):
        settings |= {"auth_required": True, "authenticator": post.authenticate}
        settings |= {"auth_require_tls": implicit is None}
    settings = {"enable_SMTPUTF8": False, **settings}
    protocols: list[SMTP] = []

    def make():
        protocols.append(SMTP(post, hostname="mx.example.org", loop=loop, **settings))
        return protocols[-1]

    server = await loop.create_server(make, "127.0.0.1", 0, ssl=implicit)
    post.port = server.sockets[0].getsockname()[1]
    try:
        yield post
    finally:
        server.close()
        for protocol in protocols:
            if protocol.transport:
                protocol.transport.abort()
            if protocol._handler_coroutine:
                protocol._handler_coroutine.cancel()
                await asyncio.gather(protocol._handler_coroutine, return_exceptions=True)
        await server.wait_closed()


@dataclass
class Rude:
    """A server that takes what it is sent and then hangs up at `at`: greeting, mail, rcpt, data, body."""

    at: str
    commands: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    times: int = 1
    port: int = 0
    hold: asyncio.Event | None = None
    silent: bool = False
    holding: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader, writer):
        if self.silent:
            await self.hold.wait()
        writer.write(b"220 rude\r\n")
        while line := await reader.readline():
            word = line.split()[0].decode().lower()
            self.commands.append(line.decode().strip())
            if word == self.at and self.times:
                self.times -= 1
                break
            if word == "data":
                writer.write(b"354 go on\r\n")
                self.bodies.append(await reader.readuntil(b"\r\n.\r\n"))
                if self.hold:
                    self.holding.set()
                    await self.hold.wait()
                if self.at == "body" and self.times:
                    self.times -= 1
                    break
            writer.write({"ehlo": b"250-rude\r\n250 8BITMIME\r\n", "quit": b"221 bye\r\n"}.get(word, b"250 ok\r\n"))
            if word == "quit":
                break
        writer.close()


@asynccontextmanager
async def rude_server(at: str, **more) -> AsyncIterator[Rude]:
    rude = Rude(at, **more)
    running: set[asyncio.Task] = set()

    async def serve(reader, writer):
        running.add(asyncio.current_task())
        try:
            await rude.serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    rude.port = server.sockets[0].getsockname()[1]
    try:
        yield rude
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()
