"""The HTTP/JSON protocol of pCloud (docs.pcloud.com): sessions, log-ins and calls.

Every call here may be repeated: what it would create is found if it exists. Secrets go in a header or in the body,
never in an address.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import defaultdict
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import aiohttp

from vidd.aio.idle_timeout import IdleTimeout
from vidd.aio.retry import retry
from vidd.errors import OutcomeUnknown, RetryLater
from vidd.integrations.pcloud.account import Account
from vidd.integrations.pcloud.errors import LOGIN, PCloudError, fault_of
from vidd.transfer.http import map_errors, retry_after, session, ssl_context
from vidd.transfer.multipart_form import MultipartForm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping

    from vidd.ports import Clock, Tools

T = TypeVar("T")


class Logins:
    """The auth tokens of accounts with a password, kept while the daemon runs: pCloud limits the number of log-ins."""

    def __init__(self) -> None:
        self.tokens: dict[Account, str] = {}
        self.locks: dict[Account, asyncio.Lock] = defaultdict(asyncio.Lock)


@contextmanager
def parsing(doing: str) -> Iterator[None]:
    """Raise RetryLater if an answer lacks what the documentation promises."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise RetryLater(f"vidd cannot parse pCloud's answer at {doing} and will ask again.") from None


@dataclass
class Client:
    """An account with a session open, made by `connect`. `name` is the account's in the settings."""

    web: aiohttp.ClientSession
    account: Account
    name: str
    clock: Clock
    logins: Logins

    async def call(self, method: str, doing: str, parse: Callable[[dict[str, Any]], T], **form: str | int) -> T:
        """Call a method, again for a short while if pCloud fails; returns what `parse` makes of the answer."""
        return cast("T", await self.call_or_none(method, doing, (), parse, **form))

    async def call_or_none(
        self, method: str, doing: str, absent: Collection[int], parse: Callable[[dict[str, Any]], T], **form: str | int
    ) -> T | None:
        """The same; None if the result of the answer is one of `absent`."""
        fields = {name: str(value) for name, value in form.items()}

        async def attempt() -> T | None:
            try:
                answer = await self._with_login(
                    lambda headers, login: self._request(method, doing, headers, {**fields, **login})
                )
                with parsing(doing):
                    return parse(answer)
            except PCloudError as error:
                if error.result in absent:
                    return None
                raise fault_of(error, doing, self.name) from error

        return await retry(attempt, sleep=self.clock.sleep)

    async def upload(
        self,
        doing: str,
        content: Callable[[], AsyncIterator[bytes | bytearray]],
        *,
        size: int,
        name: str,
        **form: str | int,
    ) -> dict[str, Any]:
        """Upload `size` bytes as a file called `name`, once; returns the answer.

        OutcomeUnknown if all bytes went out and no answer came; else the fault of the answer.
        """
        fields = {key: str(value) for key, value in form.items()}

        async def send(headers: Mapping[str, str], login: Mapping[str, str]) -> dict[str, Any]:
            body = MultipartForm({**fields, **login}, content(), size=size, name=name)
            try:
                return await self._request("uploadfile", doing, headers, body)
            except (RetryLater, PCloudError) as error:
                lost = isinstance(error, RetryLater) or (error.status >= 500 and error.status != 503)
                if body.handed_over and lost:
                    raise OutcomeUnknown(f"No answer came to {doing}: look whether it is there.") from error
                raise

        try:
            return await self._with_login(send)
        except PCloudError as error:
            raise fault_of(error, doing, self.name) from error

    async def _with_login(
        self, request: Callable[[Mapping[str, str], Mapping[str, str]], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """Make a request with the account's credentials (headers, form fields); log in again once if they expired."""
        if self.account.token is not None:
            return await request({"Authorization": f"Bearer {self.account.token.get_secret_value()}"}, {})
        auth = await self._auth(None)
        try:
            return await request({}, {"auth": auth})
        except PCloudError as error:
            if error.result not in LOGIN:
                raise
        return await request({}, {"auth": await self._auth(auth)})

    async def _auth(self, stale: str | None) -> str:
        """The token of a log-in that is not `stale`."""
        tokens = self.logins.tokens
        async with self.logins.locks[self.account]:
            known = tokens.get(self.account)
            if known is None or known == stale:
                known = tokens[self.account] = await self._log_in()
            return known

    async def _log_in(self) -> str:
        """Log in by digest (docs.pcloud.com/methods/intro/authentication.html).

        `logout` is set because a connection that is logged in would keep its log-in.
        """
        doing = f"logging in as the account {self.name!r}"
        user, password = self.account.user or "", self.account.password
        digest = str((await self._request("getdigest", doing, {}, {})).get("digest", ""))
        user_digest = hashlib.sha1(user.lower().encode(), usedforsecurity=False).hexdigest()
        secret = f"{password.get_secret_value() if password else ''}{user_digest}{digest}"
        form = {
            "username": user,
            "digest": digest,
            "passworddigest": hashlib.sha1(secret.encode(), usedforsecurity=False).hexdigest(),
            "getauth": "1",
            "logout": "1",
        }
        answer = await self._request("userinfo", doing, {}, form)
        if not answer.get("auth"):
            raise PCloudError(5000, "no auth in the answer")
        return str(answer["auth"])

    async def _request(
        self, method: str, doing: str, headers: Mapping[str, str], form: Mapping[str, str] | MultipartForm
    ) -> dict[str, Any]:
        """Make one request; PCloudError if the answer is not a success."""
        with map_errors(doing):
            async with asyncio.timeout(None) as limit:
                options: dict[str, Any] = {"data": form, "headers": headers}
                if isinstance(form, MultipartForm):
                    # While a file goes out, no bytes come back: progress is what was sent.
                    idle = IdleTimeout(limit, self.account.read_timeout)
                    options = {"data": form.body(idle.touch), "headers": {**headers, **form.headers}}
                url = f"{self.account.base_url}/{method}"
                async with self.web.post(url, allow_redirects=False, **options) as reply:
                    text = await reply.text(errors="replace")
        if reply.status != 200:
            wait = retry_after(reply.headers.get("Retry-After"), self.clock.now())
            raise PCloudError(0, "", reply.status, wait)
        try:
            answer = json.loads(text)
            result = int(answer["result"])
        except (ValueError, TypeError, KeyError):
            raise PCloudError(0, "no JSON with a result", 502) from None
        if result != 0:
            raise PCloudError(result, str(answer.get("error", "")))
        return dict(answer)


@asynccontextmanager
async def connect(tools: Tools, name: str) -> AsyncIterator[Client]:
    """Open a session for the account of this name; Refused if there is none."""
    account = tools.account(name, Account)
    trust = ssl_context(account.ca) if account.ca is not None else True
    async with session(
        account.proxy,
        connect=account.connect_timeout,
        idle=account.read_timeout,
        trust=trust,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as web:
        yield Client(web, account, name, tools.clock, tools.shared.get(Logins))
