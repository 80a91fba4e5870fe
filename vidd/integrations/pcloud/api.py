"""pCloud by its HTTP/JSON protocol (docs.pcloud.com): an account, and its calls.

Every call here may be repeated: what it makes is found instead of made twice. What is secret goes in a header or in the
body, never in an address.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import aiohttp
from pydantic import Field, SecretStr, field_validator, model_validator

from vidd.aio.idle_timeout import IdleTimeout
from vidd.aio.retry import retry
from vidd.errors import OutcomeUnknown, RetryLater
from vidd.integrations.pcloud.errors import LOGIN, PCloudError, fate_of
from vidd.settings.types import Duration, Options
from vidd.transfer.http import asking, authorities, patience, retry_after
from vidd.transfer.multipart_form import Multipart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping

    from vidd.ports import Clock

T = TypeVar("T")

_HOSTS = {"us": "https://api.pcloud.com", "eu": "https://eapi.pcloud.com"}


class Account(Options):
    """A pCloud account, by the token of an app, or by user and password."""

    kind: Literal["pcloud"] = Field("pcloud", description="The kind of account.")
    region: Literal["us", "eu"] = Field(
        "us", description="Where the account was made: its files are in one region only."
    )
    token: SecretStr | None = Field(None, description="Access token of an app (OAuth 2.0).")
    user: str | None = Field(None, min_length=1, description="E-mail address, in place of a token.")
    password: SecretStr | None = Field(None, description="Password; it is never sent, only a digest of it.")
    url: str | None = Field(
        None, pattern=r"^https?://[^\s@/]+$", description="Address of the API, in place of the region's."
    )
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    read_timeout: Duration = Field(120.0, gt=0, description="Longest silence in the middle of a call.")

    @field_validator("token")
    @classmethod
    def _one_line(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        token = value.get_secret_value().strip()
        if not token or not token.isascii() or not token.isprintable():
            raise ValueError("a token is one line of ASCII")
        return SecretStr(token)

    @model_validator(mode="after")
    def _some_login(self) -> Account:
        if (self.user is None) is not (self.password is None):
            raise ValueError("user and password come together: give both or neither")
        if (self.token is None) is (self.user is None):
            raise ValueError("give either a token, or user and password")
        return self

    @property
    def base(self) -> str:
        """Where the API is."""
        return self.url or _HOSTS[self.region]


_LOGGED_IN: dict[Account, str] = {}
"""What pCloud gave for user and password, as long as this process lives: it dislikes many log-ins."""


@contextmanager
def understood(doing: str) -> Iterator[None]:
    """An answer that lacks what the documentation promises is none yet."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise RetryLater(f"pCloud's answer cannot be understood at {doing}; it is asked again.") from None


