"""The timeline service: a call names a user, and later there is a video of the user's posts.

`GET /video?user=` starts a job and answers with addresses: `/progress/{id}` says how far it is, `/display/{id}` is the page
with the player, `/video/{file}` has the files. The routes, fields and status sentences are those of the original service,
so its clients go on working. What is shown lies in `directory`, where the publisher `display` puts it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from pydantic import Field, model_validator

from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused
from vidd.files.content_type import content_type
from vidd.integrations.timeline.call import LONGEST, SHORTEST, read_call, read_origin, read_remote
from vidd.integrations.timeline.display_page import absent_page, player_page, progress_page
from vidd.integrations.timeline.networks import NETWORKS
from vidd.integrations.timeline.progress import REMOVED, OpenVideos, Progress
from vidd.integrations.timeline.rate_limit import RateLimit
from vidd.integrations.timeline.videos import FORMATS, file_path, key_in, read_video, remove_old_videos, video_name
from vidd.model.job import Job, State
from vidd.ports import Call, Declined, Reply, SourceContext, SourceRoute, Tools
from vidd.settings.marks import AccountOf
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base

_log = structlog.get_logger()
Format = Literal["mp4", "webm", "ogg", "av1"]
_LOOK = 600.0
"""Seconds between two looks for videos that are too old."""
_BUSY = 30
"""Seconds after which a caller may try again whom vidd sent away because too many videos are under way."""


class Options(Base):
    """Settings of a source of kind `timeline`."""

    pipeline: str = Field(description="The pipeline that makes the videos.")
    accounts: dict[str, Annotated[str, AccountOf()]] = Field(
        min_length=1, description='The networks that may be asked for, each with its account: { x = "birds" }.'
    )
    network: str | None = Field(None, description="The network where a call names none; the first one otherwise.")
    formats: tuple[Format, ...] = Field(("mp4",), min_length=1, description="The formats that every video has.")
    format: Format | None = Field(
        None, description="The format where a call names none; the first of formats otherwise."
    )
    count: int = Field(20, ge=1, le=3200, description="How many posts, where a call does not say.")
    max_count: int = Field(100, ge=1, le=3200, description="The most posts that a call may ask for.")
    seconds: float = Field(
        3.0, ge=SHORTEST, le=LONGEST, allow_inf_nan=False,
        description="How long each post is shown, in seconds, where a call does not say.",
    )  # fmt: skip
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="The address by which people reach vidd; by default what the call was sent to. Set it where mails "
        "are sent: else whoever calls decides what their link begins with.",
    )
    trust_forwarded: bool = Field(
        False, description="Believe X-Forwarded-For, -Host and -Proto. Only behind a proxy that sets them itself."
    )
    users: tuple[str, ...] = Field(
        (), description="The only users whose posts are shown, such as ada or mastodon:ada; everybody otherwise."
    )
    rate: int = Field(30, ge=1, le=100_000, description="How many videos an address may ask for in a minute.")
    max_waiting: int = Field(100, ge=1, le=100_000, description="How many videos may be under way at once.")
    keep: Duration | None = Field(
        None, gt=0, description="How long a finished video can be watched; for ever otherwise."
    )
    compatible: bool = Field(False, description="Answer a call with status 200, as the original did, not with 202.")
    directory: Path = Field(
        Path("display"), description="Where the publisher display puts the videos; from the state directory."
    )
    priority: int = Field(0, description="Jobs with the highest priority run first.")

    @model_validator(mode="after")
    def _check(self) -> Options:
        unknown = sorted(set(self.accounts) - set(NETWORKS))
        if unknown:
            raise ValueError(f"there is no network {unknown[0]!r}; there are {', '.join(NETWORKS)}")
        if self.network is not None and self.network not in self.accounts:
            raise ValueError(f"the network {self.network!r} has no account: add it to accounts")
        if self.count > self.max_count:
            raise ValueError(f"count is {self.count}, more than max_count ({self.max_count})")
        return self

    @property
    def default_network(self) -> str:
        """The network where a call names none."""
        return self.network or next(iter(self.accounts))

    @property
    def default_format(self) -> str:
        """The format where a call names none."""
        return self.format or self.formats[0]


class _Counters:
    """What is counted of one source: the calls of each address, and the videos under way."""

    def __init__(self) -> None:
        self.rate, self.videos = RateLimit(), OpenVideos()
        self.is_read = False

    async def read(self, context: SourceContext) -> None:
        """Read from the store which videos are under way."""
        self.videos.begin_reading()
        self.videos.read(await context.open_jobs(ended=False))
        self.is_read = True


class _AllCounters:
    """The counters of each source by its name; they outlive a reload of the settings."""

    def __init__(self) -> None:
        self._by_source: dict[str, _Counters] = {}

    def of(self, context: SourceContext) -> _Counters:
        """Those of this source."""
        return self._by_source.setdefault(context.name, _Counters())


def _counters(context: SourceContext) -> _Counters:
    return context.tools.shared.get(_AllCounters).of(context)


async def watch(options: Options, context: SourceContext) -> None:
    """Follow the videos under way, and remove those that are too old, until cancelled."""
    counters, clock = _counters(context), context.tools.clock
    directory = context.tools.path(options.directory)
    with context.listen(partial(counters.videos.note, source=context.name, clock=clock)):
        await counters.read(context)
        context.mark_up()
        context.mark_caught_up()
        while True:
            keep = math.inf if options.keep is None else options.keep
            removed = await in_thread(remove_old_videos, directory, clock.now().timestamp(), keep)
            if removed:
                _log.info("old videos removed", source=context.name, videos=removed)
            await context.pause(min(_LOOK, keep))


def routes(options: Options, context: SourceContext) -> Sequence[SourceRoute]:
    """The service's routes. Anybody may call them."""
    service = _Service(options, context)
    begin, show = "Starts a video of a user's posts.", "A file of a video."
    return (
        SourceRoute("GET", "/video", service.begin, begin, public=True, head=False),
        SourceRoute("POST", "/video", service.begin, begin, _SCHEMA, public=True),
        SourceRoute("GET", "/progress/{id}", service.progress, "How far a video is.", public=True),
        SourceRoute("GET", "/display/{id}", service.display, "The page on which a video is watched.", public=True),
        SourceRoute("GET", "/video/{file}", service.file, show, public=True),
        SourceRoute("GET", "/video/{file}/{part}", service.file, f"{show} A stream's part.", public=True),
        SourceRoute("GET", "/video/{file}/{folder}/{part}", service.file, f"{show} A stream's part.", public=True),
    )


