"""Every network that timelines are read from, with one user who wrote some posts, for the suite of the promises."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.posts import PNG, tweet
from builders.posts import an_account as an_x_account
from peers.bluesky import HANDLE, Bluesky, a_post, a_profile
from peers.feeds import item, rss
from peers.mastodon import DOMAIN, Mastodon, a_status
from peers.x import X

from vidd.integrations.bluesky.account import Account as BlueskyAccount
from vidd.integrations.feed.account import Account as FeedAccount
from vidd.integrations.mastodon.account import Account as MastodonAccount

NUMBERS = range(59, 0, -1)
TEXTS = [f"Post {number}" for number in NUMBERS]
"""What the user has written, the newest first."""
NOWHERE = "http://127.0.0.1:1"


@dataclass
class Case:
    """A network. nowhere: the account with a server that is not there. requests: how many there were for posts."""

    user: str
    account: Any
    nowhere: Any
    requests: Callable[[], int]


@contextmanager
def bluesky(_: Path):
    far = Bluesky()
    ada = a_profile(avatar=None)
    far.write(*(a_post(number, f"Post {number}", author=ada) for number in NUMBERS))
    with far.serving(None):
        nowhere = BlueskyAccount(url=NOWHERE)
        yield Case(HANDLE, BlueskyAccount(url=far.url), nowhere, lambda: len(far.called("GET", "getAuthorFeed")))


@contextmanager
def mastodon(_: Path):
    far = Mastodon()
    far.people["ada"] |= {"avatar": None, "avatar_static": None}
    far.write(*(a_status(number, f"<p>Post {number}</p>") for number in NUMBERS))
    with far.serving(None):
        own = MastodonAccount(url=far.url, domain=DOMAIN)
        yield Case("ada", own, MastodonAccount(url=NOWHERE), lambda: len(far.called("GET", "/statuses")))


@contextmanager
def feed(directory: Path):
    file = directory / "feed.xml"
    file.write_bytes(rss(*(item(number, f"Post {number}") for number in NUMBERS)))
    nowhere = FeedAccount(url=f"{NOWHERE}/{{user}}", private_addresses=True)
    yield Case("ada", FeedAccount(path=file), nowhere, lambda: 0)


@contextmanager
def x(_: Path):
    far = X()
    with far.serving(None):
        far.pictures["ada.png"] = PNG
        far.add("ada", *(tweet(number, f"Post {number}") for number in NUMBERS))
        own = an_x_account(far)
        yield Case("ada", own, own.model_copy(update={"api_url": NOWHERE}), lambda: len(far.called("GET", "/tweets")))


CASES = {"bluesky": bluesky, "feed": feed, "mastodon": mastodon, "x": x}
