"""What a video gets besides its bytes: thumbnail, captions, playlists. Each is a step that is recorded and done once.

YouTube's refusal of one of them is noted; the video is out all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vidd.aio.create_once import create_once
from vidd.integrations.google.api import NotTaken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from vidd.integrations.youtube.api import Channel
    from vidd.integrations.youtube.playlists import Playlists
    from vidd.ports import Clock


@dataclass(frozen=True)
class Extras:
    """The steps of one video. `steps` are what is recorded of them in the token, which `save` makes durable."""

    channel: Channel
    video: str
    clock: Clock
    settle: float
    steps: dict[str, Any]
    notes: list[str]
    save: Callable[[], Awaitable[None]]

    async def thumbnail(self, image: Path, content_type: str) -> None:
        """Set the picture."""

        async def do() -> bool:
            await self.channel.set_thumbnail(self.video, image.read_bytes(), content_type)
            return True

        await self._step("thumbnail", "the thumbnail", do)

    async def captions(self, language: str, words: Path) -> None:
        """Bring the captions of a language."""
        name = f"captions {language}"

        async def listed() -> str | None:
            for caption in await self.channel.captions(self.video):
                said = caption.get("snippet", {})
                if said.get("language") == language and str(said.get("trackKind", "standard")).lower() != "asr":
                    return language
            return None

        async def bring() -> str:
            await self.channel.add_captions(self.video, language, words.read_bytes())
            return language

        async def do() -> str:
            return await create_once(
                listed,
                bring,
                last_attempt=self.steps.get(f"{name} tried"),
                save_attempt=partial(self._trying, name),
                visibility_delay=self.settle,
                clock=self.clock,
                doing=f"bringing the captions in {language}",
            )

        await self._step(name, f"the captions in {language}", do)

    async def playlist(self, playlists: Playlists, title: str) -> dict[str, str] | None:
        """Put the video into the playlist of this title; None where YouTube would not."""
        name = f"playlist {title}"

        async def do() -> dict[str, str]:
            return await playlists.put(
                title, self.video, tried=self.steps.get(f"{name} tried"), trying=partial(self._trying, name)
            )

        found = await self._step(name, f"the playlist {title!r}", do)
        return found if isinstance(found, dict) else None

    async def _trying(self, name: str, at: str | None) -> None:
        self.steps[f"{name} tried"] = at
        await self.save()

    async def _step(self, name: str, shown: str, do: Callable[[], Awaitable[Any]]) -> Any:
        if name not in self.steps:
            try:
                self.steps[name] = await do()
            except NotTaken as refusal:
                if refusal.status == 401:
                    raise
                self.notes.append(f"YouTube did not take {shown}: {refusal.sentence}")
                self.steps[name] = False
            await self.save()
        return self.steps[name]

    async def only_in(
        self, playlists: Playlists, wanted: Sequence[str], before: Sequence[Mapping[str, str]]
    ) -> list[dict[str, str]]:
        """Have the video in the wanted playlists and take it out of those others it was put into `before`."""
        known = {one["title"]: dict(one) for one in before}
        found = [known.get(title) or await self.playlist(playlists, title) for title in wanted]
        for title, value in known.items():
            if title not in wanted:
                await self.channel.delete_item(value["item"])
        return [one for one in found if one]
