"""Fetch what arrived into the job's directory: a file of this host, an S3 object, or an http(s) address.

It lands under a temporary name, is compared with what the arrival and the server promised, synced and renamed.
A restart goes on where the last attempt's notes end.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.clients import file_copy, http_download
from vidd.clients.checksum import digest_of
from vidd.clients.landing import Landing, check_room
from vidd.clients.meter import Meter
from vidd.clients.s3_address import parse_s3_uri
from vidd.errors import Refused
from vidd.model.media import Artifact, Outcome
from vidd.options import Options as Base
from vidd.options import Size

if TYPE_CHECKING:
    from vidd.ports import Bench, Tools

SLOT = "fetches"

_TYPES = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".mkv": "video/x-matroska",
    ".webm": "video/webm", ".ts": "video/mp2t", ".avi": "video/x-msvideo", ".mxf": "application/mxf",
    ".mpg": "video/mpeg", ".mpeg": "video/mpeg", ".ogv": "video/ogg", ".ogg": "video/ogg",
}  # fmt: skip
_SUMS = {"md5", "sha1", "sha256", "sha512"}


class Options(Base):
    """How the file comes in."""

    account: str | None = Field(None, description="Account for s3 addresses; without it, the one the arrival names.")
    verify: bool = Field(True, description="Compare checksums: an ETag that is an MD5, and the arrival's `checksum`.")
    chunk: Size = Field(Size(16 * 2**20), ge=2**20, le=2**30, description="Size of a part that a resume keeps.")
    parallel: int = Field(4, ge=1, le=16, description="Parts of an S3 object fetched at once.")


def local_name(name: str) -> str:
    """`source` and a harmless end: of the untrusted name only up to five letters and digits are kept."""
    end = PurePath(name).suffix.lower()
    return f"source{end}" if re.fullmatch(r"\.[a-z0-9]{1,5}", end) else "source"


def promised_sums(facts: dict[str, Any]) -> dict[str, str]:
    """The arrival's `checksum` ("sha256:<hex>") by algorithm."""
    if not (checksum := facts.get("checksum")):
        return {}
    algorithm, _, value = str(checksum).partition(":")
    if algorithm not in _SUMS or not re.fullmatch(r"[0-9a-fA-F]+", value):
        raise Refused(f"The arrival's checksum {str(checksum)[:80]!a} cannot be read: write it like sha256:<hex>.")
    return {algorithm: value}


async def run(options: Options, bench: Bench) -> Outcome:
    """Fetch `job.location`; the file becomes the artifact `source`."""
    name = local_name(bench.job.name)
    meter = Meter("fetch", "download", progress=bench.progress, observe=bench.tools.observe)
    chunk, reserve = int(options.chunk), bench.tools.encoder.disk_reserve
    with closing(Landing(bench.directory, name, chunk=chunk, reserve=reserve)) as landing:
        match bench.job.location.partition(":")[0].lower():
            case "file":
                facts = await _from_file(options, bench, landing, meter)
            case "s3":
                facts = await _from_s3(options, bench, landing, meter)
            case "http" | "https":
                facts = await _from_web(options, bench, landing, meter)
            case other:
                raise Refused(f"Nothing is fetched from {other[:40]!a} addresses: give file:, s3:, http: or https:.")
    meter.tell()
    kind = _TYPES.get(PurePath(name).suffix, "application/octet-stream")
    size = landing.final.stat().st_size
    return Outcome(artifacts=(Artifact("source", name, size, content_type=kind, facts=facts),))


async def _from_file(options: Options, bench: Bench, landing: Landing, meter: Meter) -> dict[str, Any]:
    path, facts = file_copy.path_of(bench.job.location), bench.job.facts
    sums = promised_sums(dict(facts)) if options.verify else {}
    cloned = await file_copy.take_over(path, facts, landing, meter)
    for algorithm, promised in sums.items():
        if await digest_of(landing.final, algorithm) != promised.lower():
            raise Refused(f"The file's {algorithm} is not the one the arrival promised: send it again.")
    return {"cloned": cloned}


async def _from_s3(options: Options, bench: Bench, landing: Landing, meter: Meter) -> dict[str, Any]:
    # Every daemon fetches, and those that have no S3 are spared what it takes to start and to hold its library.
    from vidd.clients import s3_download  # noqa: PLC0415
    from vidd.clients.aws import Account, client  # noqa: PLC0415

    facts = bench.job.facts
    bucket, key = parse_s3_uri(bench.job.location)
    bucket, key = facts.get("bucket", bucket), facts.get("key", key)
    name = options.account or facts.get("account")
    if not name:
        raise Refused("The arrival names no account to read S3 with: set account of the fetch step.")
    async with client(bench.tools.account(name, Account), "s3") as s3:
        thing = await s3_download.pin(
            s3, bucket, key, version=facts.get("version"), etag=facts.get("etag"), size=facts.get("size")
        )
        if not options.verify:
            thing = replace(thing, md5=None)
        if thing.size == 0:
            raise Refused("The object is empty: send it again.")
        landing.open({"bucket": bucket, "key": key, "etag": thing.etag, "version": thing.version, "size": thing.size})
        meter.total = thing.size
        meter.done = min(thing.size, len(landing.done) * landing.chunk)
        check_room(landing.directory, thing.size - meter.done, landing.reserve)
        known = await s3_download.download(
            s3, thing, landing, meter, parallel=options.parallel, sleep=bench.tools.clock.sleep
        )
    sums = promised_sums(dict(facts)) if options.verify else {}
    if thing.md5:
        sums["md5"] = thing.md5
    await landing.check(thing.size, sums, known=known)
    await landing.settle()
    return {"etag": thing.etag}


async def _from_web(options: Options, bench: Bench, landing: Landing, meter: Meter) -> dict[str, Any]:
    facts = bench.job.facts
    size = await http_download.download(bench.job.location, landing, meter, bench.tools.clock, etag=facts.get("etag"))
    sums = promised_sums(dict(facts)) if options.verify else {}
    await landing.check(facts.get("size") or size, sums)
    await landing.settle()
    return {}


async def check(options: Options, tools: Tools) -> str:
    """Whether the account that is named exists."""
    if options.account is None:
        return "Files are fetched with the account that the arrival names."
    from vidd.clients.aws import Account  # noqa: PLC0415 - as above

    tools.account(options.account, Account)
    return f"S3 objects are fetched with the account {options.account}."
