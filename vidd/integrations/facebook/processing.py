"""What became of a video that was asked to be published: whether it is there, and whether Facebook has processed it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.aio.poll_clock import observed_for
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.facebook.video import Film, look, marked
from vidd.model.publication import Receipt
from vidd.settings.types import Duration, Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.facebook.api import Graph
    from vidd.ports import PublishContext


class WatchOptions(Options):
    """The settings of a publication to Facebook that speak of looking for the video."""

    settle: Duration = Field(
        120.0, ge=0, description="How long after the last byte it is not yet believed that a video is not there."
    )
    look_again: Duration = Field(30.0, gt=0, description="Time between two looks at a video that is being processed.")
    processing: Duration = Field(86400.0, gt=0, description="Longest processing; then a person must look.")
    recent: int = Field(200, gt=0, description="How many of the page's last videos are looked through for the marker.")


async def found(options: WatchOptions, api: Graph, token: Mapping[str, Any], *, labels: bool) -> Film | None:
    """The video, if its upload was finished: by its id, then by its marker in the page's last videos."""
    marker = token["marker"]
    film = await look(api, token["video"], labels=labels)
    if film is not None and (film.taken_up or film.failed or marker in film.labels or marker in film.description):
        return film
    return await marked(api, token["page"], marker, labels=labels, most=options.recent)


def age(context: PublishContext, token: Mapping[str, Any]) -> float:
    """Seconds since the video was asked to be published."""
    return (context.tools.clock.now() - datetime.fromisoformat(token["finish"])).total_seconds()


async def outcome(
    options: WatchOptions, context: PublishContext, token: Mapping[str, Any], film: Film | None
) -> Receipt:
    """The receipt once it is processed; else the wait for that, or the end of it."""
    if film is not None and film.ready:
        return receipt_of(token, film)
    video = film.id if film else token["video"]
    if film is not None and film.failed:
        # A person who corrects what was wrong and tries again wants another upload, not this answer once more.
        await context.checkpoint({})
        raise Refused(
            f"Facebook could not process the video {video} ({film.failed}): correct the file and retry; what is left of "
            "it can be deleted from the page."
        )
    seconds, seen = observed_for(token, context.tools.clock.now(), options.look_again)
    await context.checkpoint(seen)
    if seconds > options.processing:
        raise OutcomeUnknown(
            f"Facebook has been processing the video {video} since {token['finish'][:16]}: look at the page "
            f"{token['page']}, whether it can be seen there."
        )
    raise RetryLater(
        f"Facebook is processing the video {video}; it is looked at again.", after=options.look_again, counts=False
    )


def receipt_of(token: Mapping[str, Any], film: Film) -> Receipt:
    """The receipt for a video as it is seen."""
    facts = {
        "video": film.id,
        "page": token["page"],
        "account": token["account"],
        "title": film.title,
        "published": film.published,
    }
    return Receipt(url=film.url(token["page"]), facts=facts)
