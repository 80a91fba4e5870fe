"""Readings of a timeline, with each page that a reading saved."""

from __future__ import annotations

from builders.mail import NOON, tools
from vidd.model.post import PostPages, PostQuery


class Reading:
    """Reads the timeline of an account as the step does; `saved` are the pages as they are kept."""

    def __init__(self, network, account, state, *, now=NOON):
        self.network, self.account = network, account
        self.tools = tools(state, now=now, friends=account)
        self.saved: list[PostPages] = []

    async def read(self, user: str, count: int = 20, *, pages: PostPages | None = None, **wishes):
        own = self.network.own_user(user, self.account)
        query = PostQuery(user=own, count=count, **wishes)
        return await self.network.read_posts(query, "friends", self.tools, pages=pages or PostPages(), save=self._save)

    async def _save(self, pages: PostPages):
        self.saved.append(PostPages.from_json(pages.to_json()))


def slices(post) -> list[tuple[str, str]]:
    """The coloured parts of a post's text, with their kinds."""
    return [(post.text[span.start : span.end], span.kind) for span in post.spans]
