"""Reads a call of the timeline service: whose posts, from which network, how many, in which format, for whom."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidd.display_text import printable, quoted
from vidd.errors import FaultCode, Refused
from vidd.integrations.timeline.networks import NETWORKS, find_network
from vidd.integrations.timeline.videos import FORMATS, video_id, video_name
from vidd.model.email_address import parse_address
from vidd.model.job import Arrival
from vidd.ports import Declined

if TYPE_CHECKING:
    from vidd.integrations.timeline.source import Options
    from vidd.model.job import Job
    from vidd.ports import Call, Tools

_WHOLE = re.compile(r"[0-9]{1,6}")
_NUMBER = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?")
_ORIGIN = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
_LONGEST_USER, _LONGEST_KEY = 500, 200
SHORTEST, LONGEST = 0.5, 60.0
"""Seconds that a card may be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoCall:
    """What a call asks for. `formats` begins with `format`, which the reply names.

    key: by which the same call, sent again, is known; new for a call without Idempotency-Key.
    """

    key: str
    user: str
    network: str
    account: str
    count: int
    seconds: float
    format: str
    formats: tuple[str, ...]
    email: str

    @property
    def video_id(self) -> str:
        """The id that the caller gets."""
        return video_id(self.user, self.key)

    def arrival(self, origin: str, priority: int) -> Arrival:
        """What becomes the job; `origin` is the address by which people reach vidd."""
        facts = {
            **self._asked(),
            "account": self.account, "formats": list(self.formats), "video_id": self.video_id, "origin": origin,
            "talk": None,
        }  # fmt: skip
        location = f"timeline:{self.network}/{self.user}"
        return Arrival(self.key, location, video_name(self.video_id, self.format), facts, priority)

    def is_of(self, job: Job) -> bool:
        """Whether the job was made of a call that asked for the same."""
        return all(job.facts.get(name) == value for name, value in self._asked().items())

    def _asked(self) -> dict[str, Any]:
        names = ("user", "network", "count", "seconds", "format", "email")
        return {name: getattr(self, name) for name in names}


def read_call(call: Call, options: Options, tools: Tools, source: str) -> VideoCall:
    """The call. Declined with 422 and a sentence that names the parameter, with 403 for a user who is not allowed.

    `source` is the name of the source in the settings. Parameters that vidd does not know count for nothing.
    """
    given = {**call.query, **call.fields}
    network = _network(_text(given, "network"), options)
    account = options.accounts[network]
    wanted = _format(_text(given, "format"), options)
    return VideoCall(
        key=_key(call.headers.get("idempotency-key"), source),
        user=_user(_text(given, "user"), network, options, tools),
        network=network,
        account=account,
        count=_count(_text(given, "count"), options),
        seconds=_seconds(_text(given, "seconds"), options),
        format=wanted,
        formats=tuple(dict.fromkeys([wanted, *options.formats])),
        email=_email(_text(given, "email")),
    )


def read_origin(call: Call, *, public_url: str | None, trust_forwarded: bool) -> str:
    """The address by which people reach vidd, without a slash at its end: of the settings, or of the call.

    Declined with 400 where the call names no host.
    """
    if public_url is not None:
        return public_url
    origin = call.origin
    if trust_forwarded:
        scheme, _, host = origin.partition("://")
        origin = f"{_first(call, 'x-forwarded-proto') or scheme}://{_first(call, 'x-forwarded-host') or host}"
    if not _ORIGIN.fullmatch(origin):
        raise Declined(400, f"Host: {quoted(origin, 120)} is no address of a server: send the right one.")
    return origin


def read_remote(call: Call, *, trust_forwarded: bool) -> str:
    """The address of the caller: with `trust_forwarded` what the proxy before vidd says."""
    forwarded = call.headers.get("x-forwarded-for", "") if trust_forwarded else ""
    # Whoever calls may write the earlier entries; the proxy adds the last one.
    return forwarded.rpartition(",")[2].strip()[:64] or call.remote


def _first(call: Call, name: str) -> str:
    return call.headers.get(name, "").partition(",")[0].strip()


def _text(given: Mapping[str, Any], name: str) -> str:
    """A parameter as text; "" without one. Declined for what is no text or number, or has characters nobody sees."""
    value = given.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Declined(422, f"{name} is neither a text nor a number: send one.")
    text = str(value)
    if printable(text) != text:
        raise Declined(422, f"{name} cannot be {quoted(text, 80)}: send it without control characters.")
    return text.strip()


def _key(text: str | None, source: str) -> str:
    if text is None:
        return secrets.token_hex(16)
    if not 0 < len(text) <= _LONGEST_KEY or printable(text) != text:
        raise Declined(422, f"Idempotency-Key has 1 to {_LONGEST_KEY} visible characters: send such a one.")
    return hashlib.sha256(f"{source}\0{text}".encode(errors="replace")).hexdigest()[:32]


def _network(text: str, options: Options) -> str:
    if not text:
        return options.default_network
    if text not in options.accounts:
        raise Declined(422, f"network cannot be {quoted(text, 80)}: choose one of {', '.join(options.accounts)}.")
    return text


def _user(text: str, network: str, options: Options, tools: Tools) -> str:
    if not text:
        raise Declined(422, f"user is missing: say whose posts at {NETWORKS[network].title} the video is to show.")
    if len(text) > _LONGEST_USER:
        raise Declined(422, f"user is longer than {_LONGEST_USER} characters: send the name of a user.")
    try:
        user = find_network(network).load().own_user(text, tools.accounts.get(options.accounts[network]))
    except Refused as refused:
        if refused.code is FaultCode.BAD_SETTINGS:
            raise
        raise Declined(422, f"user cannot be {quoted(text, 80)}: {refused.sentence}") from None
    names = {user.casefold(), f"{network}:{user}".casefold()}
    if options.users and not names & {allowed.removeprefix("@").casefold() for allowed in options.users}:
        raise Declined(403, f"user cannot be {quoted(user, 80)}: this service makes no videos of that timeline.")
    return user


def _format(text: str, options: Options) -> str:
    if not text:
        return options.default_format
    if text not in FORMATS:
        raise Declined(422, f"format cannot be {quoted(text, 80)}: choose one of {', '.join(FORMATS)}.")
    return text


def _count(text: str, options: Options) -> int:
    if not text:
        return options.count
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= options.max_count:
        raise Declined(422, f"count cannot be {quoted(text, 80)}: send a whole number from 1 to {options.max_count}.")
    return int(text)


def _seconds(text: str, options: Options) -> float:
    if not text:
        return options.seconds
    if not _NUMBER.fullmatch(text) or not SHORTEST <= float(text) <= LONGEST:
        raise Declined(422, f"seconds cannot be {quoted(text, 80)}: send a number from {SHORTEST:g} to {LONGEST:g}.")
    return float(text)


def _email(text: str) -> str:
    if not text:
        return ""
    name, address = parse_address(text) or ("", "")
    if name or not address:
        raise Declined(422, f"email cannot be {quoted(text, 80)}: send one address, such as ada@example.org.")
    return address
