"""Sessions of people who use the page: a token of `[daemon] tokens`, or a link that the socket gave, opens one.

The browser keeps the session's id in a cookie that no script reads and no other site sends. The store keeps the id's digest,
so a session survives a restart; it ends after a week, by a sign-out, or once its token is no longer in the settings.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from vidd.web.problem import Problem

if TYPE_CHECKING:
    from vidd.ports import Clock, Memory

CSRF_FIELD = "csrf"
"""The field of a form, and `CSRF_HEADER` the header of a script's request, that has `Session.csrf`."""
CSRF_HEADER = "X-CSRF-Token"

_LIFE, _LINK_LIFE = timedelta(days=7), timedelta(minutes=5)
_MOST_SESSIONS, _MOST_LINKS, _MOST_ADDRESSES = 1000, 100, 1000
_SPACE = "page:sessions"
_BY_LINK = "link"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Session:
    """A person's session. `id` is a secret; `until` is its end."""

    id: str
    until: datetime

    @property
    def csrf(self) -> str:
        """What every form of this session sends as `CSRF_FIELD`, so that no other site can send it."""
        return hmac.digest(self.id.encode(), b"csrf", "sha256").hex()


@dataclass(frozen=True, slots=True)
class _Record:
    """A session as it is stored. `opened_by` stands for the token: only who has the session's id can compare it."""

    until: datetime
    opened_by: str


SESSION: web.RequestKey[Session | None] = web.RequestKey("session")


def session_of(request: web.Request) -> Session | None:
    """The session of a request that may act; None for one that came without a cookie, or through the socket."""
    return request.get(SESSION)


class Sessions:
    """Opens, finds and ends sessions. `tokens` are those of the settings."""

    def __init__(self, memory: Memory, clock: Clock, tokens: Sequence[str]) -> None:
        self._memory, self._clock = memory, clock
        self._tokens = [_digest(token) for token in tokens]
        self._records: dict[str, _Record] | None = None
        self._links: dict[str, datetime] = {}

    @property
    def has_tokens(self) -> bool:
        """Whether the settings have a token."""
        return bool(self._tokens)

    async def open_by_token(self, token: str) -> Session | None:
        """A new session for a token of the settings; None for any other. Raises RetryLater if the store is away."""
        digest = _digest(token.strip())
        found = [hmac.compare_digest(digest, known) for known in self._tokens]
        return await self._open(digest) if any(found) else None

    def make_link(self) -> tuple[str, datetime]:
        """A code that opens one session within five minutes, and when that time ends."""
        now, code = self._clock.now(), secrets.token_urlsafe(24)
        self._links = {known: until for known, until in self._links.items() if until > now}
        while len(self._links) >= _MOST_LINKS:
            del self._links[next(iter(self._links))]
        self._links[_digest(code)] = now + _LINK_LIFE
        return code, now + _LINK_LIFE

    async def open_by_link(self, code: str) -> Session | None:
        """A new session for a code that was not used before; None for any other."""
        until = self._links.pop(_digest(code), None)
        return await self._open(_BY_LINK) if until is not None and until > self._clock.now() else None

    async def _open(self, opener: str) -> Session:
        records, now = await self._loaded(), self._clock.now()
        session = Session(secrets.token_urlsafe(32), now + _LIFE)
        name, record = _digest(session.id), _Record(session.until, _opened_by(session.id, opener))
        # The newest come last.
        alive = [known for known in records if records[known].until > now][1 - _MOST_SESSIONS :]
        ended = records.keys() - alive
        stored = f"{record.until.isoformat()} {record.opened_by}"
        await self._memory.remember(_SPACE, {**dict.fromkeys(ended), name: stored})
        self._records = {known: records[known] for known in alive} | {name: record}
        return session

    async def find(self, session_id: str) -> Session | None:
        """The session with this id; None if it has ended. Raises RetryLater if the store is away and was never asked."""
        record = (await self._loaded()).get(_digest(session_id))
        if record is None or record.until <= self._clock.now():
            return None
        openers = [_opened_by(session_id, opener) for opener in (*self._tokens, _BY_LINK)]
        return Session(session_id, record.until) if record.opened_by in openers else None

    async def end(self, session: Session) -> None:
        """End a session. Raises RetryLater if the store is away."""
        await self._memory.remember(_SPACE, {_digest(session.id): None})
        (await self._loaded()).pop(_digest(session.id), None)

    async def _loaded(self) -> dict[str, _Record]:
        if self._records is None:
            stored = await self._memory.recall(_SPACE)
            parts = {name: value.partition(" ") for name, value in stored.items()}
            records = {name: _Record(datetime.fromisoformat(until), by) for name, (until, _, by) in parts.items()}
            self._records = dict(sorted(records.items(), key=lambda item: item[1].until))
        return self._records


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _opened_by(session_id: str, opener: str) -> str:
    return hmac.digest(session_id.encode(), opener.encode(), "sha256").hex()


