"""Finds or creates a channel's playlists by title, and adds a video to each of them once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vidd.aio.create_once import create_once
from vidd.errors import RetryLater
from vidd.integrations.google.errors import RequestRejected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vidd.integrations.youtube.api import Channel
    from vidd.ports import Clock, Memory


class PlaylistLocks:
    """One lock for each playlist of a channel, so that two jobs do not both create it."""

    def __init__(self) -> None:
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    def lock(self, account: str, title: str) -> asyncio.Lock:
        """The lock for the playlist of this title."""
        return self._locks[account, title]


@dataclass(frozen=True)
class Playlists:
    """The playlists of a channel. vidd remembers the ids it found or created, since YouTube lists them late.

    `visibility_delay` is how late, in seconds; `privacy` is that of a playlist that vidd creates.
    """

    channel: Channel
    memory: Memory
    clock: Clock
    locks: PlaylistLocks
    visibility_delay: float
    privacy: str

    async def add(
        self,
        title: str,
        video: str,
        *,
        last_attempt: str | None,
        save_attempt: Callable[[str | None], Awaitable[None]],
    ) -> dict[str, str]:
        """Make sure that the video is in the playlist of this title; returns {title, id, item}.

        `last_attempt` and `save_attempt` as for `create_once`.
        """
        for _ in range(2):
            playlist = await self._find_or_create(title)
            try:
                item = await create_once(
                    partial(self._find_item, playlist, video),
                    partial(self.channel.add_item, playlist, video),
                    last_attempt=last_attempt,
                    save_attempt=save_attempt,
                    visibility_delay=self.visibility_delay,
                    clock=self.clock,
                    doing=f"putting the video into the playlist {title!r}",
                )
            except RequestRejected as rejection:
                if rejection.reason != "playlistNotFound":
                    raise
                # Somebody has deleted the playlist since vidd found it.
                await self.memory.remember(self._space, {f"id {title}": None})
            else:
                return {"title": title, "id": playlist, "item": item}
        raise RetryLater(f"YouTube lists the playlist {title!r} but does not find it; vidd will look again.")

    @property
    def _space(self) -> str:
        return f"youtube playlists {self.channel.name}"

    async def _find_or_create(self, title: str) -> str:
        async with self.locks.lock(self.channel.name, title):
            known = await self.memory.recall(self._space)
            if f"id {title}" in known:
                return known[f"id {title}"]

            async def save_attempt(at: str | None) -> None:
                await self.memory.remember(self._space, {f"tried {title}": at})

            playlist = await create_once(
                partial(self._find_playlist, title),
                partial(self.channel.add_playlist, title, self.privacy),
                last_attempt=known.get(f"tried {title}"),
                save_attempt=save_attempt,
                visibility_delay=self.visibility_delay,
                clock=self.clock,
                doing=f"making the playlist {title!r}",
            )
            await self.memory.remember(self._space, {f"id {title}": playlist, f"tried {title}": None})
            return playlist

    async def _find_playlist(self, title: str) -> str | None:
        async for playlist in self.channel.playlists():
            if str(playlist.get("snippet", {}).get("title", "")).strip() == title:
                return str(playlist["id"])
        return None

    async def _find_item(self, playlist: str, video: str) -> str | None:
        async for item in self.channel.items(playlist, video=video):
            return str(item["id"])
        return None
