"""Fetches what arrived into the job's directory: a file of this host, an S3 object, a pCloud file, or an http(s) URL.

Where the recording of an upload is gone, it fetches the videos of the upload's tasks instead, as a tree.

The file has a temporary name until it is compared with what the arrival and the server promised, synced and renamed.
A restart resumes where the notes of the last attempt end.

If all that follows is to cut out the talk, only the bytes that the cut needs are read, from S3 and http(s). The file is
then as long as the recording, with holes; its artifact has the fact `window`, and only steps and publishers that ask for
a part get it. If anything about the file or its server is unusual, all of it is fetched.
"""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.content_type import content_type
from vidd.files.digest import digest_of, expected_checksums
from vidd.integrations.aws.s3_uri import parse_s3_uri
from vidd.integrations.local_folder import file_copy, tree_copy
from vidd.media.bitstream import mp4_index
from vidd.model.byte_ranges import NotInParts, total_size
from vidd.model.handover import handovers_root
from vidd.model.media import Artifact, Outcome
from vidd.model.span import Span, reason_to_fetch_all, talk_span
from vidd.model.task_video import SCHEME as TASK_VIDEOS
from vidd.settings.marks import AccountOf
from vidd.settings.types import Duration, Size
from vidd.settings.types import Options as Base
from vidd.transfer.http import session
from vidd.transfer.http_download import fetch_url
from vidd.transfer.http_file import HttpFile
from vidd.transfer.partial_download import PartialDownload
from vidd.transfer.progress_meter import ProgressMeter
from vidd.transfer.remote_file import RangeReader, RemoteFileChanged
from vidd.transfer.sparse_download import SparseDownload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vidd.integrations.aws.s3_download import PinnedObject
    from vidd.integrations.pcloud.api import Client
    from vidd.ports import StepContext, Tools
    from vidd.transfer.remote_file import RemoteFile


class Options(Base):
    """How the file comes in."""

    account: Annotated[str, AccountOf("pcloud", "s3")] | None = Field(
        None, description="Account for s3 and pcloud addresses; default: the account that the arrival names."
    )
    verify: bool = Field(True, description="Compare checksums: an ETag that is an MD5, and the arrival's `checksum`.")
    chunk: Size = Field(Size(16 * 2**20), ge=2**20, le=2**30, description="Size of the chunks that a resume keeps.")
    parallel: int = Field(4, ge=1, le=16, description="Chunks fetched at once.")
    ranged: bool = Field(True, description="Fetch only what the cut needs, if no other step needs the file.")
    margin: Duration = Field(1.0, ge=1, le=600, description="How much to fetch before and after the talk.")


def local_name(name: str) -> str:
    """`source` with the suffix of the untrusted name, if that is up to five letters and digits."""
    suffix = PurePath(name).suffix.lower()
    return f"source{suffix}" if re.fullmatch(r"\.[a-z0-9]{1,5}", suffix) else "source"


def roles(_options: Options) -> frozenset[str]:
    """The roles of what it makes."""
    return frozenset({"source"})


async def run(options: Options, context: StepContext) -> Outcome:
    """Fetch `job.location`; the file becomes the artifact `source`, a directory of this host a tree of that role."""
    if (directory := await in_thread(tree_copy.directory_of, context.job.location)) is not None:
        return await tree_copy.fetch_tree(directory, context)
    chunk, reserve = int(options.chunk), context.tools.encoder.disk_reserve
    if _scheme(context) == TASK_VIDEOS:
        from vidd.integrations.aws.task_videos import fetch_task_videos  # noqa: PLC0415 - see _pinned_object

        return await fetch_task_videos(context, chunk=chunk, parallel=options.parallel)
    name = local_name(await _source_name(options, context))
    meter = ProgressMeter("fetch", "download", progress=context.progress, observe=context.tools.observe)
    with (
        closing(PartialDownload(context.directory, name, chunk=chunk, reserve=reserve)) as download,
        closing(SparseDownload(context.directory, name, reserve=reserve)) as sparse,
    ):
        facts = await _fetch_part(options, context, sparse, meter)
        if "window" in facts:
            download.discard()
        else:
            facts |= await _fetch_all(options, context, download, meter)
    meter.report()
    size = download.final.stat().st_size
    return Outcome(artifacts=(Artifact("source", name, size, content_type=content_type(name), facts=facts),))


def is_still_valid(options: Options, context: StepContext, outcome: Outcome) -> bool:
    """Whether what was fetched still serves: the talk's times, the job's settings or the file may have changed since."""
    known = outcome.artifacts[0].facts
    window = known.get("window")
    if window is None:
        return not _has_changed(known.get("seen"), context)
    span = _needed_span(options, context)
    return isinstance(span, Span) and Span(window["start"], window["end"]).contains(span)


