"""Playlists of a channel by title: one each, found or made, and a video in it once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from vidd.aio.create_once import create_once
from vidd.errors import RetryLater
from vidd.integrations.google.api import NotTaken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vidd.integrations.youtube.api import Channel
    from vidd.ports import Clock, Memory

_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], asyncio.Lock]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Playlists:
    """The playlists of a channel. What was found or made is remembered, since listings show it late."""

    channel: Channel
    memory: Memory
    clock: Clock
    settle: float
    privacy: str

    async def put(
        self, title: str, video: str, *, tried: str | None, trying: Callable[[str | None], Awaitable[None]]
    ) -> dict[str, str]:
        """See that the video is in the playlist of this title: {title, id, item}. `tried`, `trying` as for `create_once`."""
        for _ in range(2):
            playlist = await self._find(title)
            try:
                item = await create_once(
                    partial(self._item, playlist, video),
                    partial(self.channel.add_item, playlist, video),
                    last_attempt=tried,
                    save_attempt=trying,
                    visibility_delay=self.settle,
                    clock=self.clock,
                    doing=f"putting the video into the playlist {title!r}",
                )
            except NotTaken as refusal:
                if refusal.reason != "playlistNotFound":
                    raise
                # Somebody deleted it meanwhile.
                await self.memory.remember(self._space, {f"id {title}": None})
            else:
                return {"title": title, "id": playlist, "item": item}
        raise RetryLater(f"The playlist {title!r} is listed and yet cannot be found; it is looked for again.")

    @property
    def _space(self) -> str:
        return f"youtube playlists {self.channel.name}"

    async def _find(self, title: str) -> str:
        locks = _locks.setdefault(asyncio.get_running_loop(), {})
        async with locks.setdefault((self.channel.name, title), asyncio.Lock()):
            known = await self.memory.recall(self._space)
            if f"id {title}" in known:
                return known[f"id {title}"]

            async def trying(at: str | None) -> None:
                await self.memory.remember(self._space, {f"tried {title}": at})

            found = await create_once(
                partial(self._listed, title),
                partial(self.channel.add_playlist, title, self.privacy),
                last_attempt=known.get(f"tried {title}"),
                save_attempt=trying,
                visibility_delay=self.settle,
                clock=self.clock,
                doing=f"making the playlist {title!r}",
            )
            await self.memory.remember(self._space, {f"id {title}": found, f"tried {title}": None})
            return found

    async def _listed(self, title: str) -> str | None:
        async for playlist in self.channel.playlists():
            if str(playlist.get("snippet", {}).get("title", "")).strip() == title:
                return str(playlist["id"])
        return None

    async def _item(self, playlist: str, video: str) -> str | None:
        async for item in self.channel.items(playlist, video=video):
            return str(item["id"])
        return None
