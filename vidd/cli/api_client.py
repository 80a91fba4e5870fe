"""Client of a running daemon, over its socket or over TCP with a token; the API is that of `/api/openapi.json`."""

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
)
from pydantic import SecretStr

from vidd.errors import FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.transfer.http import session, unix_session

_ANSWER_TIMEOUT = ClientTimeout(total=60, sock_connect=10)
_STREAM_TIMEOUT = ClientTimeout(total=None, sock_connect=10, sock_read=60)
_MAX_BODY = 64 * 1024 * 1024
_MAX_LINE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """A server-sent event; `events(last=id)` continues after it."""

    id: str | None
    name: str
    data: Any


class DaemonClient:
    """Used as `async with DaemonClient(socket=...) as daemon`, or with `url` and a token.

    Raises Refused with the daemon's own sentence, and with the code NO_DAEMON where none answers.
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
        """The socket or the address, for sentences."""
        return str(self._socket or self._url)

    async def __aenter__(self) -> Self:
        """Open a session; nothing is sent yet."""
        headers = {"Host": "localhost"} if self._socket else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        options: dict[str, Any] = {"headers": headers, "read_bufsize": _MAX_LINE}
        self._session = unix_session(self._socket, **options) if self._socket else session(**options)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session."""
        if self._session:
            await self._session.close()

    async def get(self, path: str, **query: str | int | None) -> Any:
        """The JSON at a path. Raises Refused, or RetryLater where the daemon says so."""
        params = {name: str(value) for name, value in query.items() if value is not None}
        try:
            async with self._opened.get(
                self._url + path, params=params, timeout=_ANSWER_TIMEOUT, allow_redirects=False
            ) as response:
                return await self._read(response)
        except (ClientError, TimeoutError, OSError) as error:
            raise self._fault_of(error) from None

    async def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None) -> Any:
        """Post, and return the JSON of the answer; with `key` a repetition changes nothing. OutcomeUnknown if no answer came."""
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with self._opened.post(
                self._url + path, json=dict(body or {}), headers=headers, timeout=_ANSWER_TIMEOUT, allow_redirects=False
            ) as response:
                return await self._read(response)
        except (ClientError, TimeoutError, OSError) as error:
            fault = self._fault_of(error)
            if isinstance(fault, RetryLater):
                raise OutcomeUnknown(
                    f"The daemon at {self.where} did not answer: vidd jobs shows whether it acted."
                ) from None
            raise fault from None

    async def events(self, last: str | None = None) -> AsyncIterator[ServerEvent]:
        """The daemon's events, until it stops. Raises RetryLater if the stream breaks off or falls silent."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        try:
            async with self._opened.get(
                self._url + "/api/events", headers=headers, timeout=_STREAM_TIMEOUT
            ) as response:
                if response.content_type != "text/event-stream":
                    await self._read(response)
                    raise self._not_vidd()
                fields: dict[str, str] = {}
                async for raw in response.content:
                    line = raw.decode().rstrip("\r\n")
                    if line:
                        name, _, value = line.partition(":")
                        fields[name] = value.removeprefix(" ")
                        continue
                    if "event" in fields:
                        yield ServerEvent(fields.get("id"), fields["event"], json.loads(fields["data"]))
                    fields = {}
        except (ClientError, TimeoutError, OSError) as error:
            raise self._fault_of(error) from None

    @property
    def _opened(self) -> ClientSession:
        if self._session is None:
            raise RuntimeError("use DaemonClient in an async with")
        return self._session

    async def _read(self, response: ClientResponse) -> Any:
        if response.content_type not in {"application/json", "application/problem+json"}:
            raise self._not_vidd()
        if (response.content_length or 0) > _MAX_BODY:
            raise self._not_vidd()
        try:
            document = json.loads(await response.read())
        except ValueError:
            raise self._not_vidd() from None
        if response.content_type == "application/json":
            return document
        sentence = str(document.get("detail") or document.get("title"))
        after = response.headers.get("Retry-After", "")
        if response.status == 503:
            raise RetryLater(sentence, after=float(after) if after.isdigit() else None)
        if response.status >= 500:
            raise OutcomeUnknown(sentence)
        raise Refused(sentence)

    def _not_vidd(self) -> Refused:
        return Refused(f"The server at {self.where} is not vidd: correct the address.", code=FaultCode.NOT_FOUND)

    def _fault_of(self, error: Exception) -> Refused | RetryLater:
        if isinstance(error, InvalidURL | NonHttpUrlClientError):
            return Refused(f"{self._url!r} is not an address: write it like http://127.0.0.1:8080.")
        if isinstance(error, ClientConnectorError):
            if isinstance(error.os_error, PermissionError):
                return Refused(
                    f"You may not use the socket {self.where}: run the command as root, or as vidd's own user or group.",
                    code=FaultCode.FORBIDDEN,
                )
            return Refused(
                f"No daemon answers at {self.where}: start it with vidd run, or name its --state-dir.",
                code=FaultCode.NO_DAEMON,
            )
        return RetryLater(f"The daemon at {self.where} stopped answering: try again.")