def _has_changed(seen: list[int] | None, context: StepContext) -> bool:
    """Whether a file of this host has changed since it was fetched; False if the arrival promised its size or time."""
    if seen is None or {"size", "mtime_ns"} & context.job.facts.keys():
        return False
    try:
        now = file_copy.stat_unchanged(file_copy.path_of(context.job.location), {})
    except Refused:
        return False
    return [now.st_size, now.st_mtime_ns] != seen


def _needed_span(options: Options, context: StepContext) -> Span | str:
    """The part of the recording that is needed; or, as a sentence, why all of it is."""
    if not options.ranged:
        return "The settings say so (ranged = false)."
    if (why := reason_to_fetch_all(context.job.settings)) is not None:
        return why
    try:
        span = talk_span(context.job.facts, context.talk, context.job.name)
    except Refused:
        return "The talk's times are not known yet."
    return (
        span
        if span.start >= 0 and (span.end is None or span.start < span.end)
        else "The talk begins before the recording, or ends before it begins."
    )


async def _fetch_part(
    options: Options, context: StepContext, download: SparseDownload, meter: ProgressMeter
) -> dict[str, Any]:
    """Fetch what the cut needs; the facts have a `window`. Else nothing of it is left, and they say why (`whole`)."""
    if _scheme(context) not in {"s3", "http", "https"}:
        return {}
    span: Span | str = _needed_span(options, context)
    if "whole" in (state := download.load_state()):
        span = str(state["whole"])
    try:
        if isinstance(span, Span):
            return await _fetch_span(options, context, download, meter, span)
    except NotInParts as reason:
        span = reason.sentence
    download.discard()
    meter.done, meter.total = 0, None
    return {"whole": span}


async def _fetch_span(
    options: Options, context: StepContext, download: SparseDownload, meter: ProgressMeter, span: Span
) -> dict[str, Any]:
    for _ in range(2):
        try:
            async with _open_remote(options, context, download) as (remote, head):
                sleep, size = context.tools.clock.sleep, int(options.chunk)
                reader = RangeReader(remote, download, meter, sleep=sleep, parallel=options.parallel, request_size=size)
                await reader.keep(head)
                return await _read_span(context, reader, span, options.margin)
        except RemoteFileChanged:
            download.discard()
    # Several servers behind one address may each have an ETag of their own for the same file.
    download.discard(reason="It changed twice while parts of it were read.")
    raise RetryLater(
        "The file was replaced twice while vidd read parts of it; vidd will fetch all of it.", code=FaultCode.CONFLICT
    )


async def _read_span(context: StepContext, reader: RangeReader, span: Span, margin: float) -> dict[str, Any]:
    remote, download = reader.remote, reader.download
    if context.job.facts.get("size") not in {None, remote.size}:
        raise NotInParts("Its size is not the promised one.")
    layout = await mp4_index.find_index(reader.read, remote.size)
    # An index of hours is a million numbers, and other jobs wait for this loop.
    await reader.fetch(await in_thread(mp4_index.needed, layout, remote.size, span, margin))
    await download.commit()
    return {
        "window": {
            "start": span.start,
            "end": span.end,
            "size": remote.size,
            "there": total_size(download.present),
            "read": reader.bytes_read,
            "requests": remote.requests,
            "sums": "No checksum was compared, since only parts were read; each was of the same state (ETag or date).",
        }
    }


@asynccontextmanager
async def _open_remote(
    options: Options, context: StepContext, download: SparseDownload
) -> AsyncIterator[tuple[RemoteFile, bytes]]:
    """The remote file with its state known and `download` open for it; and its first bytes, if they came with the state."""
    if _scheme(context) == "s3":
        from vidd.integrations.aws.s3_file import S3File  # noqa: PLC0415 - see _pinned_object

        async with _pinned_object(options, context) as (s3, pinned):
            s3_file = S3File(s3, pinned)
            download.open(s3_file.pin, s3_file.size)
            yield s3_file, b""
        return
    async with session(auto_decompress=False) as web:
        remote = HttpFile(web, context.job.location, context.tools.clock, etag=context.job.facts.get("etag"))
        head = b"" if remote.resume(download.load_state().get("pin", {})) else await remote.pin_state()
        download.open(remote.pin, remote.size)
        yield remote, head


async def _fetch_all(
    options: Options, context: StepContext, download: PartialDownload, meter: ProgressMeter
) -> dict[str, Any]:
    match _scheme(context):
        case "file":
            return await _copy_file(options, context, download, meter)
        case "s3":
            return await _fetch_s3(options, context, download, meter)
        case "pcloud":
            return await _fetch_pcloud(options, context, download, meter)
        case "http" | "https":
            return await _fetch_http(options, context, download, meter)
        case other:
            raise Refused(
                f"vidd cannot fetch from {other[:40]!a} addresses: give file:, s3:, pcloud:, http: or https:."
            )


def _scheme(context: StepContext) -> str:
    return context.job.location.partition(":")[0].lower()


