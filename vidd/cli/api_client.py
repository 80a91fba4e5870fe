"""A running daemon, asked over its socket, or over TCP with a token. The same API as `/api/openapi.json` says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    InvalidURL,
    NonHttpUrlClientError,
    TCPConnector,
    UnixConnector,
)
from pydantic import SecretStr

from vidd.errors import OutcomeUnknown, Refused, RetryLater

_ANSWER = ClientTimeout(total=60, sock_connect=10)
_STREAM = ClientTimeout(total=None, sock_connect=10, sock_read=60)
_LONGEST = 64 * 1024 * 1024
_LINE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Told:
    """One server-sent event; `id` is what `events(last=...)` goes on from."""

    id: str | None
    name: str
    data: Any


class DaemonClient:
    """Used as `async with DaemonClient(socket=...) as daemon`, or with `url` and a token.

    Refused carries the daemon's own sentence, and says how to start one where none answers.
    """

    def __init__(
        self, *, socket: Path | None = None, url: str | None = None, token: SecretStr | str | None = None
    ) -> None:
        if (socket is None) == (url is None):
            raise ValueError("either a socket or a url")
        self._socket, self._url = socket, (url or "http://vidd").rstrip("/")
        self._token = token.get_secret_value() if isinstance(token, SecretStr) else token
        self._session: ClientSession | None = None

    @property
    def where(self) -> str:
        """What is asked, for sentences."""
        return str(self._socket or self._url)

    async def __aenter__(self) -> Self:
        """Make ready; nothing is asked yet."""
        connector = UnixConnector(str(self._socket)) if self._socket else TCPConnector()
        headers = {"Host": "localhost"} if self._socket else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        self._session = ClientSession(connector=connector, headers=headers, read_bufsize=_LINE)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the connections back."""
        if self._session:
            await self._session.close()

    async def get(self, path: str, **query: str | int | None) -> Any:
        """The JSON at a path. Refused, or RetryLater where the daemon says so."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        try:
            async with self._open.get(
                self._url + path, params=given, timeout=_ANSWER, allow_redirects=False
            ) as response:
                return await self._read(response)
        except (ClientError, TimeoutError, OSError) as error:
            raise self._lost(error) from None

    async def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None) -> Any:
        """Ask the daemon to act; `key` makes asking twice the same as once. OutcomeUnknown where no answer came."""
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with self._open.post(
                self._url + path, json=dict(body or {}), headers=headers, timeout=_ANSWER, allow_redirects=False
            ) as response:
                return await self._read(response)
        except (ClientError, TimeoutError, OSError) as error:
            fault = self._lost(error)
            if isinstance(fault, RetryLater):
                raise OutcomeUnknown(
                    f"The daemon at {self.where} was asked and did not answer: look with vidd jobs whether it acted."
                ) from None
            raise fault from None

    async def events(self, last: str | None = None) -> AsyncIterator[Told]:
        """What happens, until the daemon stops; RetryLater where it falls silent."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        try:
            async with self._open.get(self._url + "/api/events", headers=headers, timeout=_STREAM) as response:
                if response.content_type != "text/event-stream":
                    await self._read(response)
                    raise self._foreign()
                fields: dict[str, str] = {}
                async for raw in response.content:
                    line = raw.decode().rstrip("\r\n")
                    if line:
                        name, _, value = line.partition(":")
                        fields[name] = value.removeprefix(" ")
                        continue
                    if "event" in fields:
                        yield Told(fields.get("id"), fields["event"], json.loads(fields["data"]))
                    fields = {}
        except (ClientError, TimeoutError, OSError) as error:
            raise self._lost(error) from None

    @property
    def _open(self) -> ClientSession:
        if self._session is None:
            raise RuntimeError("used outside of its async with")
        return self._session

    async def _read(self, response: ClientResponse) -> Any:
        if response.content_type not in {"application/json", "application/problem+json"}:
            raise self._foreign()
        if (response.content_length or 0) > _LONGEST:
            raise self._foreign()
        try:
            document = json.loads(await response.read())
        except ValueError:
            raise self._foreign() from None
        if response.content_type == "application/json":
            return document
        sentence = str(document.get("detail") or document.get("title"))
        after = response.headers.get("Retry-After", "")
        if response.status == 503:
            raise RetryLater(sentence, after=float(after) if after.isdigit() else None)
        if response.status >= 500:
            raise OutcomeUnknown(sentence)
        raise Refused(sentence)

    def _foreign(self) -> Refused:
        return Refused(f"What answers at {self.where} is no vidd: correct the address.")

    def _lost(self, error: Exception) -> Refused | RetryLater:
        if isinstance(error, InvalidURL | NonHttpUrlClientError):
            return Refused(f"{self._url!r} is no address: write it like http://127.0.0.1:8080.")
        if isinstance(error, ClientConnectorError):
            if isinstance(error.os_error, PermissionError):
                return Refused(f"You may not use the socket {self.where}: ask as root, or as vidd's own user or group.")
            return Refused(f"No daemon answers at {self.where}: start it with vidd run, or name its --state-dir.")
        return RetryLater(f"The daemon at {self.where} stopped answering: ask again.")