@dataclass
class Cloud:
    """An account with a session open, made by `cloud`. `name` is the account's, for sentences."""

    web: aiohttp.ClientSession
    account: Account
    name: str
    clock: Clock
    _logging_in: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self, method: str, doing: str, read: Callable[[dict[str, Any]], T], **form: str | int) -> T:
        """What `read` makes of the answer; repeated a little while pCloud fails. The fault of one that is no success."""
        return cast("T", await self.find(method, doing, (), read, **form))

    async def find(
        self, method: str, doing: str, absent: Collection[int], read: Callable[[dict[str, Any]], T], **form: str | int
    ) -> T | None:
        """The same, and None where the result is one of `absent`."""
        fields = {name: str(value) for name, value in form.items()}

        async def once() -> T | None:
            try:
                answer = await self._logged_in(lambda head, login: self._call(method, doing, head, {**fields, **login}))
                with understood(doing):
                    return read(answer)
            except PCloudError as error:
                if error.result in absent:
                    return None
                raise fate_of(error, doing, self.name) from error

        return await retry(once, sleep=self.clock.sleep)

    async def send(
        self,
        doing: str,
        pieces: Callable[[], AsyncIterator[bytes | bytearray]],
        *,
        size: int,
        name: str,
        **form: str | int,
    ) -> dict[str, Any]:
        """Upload `size` bytes as a file called `name`, once.

        OutcomeUnknown where they went out whole and no answer came; the fault of an answer that is no success.
        """
        fields = {key: str(value) for key, value in form.items()}

        async def once(headers: Mapping[str, str], login: Mapping[str, str]) -> dict[str, Any]:
            whole = Multipart({**fields, **login}, pieces(), size=size, name=name)
            try:
                return await self._call("uploadfile", doing, headers, whole)
            except (RetryLater, PCloudError) as error:
                lost = isinstance(error, RetryLater) or (error.status >= 500 and error.status != 503)
                if whole.given and lost:
                    raise OutcomeUnknown(f"No answer came to {doing}: look whether it is there.") from error
                raise

        try:
            return await self._logged_in(once)
        except PCloudError as error:
            raise fate_of(error, doing, self.name) from error

    async def _logged_in(self, call: Callable[[Mapping[str, str], Mapping[str, str]], Any]) -> dict[str, Any]:
        """Make a call with what the account has to show; what expired is got anew, once."""
        if self.account.token is not None:
            return dict(await call({"Authorization": f"Bearer {self.account.token.get_secret_value()}"}, {}))
        auth = await self._auth(None)
        try:
            return dict(await call({}, {"auth": auth}))
        except PCloudError as error:
            if error.result not in LOGIN:
                raise
        return dict(await call({}, {"auth": await self._auth(auth)}))

    async def _auth(self, stale: str | None) -> str:
        """The token of a log-in that is not `stale`."""
        async with self._logging_in:
            known = _LOGGED_IN.get(self.account)
            if known is None or known == stale:
                known = _LOGGED_IN[self.account] = await self._log_in()
            return known

    async def _log_in(self) -> str:
        """Log in by digest (docs.pcloud.com/methods/intro/authentication.html).

        `logout` comes first, since a connection that is logged in goes on as it is.
        """
        doing = f"logging in as the account {self.name!r}"
        user, password = self.account.user or "", self.account.password
        digest = str((await self._call("getdigest", doing, {}, {})).get("digest", ""))
        about = hashlib.sha1(user.lower().encode(), usedforsecurity=False).hexdigest()
        secret = f"{password.get_secret_value() if password else ''}{about}{digest}"
        form = {
            "username": user,
            "digest": digest,
            "passworddigest": hashlib.sha1(secret.encode(), usedforsecurity=False).hexdigest(),
            "getauth": "1",
            "logout": "1",
        }
        answer = await self._call("userinfo", doing, {}, form)
        if not answer.get("auth"):
            raise PCloudError(5000, "no auth in the answer")
        return str(answer["auth"])

    async def _call(
        self, method: str, doing: str, headers: Mapping[str, str], form: Mapping[str, str] | Multipart
    ) -> dict[str, Any]:
        """One request; PCloudError where the answer is no success."""
        with asking(doing):
            async with asyncio.timeout(None) as limit:
                how: dict[str, Any] = {"data": form, "headers": headers}
                if isinstance(form, Multipart):
                    # While a file goes out nothing comes back.
                    silence = IdleTimeout(limit, self.account.read_timeout)
                    how = {"data": form.body(silence.touch), "headers": {**headers, **form.headers}}
                url = f"{self.account.base}/{method}"
                async with self.web.post(url, allow_redirects=False, **how) as answer:
                    text = await answer.text(errors="replace")
        if answer.status != 200:
            wait = retry_after(answer.headers.get("Retry-After"), self.clock.now())
            raise PCloudError(0, "", answer.status, wait)
        try:
            said = json.loads(text)
            result = int(said["result"])
        except (ValueError, TypeError, KeyError):
            raise PCloudError(0, "no JSON with a result", 502) from None
        if result != 0:
            raise PCloudError(result, str(said.get("error", "")))
        return dict(said)


@asynccontextmanager
async def cloud(account: Account, name: str, clock: Clock) -> AsyncIterator[Cloud]:
    """Open a session for an account."""
    timeout = patience(account.connect_timeout, account.read_timeout)
    trust = authorities(account.ca) if account.ca is not None else True
    async with aiohttp.ClientSession(
        timeout=timeout,
        connector=aiohttp.TCPConnector(ssl=trust),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
    ) as web:
        yield Cloud(web, account, name, clock)