async def _copy_file(
    options: Options, context: StepContext, download: PartialDownload, meter: ProgressMeter
) -> dict[str, Any]:
    path, facts = file_copy.path_of(context.job.location), context.job.facts
    checksums = _expected_checksums(options, context) or {}
    before = file_copy.stat_unchanged(path, facts)
    # What vidd itself kept of a published job is never written to again.
    link = Path(path).is_relative_to(handovers_root(context.tools.state.absolute()))
    cloned = await file_copy.copy_file(path, facts, download, meter, link=link)
    for algorithm, promised in checksums.items():
        if await digest_of(download.final, algorithm) != promised.lower():
            raise Refused(f"The file's {algorithm} is not the one the arrival promised: send it again.")
    return {"cloned": cloned, "seen": [before.st_size, before.st_mtime_ns]}


def _expected_checksums(options: Options, context: StepContext) -> dict[str, str] | None:
    """The checksums the arrival came with (hex by algorithm); None if the settings say that none is compared."""
    return expected_checksums(dict(context.job.facts)) if options.verify else None


def _account_name(options: Options, context: StepContext, what: str) -> str:
    name = options.account or context.job.facts.get("account")
    if not name:
        raise Refused(
            f"The arrival names no account to read {what} with: set account of the fetch step.",
            code=FaultCode.BAD_SETTINGS,
        )
    return str(name)


@asynccontextmanager
async def _pinned_object(options: Options, context: StepContext) -> AsyncIterator[tuple[Any, PinnedObject]]:
    """A client of S3, and the object in its state of now."""
    # Every daemon loads this module; those without S3 are spared the time and memory that its library takes.
    from vidd.integrations.aws import s3_download  # noqa: PLC0415
    from vidd.integrations.aws.account import Account, client  # noqa: PLC0415

    facts = context.job.facts
    bucket, key = parse_s3_uri(context.job.location)
    bucket, key = facts.get("bucket", bucket), facts.get("key", key)
    async with client(context.tools.account(_account_name(options, context, "S3"), Account), "s3") as s3:
        pinned = await s3_download.pin(
            s3, bucket, key, version=facts.get("version"), etag=facts.get("etag"), size=facts.get("size")
        )
        if pinned.size == 0:
            raise Refused("The object is empty: send it again.")
        yield s3, pinned


async def _fetch_s3(
    options: Options, context: StepContext, download: PartialDownload, meter: ProgressMeter
) -> dict[str, Any]:
    from vidd.integrations.aws import s3_download  # noqa: PLC0415 - see _pinned_object

    promised, sleep = _expected_checksums(options, context), context.tools.clock.sleep
    async with _pinned_object(options, context) as (s3, pinned):
        await s3_download.fetch(s3, pinned, download, meter, promised=promised, parallel=options.parallel, sleep=sleep)
    return {"etag": pinned.etag}


def _pcloud(options: Options, context: StepContext) -> AbstractAsyncContextManager[Client]:
    from vidd.integrations.pcloud.api import connect  # noqa: PLC0415 - as above

    return connect(context.tools, _account_name(options, context, "pCloud"))


async def _fetch_pcloud(
    options: Options, context: StepContext, download: PartialDownload, meter: ProgressMeter
) -> dict[str, Any]:
    from vidd.integrations.pcloud.download import fetch  # noqa: PLC0415 - as above

    job, promised = context.job, _expected_checksums(options, context)
    size, parallel = job.facts.get("size"), options.parallel
    async with _pcloud(options, context) as client:
        return await fetch(client, job.location, download, meter, size=size, promised=promised, parallel=parallel)


async def _source_name(options: Options, context: StepContext) -> str:
    """The name of what arrived; if it has no suffix, pCloud is asked for a better one."""
    if PurePath(context.job.name).suffix or _scheme(context) != "pcloud":
        return context.job.name
    from vidd.integrations.pcloud.download import find_file  # noqa: PLC0415 - as above

    async with _pcloud(options, context) as client:
        return (await find_file(client, context.job.location)).name


async def _fetch_http(
    options: Options, context: StepContext, download: PartialDownload, meter: ProgressMeter
) -> dict[str, Any]:
    facts = context.job.facts
    size = await fetch_url(context.job.location, download, meter, context.tools.clock, etag=facts.get("etag"))
    await download.check(facts.get("size") or size, _expected_checksums(options, context) or {})
    await download.commit()
    return {}


async def check(options: Options, tools: Tools) -> str:
    """Check that the account that is named exists; ask pCloud whose account it is."""
    if options.account is None:
        return "vidd fetches files with the account that the arrival names."
    if getattr(tools.accounts.get(options.account), "kind", None) == "pcloud":
        from vidd.integrations.pcloud.api import connect  # noqa: PLC0415 - as above
        from vidd.integrations.pcloud.files import describe_account  # noqa: PLC0415 - as above

        async with connect(tools, options.account) as client:
            return await describe_account(client)
    from vidd.integrations.aws.account import Account  # noqa: PLC0415 - as above

    tools.account(options.account, Account)
    return f"vidd fetches S3 objects with the account {options.account}."
