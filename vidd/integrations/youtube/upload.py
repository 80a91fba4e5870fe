"""A video on its way to a channel, as far as the journal's token tells: sent, resumed, looked for, never begun twice.

The token has `account`, `begun`, `file` and `session` while bytes go out, `closing` once the last of them may have gone,
`gone` when the session was found to be unknown; from its arrival `video` and `steps`; `words`, `notes` and
`channel` throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vidd.errors import OutcomeUnknown, RetryLater
from vidd.integrations.google.api import QuotaUsedUp
from vidd.integrations.google.resumable_upload import Gone, ResumableUpload, standing_of
from vidd.integrations.youtube.state import find_marked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from vidd.integrations.youtube.api import Channel
    from vidd.ports import Clock
    from vidd.transfer.progress_meter import ProgressMeter

_LASTING = frozenset({"account", "begun", "channel", "words", "notes"})


@dataclass
class VideoUpload:
    """`checkpoint` makes a token durable; `settle` is how late the channel's lists may be, in seconds."""

    channel: Channel
    token: dict[str, Any]
    checkpoint: Callable[[Mapping[str, Any]], Awaitable[None]]
    marker: str
    settle: float
    clock: Clock

    async def save(self) -> None:
        """Make the token durable."""
        await self.checkpoint(self.token)

    def goes_on(self, file: Mapping[str, Any]) -> bool:
        """Whether a session is open for this very file."""
        return "session" in self.token and self.token.get("file") == file

    async def begin(self, token: Mapping[str, Any], session: Callable[[], Awaitable[str]]) -> None:
        """Open a session, and have its address saved before any byte goes out."""
        self.token = {**token, "begun": self.clock.now().isoformat(), "session": await session()}
        await self.save()

    async def send(self, path: Path, *, chunk: int, meter: ProgressMeter) -> None:
        """Send what the session lacks; OutcomeUnknown where it ended when the last bytes may have arrived."""
        size, silence = int(self.token["file"]["size"]), self.channel.account.read_timeout
        upload = ResumableUpload(
            self.channel.api, self.token["session"], path, size, chunk, meter, silence, self._closing
        )
        try:
            made = await upload.run()
        except Gone:
            raise await self._ended() from None
        except QuotaUsedUp:
            raise self.channel.quota.used_up("the quota of the day") from None
        self._arrived(str(made["id"]))

    async def ask(self) -> bool:
        """Find out whether the video arrived; False where it provably did not, or the session can go on."""
        session = self.token.get("session")
        if not isinstance(session, str):
            return False
        doing = "asking YouTube how far the upload came"
        try:
            standing = await standing_of(self.channel.api, session, int(self.token["file"]["size"]), doing)
        except Gone:
            return await self._look_for_it()
        if standing.made is None:
            return False
        self._arrived(str(standing.made["id"]))
        await self.save()
        return True

    async def _closing(self) -> None:
        if "closing" not in self.token:
            self.token["closing"] = self.clock.now().isoformat()
            await self.save()

    async def _ended(self) -> RetryLater | OutcomeUnknown:
        if "closing" in self.token:
            return OutcomeUnknown(
                "YouTube ended the upload session at the last bytes; the channel's uploads are looked at."
            )
        await self._forget()
        return RetryLater("YouTube ended the upload session before all bytes were there; the upload is begun anew.")

    async def _forget(self) -> None:
        self.token = {}
        await self.save()

    def _arrived(self, video: str) -> None:
        kept = {name: value for name, value in self.token.items() if name in _LASTING}
        self.token = {**kept, "video": video, "steps": {}}

    async def _look_for_it(self) -> bool:
        if "closing" not in self.token:
            # Without its last bytes no session makes a video.
            await self._forget()
            return False
        video = await find_marked(self.channel, self.marker, datetime.fromisoformat(self.token["begun"]))
        if video is not None:
            self._arrived(video)
            await self.save()
            return True
        now = self.clock.now()
        if "gone" not in self.token:
            self.token["gone"] = now.isoformat()
            await self.save()
        left = self.settle - (now - datetime.fromisoformat(self.token["gone"])).total_seconds()
        if left > 0:
            sentence = "YouTube forgot the upload session and lists no such video yet; it is looked for again."
            raise RetryLater(sentence, after=left, counts=False)
        await self._forget()
        return False
