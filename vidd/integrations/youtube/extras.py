"""Adds thumbnail, captions and playlists to a video at YouTube, each recorded and done once.

Where YouTube rejects one of them, vidd notes it; the video is published all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vidd.aio.create_once import create_once
from vidd.integrations.google.errors import RequestRejected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from vidd.integrations.youtube.api import Channel
    from vidd.integrations.youtube.playlists import Playlists
    from vidd.ports import Clock


@dataclass(frozen=True)
class Extras:
    """The extras of one video. `steps` has the result of each, which `save` makes durable.

    `visibility_delay` is how late YouTube's lists may be, in seconds.
    """

    channel: Channel
    video: str
    clock: Clock
    visibility_delay: float
    steps: dict[str, Any]
    notes: list[str]
    save: Callable[[], Awaitable[None]]

    async def thumbnail(self, image: Path, content_type: str) -> None:
        """Set the thumbnail."""

        async def upload() -> bool:
            await self.channel.set_thumbnail(self.video, image.read_bytes(), content_type)
            return True

        await self._step("thumbnail", "the thumbnail", upload)

    async def captions(self, language: str, track: Path) -> None:
        """Add the captions of a language."""
        name = f"captions {language}"

        async def find() -> str | None:
            for caption in await self.channel.captions(self.video):
                snippet = caption.get("snippet", {})
                if snippet.get("language") == language and str(snippet.get("trackKind", "standard")).lower() != "asr":
                    return language
            return None

        async def upload() -> str:
            await self.channel.add_captions(self.video, language, track.read_bytes())
            return language

        async def find_or_upload() -> str:
            return await create_once(
                find,
                upload,
                last_attempt=self.steps.get(f"{name} tried"),
                save_attempt=partial(self._save_attempt, name),
                visibility_delay=self.visibility_delay,
                clock=self.clock,
                doing=f"uploading the captions in {language}",
            )

        await self._step(name, f"the captions in {language}", find_or_upload)

    async def playlist(self, playlists: Playlists, title: str) -> dict[str, str] | None:
        """Add the video to the playlist of this title; None where YouTube rejects that."""
        name = f"playlist {title}"

        async def add() -> dict[str, str]:
            return await playlists.add(
                title,
                self.video,
                last_attempt=self.steps.get(f"{name} tried"),
                save_attempt=partial(self._save_attempt, name),
            )

        entry = await self._step(name, f"the playlist {title!r}", add)
        return entry if isinstance(entry, dict) else None

    async def only_in(
        self, playlists: Playlists, wanted: Sequence[str], before: Sequence[Mapping[str, str]]
    ) -> list[dict[str, str]]:
        """Put the video into the wanted playlists and remove it from the others that it was put into `before`."""
        known = {entry["title"]: dict(entry) for entry in before}
        entries = [known.get(title) or await self.playlist(playlists, title) for title in wanted]
        for title, entry in known.items():
            if title not in wanted:
                await self.channel.delete_item(entry["item"])
        return [entry for entry in entries if entry]

    async def _save_attempt(self, name: str, at: str | None) -> None:
        self.steps[f"{name} tried"] = at
        await self.save()

    async def _step(self, name: str, what: str, work: Callable[[], Awaitable[Any]]) -> Any:
        if name not in self.steps:
            try:
                self.steps[name] = await work()
            except RequestRejected as rejection:
                if rejection.status == 401:
                    raise
                self.notes.append(f"YouTube did not accept {what}: {rejection.sentence}")
                self.steps[name] = False
            await self.save()
        return self.steps[name]
