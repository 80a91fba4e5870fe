"""Fetch what arrived into the job's directory: a file of this host, an S3 object, a pCloud file, or an http(s) address.

It lands under a temporary name, is compared with what the arrival and the server promised, synced and renamed.
A restart goes on where the last attempt's notes end.

Where all that follows is to cut the talk out, only the bytes that the cut needs are read from S3 and http(s). The
file is then as long as the recording, with holes; its artifact has the fact `window`, and steps and publishers that
do not ask for a part are not given it. Whatever is unusual about the file or its server has it fetched whole.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, closing
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.errors import Refused, RetryLater
from vidd.files.content_type import content_type
from vidd.files.digest import digest_of, promised_checksums
from vidd.integrations.aws.s3_uri import parse_s3_uri
from vidd.integrations.local_folder import file_copy, tree_copy
from vidd.media.bitstream import mp4_index
from vidd.model.byte_ranges import NotInParts, size_of
from vidd.model.media import Artifact, Outcome
from vidd.model.span import Span, needs_all, talk_span
from vidd.settings.types import Duration, Size
from vidd.settings.types import Options as Base
from vidd.transfer import http, http_download
from vidd.transfer.http_ranges import WebRanges
from vidd.transfer.partial_download import PartialDownload
from vidd.transfer.progress_meter import ProgressMeter
from vidd.transfer.remote_ranges import PartReader, Replaced
from vidd.transfer.sparse_download import SparseDownload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vidd.integrations.aws.s3_download import Pinned
    from vidd.integrations.pcloud.api import Cloud
    from vidd.ports import StepContext, Tools
    from vidd.transfer.remote_ranges import Ranges


class Options(Base):
    """How the file comes in."""

    account: str | None = Field(
        None, description="Account for s3 and pcloud addresses; without it, the one the arrival names."
    )
    verify: bool = Field(True, description="Compare checksums: an ETag that is an MD5, and the arrival's `checksum`.")
    chunk: Size = Field(Size(16 * 2**20), ge=2**20, le=2**30, description="Size of a part that a resume keeps.")
    parallel: int = Field(4, ge=1, le=16, description="Parts fetched at once.")
    ranged: bool = Field(True, description="Read only what the cut needs, where nothing else is done with the file.")
    margin: Duration = Field(1.0, ge=1, le=600, description="How much before and after the talk is read with it.")


def local_name(name: str) -> str:
    """`source` and a harmless end: of the untrusted name only up to five letters and digits are kept."""
    end = PurePath(name).suffix.lower()
    return f"source{end}" if re.fullmatch(r"\.[a-z0-9]{1,5}", end) else "source"


async def run(options: Options, context: StepContext) -> Outcome:
    """Fetch `job.location`; the file becomes the artifact `source`, a directory of this host a tree of that role."""
    if (directory := await in_thread(tree_copy.directory_of, context.job.location)) is not None:
        return await tree_copy.fetched(directory, context)
    name = local_name(await _name(options, context))
    meter = ProgressMeter("fetch", "download", progress=context.progress, observe=context.tools.observe)
    chunk, reserve = int(options.chunk), context.tools.encoder.disk_reserve
    window = SparseDownload(context.directory, name, reserve=reserve)
    with closing(PartialDownload(context.directory, name, chunk=chunk, reserve=reserve)) as landing, closing(window):
        facts = await _in_parts(options, context, window, meter)
        if "window" in facts:
            landing.discard()
        else:
            facts |= await _whole(options, context, landing, meter)
    meter.tell()
    size = landing.final.stat().st_size
    return Outcome(artifacts=(Artifact("source", name, size, content_type=content_type(name), facts=facts),))


def is_still_valid(options: Options, context: StepContext, outcome: Outcome) -> bool:
    """Whether what was fetched is still enough: a talk may have got other times, a job other settings, a file been corrected."""
    known = outcome.artifacts[0].facts
    window = known.get("window")
    if window is None:
        return not _corrected(known.get("seen"), context)
    span = _span(options, context)
    return isinstance(span, Span) and Span(window["start"], window["end"]).holds(span)


def _corrected(seen: list[int] | None, context: StepContext) -> bool:
    """Whether a file of this host, of which the arrival promised nothing, is another than when it was fetched."""
    if seen is None or {"size", "mtime_ns"} & context.job.facts.keys():
        return False
    try:
        now = file_copy.look(file_copy.path_of(context.job.location), {})
    except Refused:
        return False
    return [now.st_size, now.st_mtime_ns] != seen


def _span(options: Options, context: StepContext) -> Span | str:
    """The only part that is needed; or, as a sentence, why all is."""
    if not options.ranged:
        return "The settings say so (ranged = false)."
    if (why := needs_all(context.job.settings)) is not None:
        return why
    try:
        span = talk_span(context.job.facts, context.talk, context.job.name)
    except Refused:
        return "The talk's times are not known yet."
    return span if span.start >= 0 and (span.end is None or span.start < span.end) else "The talk's times are odd."


async def _in_parts(
    options: Options, context: StepContext, window: SparseDownload, meter: ProgressMeter
) -> dict[str, Any]:
    """Read what the cut needs; the facts have a `window`. Else nothing is left of it, and they say why (`whole`)."""
    if context.job.location.partition(":")[0].lower() not in {"s3", "http", "https"}:
        return {}
    span: Span | str = _span(options, context)
    if "whole" in (noted := window.noted()):
        span = str(noted["whole"])
    try:
        if isinstance(span, Span):
            return await _window(options, context, window, meter, span)
    except NotInParts as reason:
        span = reason.sentence
    window.discard()
    meter.done, meter.total = 0, None
    return {"whole": span}


async def _window(
    options: Options, context: StepContext, window: SparseDownload, meter: ProgressMeter, span: Span
) -> dict[str, Any]:
    for _ in range(2):
        try:
            async with _far(options, context, window) as (far, head):
                sleep, piece = context.tools.clock.sleep, int(options.chunk)
                reader = PartReader(far, window, meter, sleep=sleep, parallel=options.parallel, piece=piece)
                await reader.take(head)
                return await _read(context, reader, span, options.margin)
        except Replaced:
            window.discard()
    # Several servers behind one address may each have a tag of their own for the same file.
    window.discard(whole="It changed twice while parts of it were read.")
    raise RetryLater("The file was replaced twice while parts of it were read; it is fetched again, whole.")


async def _read(context: StepContext, reader: PartReader, span: Span, margin: float) -> dict[str, Any]:
    far, window = reader.far, reader.window
    if context.job.facts.get("size") not in {None, far.size}:
        raise NotInParts("Its size is not the promised one.")
    layout = await mp4_index.find_index(reader.read, far.size)
    # An index of hours is a million numbers, and other jobs wait for this loop.
    await reader.fill(await in_thread(mp4_index.needed, layout, far.size, span, margin))
    await window.settle()
    return {
        "window": {
            "start": span.start,
            "end": span.end,
            "size": far.size,
            "there": size_of(window.there),
            "read": reader.read_now,
            "requests": far.requests,
            "sums": "No checksum was compared, since only parts were read; each was of the same state (ETag or date).",
        }
    }


@asynccontextmanager
async def _far(options: Options, context: StepContext, window: SparseDownload) -> AsyncIterator[tuple[Ranges, bytes]]:
    """The far file, its state known, and the window open for it; and the first bytes, where they came with the state."""
    if context.job.location.partition(":")[0].lower() == "s3":
        from vidd.integrations.aws.s3_ranges import S3Ranges  # noqa: PLC0415 - see _pinned

        async with _pinned(options, context) as (s3, thing):
            far = S3Ranges(s3, thing)
            window.open(far.pin, far.size)
            yield far, b""
        return
    async with http.session() as web:
        there = WebRanges(web, context.job.location, context.tools.clock, etag=context.job.facts.get("etag"))
        head = b"" if there.go_on(window.noted().get("pin", {})) else await there.begin()
        window.open(there.pin, there.size)
        yield there, head


async def _whole(
    options: Options, context: StepContext, landing: PartialDownload, meter: ProgressMeter
) -> dict[str, Any]:
    match context.job.location.partition(":")[0].lower():
        case "file":
            return await _from_file(options, context, landing, meter)
        case "s3":
            return await _from_s3(options, context, landing, meter)
        case "pcloud":
            return await _from_pcloud(options, context, landing, meter)
        case "http" | "https":
            return await _from_web(options, context, landing, meter)
        case other:
            raise Refused(
                f"Nothing is fetched from {other[:40]!a} addresses: give file:, s3:, pcloud:, http: or https:."
            )


async def _from_file(
    options: Options, context: StepContext, landing: PartialDownload, meter: ProgressMeter
) -> dict[str, Any]:
    path, facts = file_copy.path_of(context.job.location), context.job.facts
    sums = _promised(options, context) or {}
    before = file_copy.look(path, facts)
    cloned = await file_copy.take_over(path, facts, landing, meter)
    for algorithm, promised in sums.items():
        if await digest_of(landing.final, algorithm) != promised.lower():
            raise Refused(f"The file's {algorithm} is not the one the arrival promised: send it again.")
    return {"cloned": cloned, "seen": [before.st_size, before.st_mtime_ns]}


def _promised(options: Options, context: StepContext) -> dict[str, str] | None:
    """The checksums the arrival came with; None where none is to be compared."""
    return promised_checksums(dict(context.job.facts)) if options.verify else None


def _account(options: Options, context: StepContext, where: str) -> str:
    name = options.account or context.job.facts.get("account")
    if not name:
        raise Refused(f"The arrival names no account to read {where} with: set account of the fetch step.")
    return str(name)


@asynccontextmanager
async def _pinned(options: Options, context: StepContext) -> AsyncIterator[tuple[Any, Pinned]]:
    """A client of S3, and the object as it is now."""
    # Every daemon fetches, and those that have no S3 are spared what it takes to start and to hold its library.
    from vidd.integrations.aws import s3_download  # noqa: PLC0415
    from vidd.integrations.aws.account import Account, client  # noqa: PLC0415

    facts = context.job.facts
    bucket, key = parse_s3_uri(context.job.location)
    bucket, key = facts.get("bucket", bucket), facts.get("key", key)
    async with client(context.tools.account(_account(options, context, "S3"), Account), "s3") as s3:
        thing = await s3_download.pin(
            s3, bucket, key, version=facts.get("version"), etag=facts.get("etag"), size=facts.get("size")
        )
        if thing.size == 0:
            raise Refused("The object is empty: send it again.")
        yield s3, thing


async def _from_s3(
    options: Options, context: StepContext, landing: PartialDownload, meter: ProgressMeter
) -> dict[str, Any]:
    from vidd.integrations.aws import s3_download  # noqa: PLC0415 - see _pinned

    promised, sleep = _promised(options, context), context.tools.clock.sleep
    async with _pinned(options, context) as (s3, thing):
        await s3_download.fetch(s3, thing, landing, meter, promised=promised, parallel=options.parallel, sleep=sleep)
    return {"etag": thing.etag}


@asynccontextmanager
async def _cloud(options: Options, context: StepContext) -> AsyncIterator[Cloud]:
    from vidd.integrations.pcloud.api import Account, cloud  # noqa: PLC0415 - as above

    name = _account(options, context, "pCloud")
    async with cloud(context.tools.account(name, Account), name, context.tools.clock) as api:
        yield api


async def _from_pcloud(
    options: Options, context: StepContext, landing: PartialDownload, meter: ProgressMeter
) -> dict[str, Any]:
    from vidd.integrations.pcloud.download import fetch  # noqa: PLC0415 - as above

    job, promised = context.job, _promised(options, context)
    size, parallel = job.facts.get("size"), options.parallel
    async with _cloud(options, context) as api:
        return await fetch(api, job.location, landing, meter, size=size, promised=promised, parallel=parallel)


async def _name(options: Options, context: StepContext) -> str:
    """The name of what arrived; one without an end is asked for where the place knows a better one."""
    if PurePath(context.job.name).suffix or not context.job.location.lower().startswith("pcloud:"):
        return context.job.name
    from vidd.integrations.pcloud.download import look  # noqa: PLC0415 - as above

    async with _cloud(options, context) as api:
        return (await look(api, context.job.location)).name


async def _from_web(
    options: Options, context: StepContext, landing: PartialDownload, meter: ProgressMeter
) -> dict[str, Any]:
    facts = context.job.facts
    size = await http_download.download(
        context.job.location, landing, meter, context.tools.clock, etag=facts.get("etag")
    )
    await landing.check(facts.get("size") or size, _promised(options, context) or {})
    await landing.settle()
    return {}


async def check(options: Options, tools: Tools) -> str:
    """Whether the account that is named exists; one of pCloud is asked whose it is."""
    if options.account is None:
        return "Files are fetched with the account that the arrival names."
    if getattr(tools.accounts.get(options.account), "kind", None) == "pcloud":
        from vidd.integrations.pcloud import api as pcloud_api  # noqa: PLC0415 - as above
        from vidd.integrations.pcloud import files as pcloud_files  # noqa: PLC0415 - as above

        async with pcloud_api.cloud(tools.accounts[options.account], options.account, tools.clock) as api:
            return await pcloud_files.who(api)
    from vidd.integrations.aws.account import Account  # noqa: PLC0415 - as above

    tools.account(options.account, Account)
    return f"S3 objects are fetched with the account {options.account}."
