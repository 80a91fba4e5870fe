"""The contract of a network that timelines are read from; `vidd.integrations.timeline.networks` lists them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from vidd.model.post import PostPages, PostQuery
from vidd.ports.tools import Tools


class PostNetwork(Protocol):
    """The `timeline` module of a network's package, such as `vidd.integrations.mastodon.timeline`."""

    async def read_posts(
        self,
        query: PostQuery,
        account_name: str,
        tools: Tools,
        *,
        pages: PostPages,
        save: Callable[[PostPages], Awaitable[None]],
    ) -> PostPages:
        """Read on from `pages` until there are `query.count` posts or no more; saves after each page that it asked for.

        Never asks the network for more posts than are still wanted. Raises Refused for a timeline that is unknown,
        protected, suspended or not for the public, and for an account whose plan is used up; RetryLater, `after` the
        network's own reset, where its rate limit is reached.
        """

    def own_user(self, text: str, account: Any, /) -> str:
        """A user as this network writes it, for ids and sentences. Raises Refused if no user can have that name."""
