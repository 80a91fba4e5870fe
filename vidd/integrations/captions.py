"""What publishers of captions share: the video that another pipeline published, and the files for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidd.errors import FaultCode, Refused
from vidd.model.handover import PUBLISHED
from vidd.settings.types import Options

if TYPE_CHECKING:
    from vidd.ports import PublishContext


class CaptionOptions(Options):
    """The options by which the video is found."""

    account: str | None
    video_of: str

    def labels_followed(self) -> dict[tuple[str, ...], str]:
        """The labels of publishers of the pipeline that is followed which the options name, by option."""
        return {("video_of",): self.video_of}


@dataclass(frozen=True, slots=True)
class PublishedVideo:
    """A video by the receipt of the publisher that uploaded it: its id and address, and the account."""

    id: str
    address: str
    account: str


def published_video(
    options: CaptionOptions, context: PublishContext, id_in_address: Callable[[str], str | None] = lambda _address: None
) -> PublishedVideo:
    """The video of the job that is followed; an old receipt may name it only in its address. Raises Refused without one."""
    receipts = context.job.facts.get(PUBLISHED, {}).get("receipts", {})
    receipt = receipts.get(options.video_of)
    if receipt is None:
        raise Refused(
            f"The job that is followed has no receipt of a publisher {options.video_of!r}; it has:"
            f" {', '.join(receipts) or 'none'}. Correct video_of of the publisher.",
            code=FaultCode.BAD_SETTINGS,
        )
    address, facts = str(receipt.get("url") or ""), receipt.get("facts", {})
    video, account = facts.get("video") or id_in_address(address), options.account or facts.get("account")
    if not video or not account:
        raise Refused(
            f"The receipt of {options.video_of!r} does not say which video of which account it is: set account of the"
            " publisher, and look at the job that is followed.",
            code=FaultCode.NOT_FOUND,
        )
    return PublishedVideo(str(video), address, str(account))


def caption_files(context: PublishContext) -> dict[str, Path]:
    """The SubRip files by language. Raises Refused without any."""
    files = {
        str(artifact.facts["language"]): context.directory / artifact.path
        for artifact in context.artifacts.values()
        if artifact.role.startswith("srt-")
    }
    if not files:
        raise Refused(
            "There are no captions with times to upload: an engine that gives the text alone makes none.",
            code=FaultCode.BAD_SETTINGS,
        )
    return files
