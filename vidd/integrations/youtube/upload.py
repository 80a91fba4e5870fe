"""Uploads a video to a channel in resumable parts, resumes it from the saved token, and never uploads it twice.

The fields of the token:

- always: `channel`, `words`, `notes`;
- while bytes are sent: `account`, `begun` (when the session was opened), `file` and `session`;
- since `closing`, the last bytes may have arrived, so that YouTube may have the video without having said so;
- `gone`: when YouTube was first found not to know the session any more;
- once YouTube has the video: `video` (its id) and `steps`, instead of `file` and `session`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vidd.errors import FaultCode, OutcomeUnknown, RetryLater
from vidd.integrations.google.errors import SessionGone
from vidd.integrations.google.resumable_upload import ResumableUpload, upload_status
from vidd.integrations.youtube.errors import quota_errors
from vidd.integrations.youtube.state import find_marked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from vidd.integrations.youtube.api import Channel
    from vidd.ports import Clock
    from vidd.transfer.progress_meter import ProgressMeter

_PERMANENT = frozenset({"account", "begun", "channel", "words", "notes"})


@dataclass
class VideoUpload:
    """One upload. `checkpoint` saves a token; `visibility_delay` is how late the channel's lists may be, in seconds."""

    channel: Channel
    token: dict[str, Any]
    checkpoint: Callable[[Mapping[str, Any]], Awaitable[None]]
    marker: str
    visibility_delay: float
    clock: Clock

    async def save(self) -> None:
        """Save the token."""
        await self.checkpoint(self.token)

    def can_resume(self, file: Mapping[str, Any]) -> bool:
        """Whether a session is open for exactly this file."""
        return "session" in self.token and self.token.get("file") == file

    async def begin(self, token: Mapping[str, Any], session: Callable[[], Awaitable[str]]) -> None:
        """Open a session and save its address before any byte is sent."""
        self.token = {**token, "begun": self.clock.now().isoformat(), "session": await session()}
        await self.save()

    async def send(self, path: Path, *, chunk: int, meter: ProgressMeter) -> None:
        """Send what the session lacks. Raises OutcomeUnknown where it ended when the last bytes may have arrived."""
        size, silence = int(self.token["file"]["size"]), self.channel.account.read_timeout
        upload = ResumableUpload(
            self.channel.api, self.token["session"], path, size, chunk, meter, silence, self._closing
        )
        try:
            with quota_errors(self.channel.quota):
                resource = await upload.run()
        except SessionGone:
            raise await self._session_ended() from None
        self._set_video(str(resource["id"]))

    async def recover(self) -> bool:
        """Find out whether the video arrived, and save in the token what was found.

        False where it provably did not, and the token no longer has the session; or where the session can be resumed.
        """
        session = self.token.get("session")
        if not isinstance(session, str):
            return False
        doing = "asking YouTube how far the upload came"
        try:
            status = await upload_status(self.channel.api, session, int(self.token["file"]["size"]), doing)
        except SessionGone:
            return await self._find_in_channel()
        if status.resource is None:
            return False
        self._set_video(str(status.resource["id"]))
        await self.save()
        return True

    async def _closing(self) -> None:
        if "closing" not in self.token:
            self.token["closing"] = self.clock.now().isoformat()
            await self.save()

    async def _session_ended(self) -> RetryLater | OutcomeUnknown:
        if "closing" in self.token:
            return OutcomeUnknown(
                "YouTube ended the upload session at the last bytes; vidd will look at the channel's uploads."
            )
        await self._forget()
        return RetryLater(
            "YouTube ended the upload session before all bytes had arrived; vidd will upload the video anew."
        )

    async def _forget(self) -> None:
        self.token = {}
        await self.save()

    def _set_video(self, video: str) -> None:
        permanent = {name: value for name, value in self.token.items() if name in _PERMANENT}
        self.token = {**permanent, "video": video, "steps": {}}

    async def _find_in_channel(self) -> bool:
        if "closing" not in self.token:
            # A session without its last bytes makes no video.
            await self._forget()
            return False
        video = await find_marked(self.channel, self.marker, datetime.fromisoformat(self.token["begun"]))
        if video is not None:
            self._set_video(video)
            await self.save()
            return True
        now = self.clock.now()
        if "gone" not in self.token:
            self.token["gone"] = now.isoformat()
            await self.save()
        left = self.visibility_delay - (now - datetime.fromisoformat(self.token["gone"])).total_seconds()
        if left > 0:
            sentence = "YouTube forgot the upload session and does not list the video yet; vidd will look again."
            raise RetryLater(sentence, after=left, counts=False, code=FaultCode.PENDING)
        await self._forget()
        return False