async def check_here(options: Options, tools: Tools) -> None:
    """Compare the accounts with the networks that are read by them."""
    for network, name in options.accounts.items():
        kind = getattr(tools.accounts.get(name), "kind", None)
        if kind != network:
            raise Refused(
                f"The account {name!r} is of kind {kind}, and {NETWORKS[network].title} needs one of kind {network}: "
                "correct accounts of the source.",
                code=FaultCode.BAD_SETTINGS,
            )


_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["user"],
    "properties": {
        "user": {"type": "string", "description": "Whose posts."},
        "network": {"type": "string", "enum": list(NETWORKS), "description": "Where the posts are."},
        "format": {"type": "string", "enum": list(FORMATS), "description": "The format."},
        "count": {"type": "integer", "minimum": 1, "description": "How many posts, the newest."},
        "seconds": {
            "type": "number",
            "minimum": SHORTEST,
            "maximum": LONGEST,
            "description": "How long each is shown.",
        },
        "email": {"type": "string", "format": "email", "description": "Who gets a mail once it is finished."},
    },
}


class _Service:
    """Answers the calls."""

    def __init__(self, options: Options, context: SourceContext) -> None:
        self._options, self._context = options, context
        self._counters = _counters(context)
        self._directory = context.tools.path(options.directory)

    async def begin(self, call: Call) -> Reply:
        """Record a job, and say where its progress and its video are."""
        options, context = self._options, self._context
        self._count(call)
        origin = self._origin(call)
        asked = read_call(call, options, context.tools, context.name)
        if not self._counters.is_read:
            await self._counters.read(context)
        # One at a time, so that no more are begun than there is room for.
        async with context.lock:
            job = await context.job_of(asked.key)
            if job is None and len(self._counters.videos) >= options.max_waiting:
                raise Declined(
                    429, f"{options.max_waiting} videos are under way already: try again later.", retry_after=_BUSY
                )
            if job is None:
                job, _ = await context.take(asked.arrival(origin, options.priority))
        if not asked.is_of(job):
            raise Declined(
                422, "Idempotency-Key was sent before, with another call: send a new one with each other call."
            )
        return self._began(job, origin)

    def _count(self, call: Call) -> None:
        remote = read_remote(call, trust_forwarded=self._options.trust_forwarded)
        now = self._context.tools.clock.now().timestamp()
        wait = self._counters.rate.take(remote, self._options.rate, now)
        if wait is not None:
            raise Declined(
                429, f"An address may ask for {self._options.rate} videos a minute: wait {wait} s.", retry_after=wait
            )

    def _origin(self, call: Call) -> str:
        url = self._options.public_url
        return read_origin(call, public_url=url and url.rstrip("/"), trust_forwarded=self._options.trust_forwarded)

    def _began(self, job: Job, origin: str) -> Reply:
        video = job.facts["video_id"]
        progress, display = f"{origin}/progress/{video}", f"{origin}/display/{video}"
        body = {
            "video_id": video,
            "response": f"Creating video named {video_name(video, job.facts['format'])}.",
            "url": progress,
            "progress_url": progress,
            "display_url": display,
        }
        return Reply(200 if self._options.compatible else 202, body, headers={"Location": progress})

    async def progress(self, call: Call) -> Reply:
        """How far the video is."""
        video = call.named["id"]
        job = await self._job(video)
        if job is None:
            raise Declined(404, "There is no video with this id: ask /video for one.")
        body = (await self._progress(job)).to_json(video)
        if job.state is State.PUBLISHED and await in_thread(read_video, self._directory, video) is None:
            body["error"] = self._gone(job)
        return Reply(200, body)

    async def _progress(self, job: Job) -> Progress:
        records = await self._context.finished_steps(job)
        return self._counters.videos.progress(job, records, self._context.tools.clock.now())

    async def display(self, call: Call) -> Reply:
        """The page of the video."""
        video = call.named["id"]
        job = await self._job(video)
        if job is None:
            return absent_page("There is no video at this address.")
        shown = await in_thread(read_video, self._directory, video)
        if shown is not None:
            return player_page(shown, self._origin(call))
        if job.state is State.PUBLISHED:
            return absent_page(self._gone(job), 410)
        progress = await self._progress(job)
        if progress.status == REMOVED:
            return absent_page(REMOVED, 410)
        return progress_page(str(job.facts["user"]), progress)

    def _gone(self, job: Job) -> str:
        keep = self._options.keep
        if keep is not None and (self._context.tools.clock.now() - job.changed).total_seconds() >= keep:
            return f"The video was removed: videos are kept for {_in_words(keep)} here."
        return "The video is no longer here."

    async def file(self, call: Call) -> Reply:
        """A file of a video, by ranges."""
        parts = [call.named[name] for name in ("folder", "part") if name in call.named]
        path = file_path(self._directory, call.named["file"], *parts)
        if path is None:
            raise Declined(404, "There is no such file.")
        headers = {"Cache-Control": "no-cache", "Cross-Origin-Resource-Policy": "cross-origin"}
        return Reply(file=path, content_type=content_type(path.name), headers=headers)

    async def _job(self, video: str) -> Job | None:
        key = key_in(video)
        job = None if key is None else await self._context.job_of(key)
        return job if job is not None and job.facts.get("video_id") == video else None


def _in_words(seconds: float) -> str:
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {word}{'s' if count > 1 else ''}"
    return "a moment"