SESSIONS: web.AppKey[Sessions] = web.AppKey("sessions")


class WrongTokens:
    """Slows down who tries tokens: after five wrong ones an address waits, twice as long each time, a minute at most."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._wrong: dict[str, tuple[int, float]] = {}

    def check(self, address: str | None) -> None:
        """Raise Problem 429 while this address must wait."""
        count, last = self._wrong.get(_network(address), (0, 0.0))
        wait = min(60.0, 2.0 ** (count - 5)) if count >= 5 else 0.0
        left = last + wait - self._monotonic()
        if left > 0:
            seconds = int(left) + 1
            raise Problem(
                429, f"Too many wrong tokens: try again in {seconds} s.", headers={"Retry-After": str(seconds)}
            )

    def count(self, address: str | None) -> None:
        """Count a wrong token."""
        network = _network(address)
        count, last = self._wrong.pop(network, (0, 0.0))
        forgotten = self._monotonic() - last > 900
        self._wrong[network] = (1 if forgotten else count + 1, self._monotonic())
        if len(self._wrong) > _MOST_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]


def _network(address: str | None) -> str:
    """An IPv4 address, or the /64 of an IPv6 address, of which one host has all."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


WRONG_TOKENS: web.AppKey[WrongTokens] = web.AppKey("wrong_tokens")


def over_https(request: web.Request) -> bool:
    """Whether the browser speaks HTTPS, to vidd or to the proxy before it."""
    return "https" in {request.scheme, request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip()}


def _cookie_name(request: web.Request) -> str:
    """The cookie's name. Browsers share cookies between ports, so that the port is in it."""
    port = request.host.rpartition(":")[2]
    name = f"vidd_session_{port}" if port.isdigit() else "vidd_session"
    return f"__Host-{name}" if over_https(request) else name


def set_cookie(request: web.Request, response: web.Response, session: Session, now: datetime) -> None:
    """Give the browser the session's id."""
    response.set_cookie(
        _cookie_name(request),
        session.id,
        max_age=int((session.until - now).total_seconds()),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=over_https(request),
    )


def delete_cookie(request: web.Request, response: web.Response) -> None:
    """Let the browser forget the session's id."""
    response.del_cookie(_cookie_name(request), path="/", httponly=True, samesite="Strict", secure=over_https(request))


def is_same_origin(request: web.Request) -> bool:
    """Whether vidd's own page sent a request, as far as the browser says."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == request.host.lower()
    except ValueError:
        return False


async def read_session(request: web.Request) -> Session | None:
    """The session of a request's cookie; None without one.

    Raises Problem 403 if it would change something and was not sent by a page of this session, RetryLater if the store is away.
    """
    session_id = request.cookies.get(_cookie_name(request))
    session = await request.app[SESSIONS].find(session_id) if session_id else None
    if session is None or request.method in _SAFE:
        return session
    sent = request.headers.get(CSRF_HEADER)
    if sent is None and request.content_type == "application/x-www-form-urlencoded":
        field = (await request.post()).get(CSRF_FIELD)
        sent = field if isinstance(field, str) else None
    if not is_same_origin(request) or not hmac.compare_digest((sent or "").encode(), session.csrf.encode()):
        raise Problem(
            403, "This request did not come from a page of this session: load the page again, then repeat it."
        )
    return session
