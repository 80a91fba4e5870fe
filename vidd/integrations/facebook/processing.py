"""Finds a video that vidd asked Facebook to publish, and waits until Facebook has processed it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.aio.poll_clock import observed_for
from vidd.errors import FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.facebook.video import Video, find_marked, get_video
from vidd.model.publication import Receipt
from vidd.settings.types import Duration, Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.facebook.api import Graph
    from vidd.ports import PublishContext


class WatchOptions(Options):
    """The settings for finding the video and waiting for its processing."""

    settle: Duration = Field(
        120.0,
        ge=0,
        description="How late Facebook's lists may be: only after it does vidd take what they lack as absent.",
    )
    look_again: Duration = Field(30.0, gt=0, description="Time between two looks at a video that is being processed.")
    processing: Duration = Field(86400.0, gt=0, description="Longest processing; then a person must look.")
    recent: int = Field(200, gt=0, description="How many of the page's last videos are looked through for the marker.")


async def find_video(options: WatchOptions, api: Graph, token: Mapping[str, Any], *, labels: bool) -> Video | None:
    """The video, if its upload was finished: by its id, then by its marker in the page's last videos."""
    marker = token["marker"]
    video = await get_video(api, token["video"], labels=labels)
    if video is not None and (
        video.is_finished or video.failed or marker in video.labels or marker in video.description
    ):
        return video
    return await find_marked(api, token["page"], marker, labels=labels, most=options.recent)


def seconds_since_finish(context: PublishContext, token: Mapping[str, Any]) -> float:
    """Seconds since vidd asked Facebook to publish the video."""
    return (context.tools.clock.now() - datetime.fromisoformat(token["finish"])).total_seconds()


async def await_processing(
    options: WatchOptions, context: PublishContext, token: Mapping[str, Any], video: Video | None
) -> Receipt:
    """The receipt once Facebook has processed the video; else raises the wait for that, or the fault that ends it."""
    if video is not None and video.ready:
        return make_receipt(token, video)
    name = video.id if video else token["video"]
    if video is not None and video.failed:
        # A person who corrects the file and retries wants another upload, not this answer once more.
        await context.checkpoint({})
        raise Refused(
            f"Facebook could not process the video {name} ({video.failed}): correct the file and retry; what is left of "
            "the video can be deleted from the page."
        )
    seconds, observed = observed_for(token, context.tools.clock.now(), options.look_again)
    await context.checkpoint(observed)
    if seconds > options.processing:
        raise OutcomeUnknown(
            f"Facebook has been processing the video {name} since {token['finish'][:16]}: look at the page "
            f"{token['page']}, whether it can be seen there."
        )
    raise RetryLater(
        f"Facebook is processing the video {name}; vidd will look again.",
        after=options.look_again,
        counts=False,
        code=FaultCode.PENDING,
    )


def make_receipt(token: Mapping[str, Any], video: Video) -> Receipt:
    """The receipt for a video as Facebook shows it."""
    facts = {
        "video": video.id,
        "page": token["page"],
        "account": token["account"],
        "title": video.title,
        "published": video.published,
    }
    return Receipt(url=video.url(token["page"]), facts=facts)
