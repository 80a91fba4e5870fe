"""A feed, or where feeds are: an address with a place for the user, a file, or any public address that a user gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, model_validator
from yarl import URL

from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused
from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration, Size

PLACE = "{user}"
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.@-]{0,98}[A-Za-z0-9_])?")
_LONGEST = 2000


class Account(ProxiedAccount):
    """RSS and Atom feeds."""

    kind: Literal["feed"] = Field("feed", description="The kind of account.")
    url: str | None = Field(
        None,
        pattern=r"^https?://[^\s@/?#]+(?:[/?][^\s#]*)?$",
        description="The feed's address; \"{user}\" in it is where the user's name goes, such as"
        " https://example.org/@{user}.rss. Without it, the user of a request is the feed's address.",
    )
    path: Path | None = Field(
        None, description="File of the feed, in place of an address; a relative one is in the state directory."
    )
    largest: Size = Field(Size(20 * 2**20), ge=1024, le=2**28, description="Size above which a feed is refused.")
    timeout: Duration = Field(60.0, gt=0, le=600, description="Longest time that fetching a feed may take.")
    private_addresses: bool = Field(
        False, description="Fetch feeds from private addresses and this host, too: for servers inside."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Account:
        if self.url is not None and self.path is not None:
            raise ValueError("give either url or path")
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        return () if self.url is None else (self.url.replace(PLACE, "user"),)

    def own_user(self, text: str) -> str:
        """A name; or a feed's address where the account has none. Raises Refused for what is neither."""
        user = text.strip()
        if self.url is None and self.path is None:
            return _address(user)
        name = user.removeprefix("@")
        if not _NAME.fullmatch(name):
            raise Refused(
                f"{quoted(text, 80)} is no user of a feed: give letters, digits, and . _ - @ between them.",
                code=FaultCode.BAD_INPUT,
            )
        return name

    def address(self, user: str) -> str:
        """The address of a user's feed; `user` is as `own_user` gives it."""
        return user if self.url is None else self.url.replace(PLACE, quote(user, safe=""))


def _address(text: str) -> str:
    try:
        url = URL(text)
        usable = url.scheme in {"http", "https"} and bool(url.raw_host) and url.port is not None and not url.user
    except ValueError:
        usable = False
    if not usable or len(text) > _LONGEST or not text.isprintable():
        raise Refused(
            f"{quoted(text, 80)} is no address of a feed: give one that begins with https:// or http://.",
            code=FaultCode.BAD_INPUT,
        )
    return str(url.with_fragment(None))
