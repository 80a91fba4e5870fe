"""Publish to an S3 bucket: in resumable parts, marked with the job, never over an object that is not the job's."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from botocore.exceptions import ClientError
from pydantic import AfterValidator, Field

from vidd.clients.aws import Account, client, head, shown
from vidd.clients.aws_faults import asking, code_of
from vidd.clients.meter import Meter
from vidd.clients.persist import persist
from vidd.clients.s3_address import web_address
from vidd.clients.s3_parts import manifest
from vidd.clients.s3_upload import JOB, Target, Upload, is_this
from vidd.errors import Refused
from vidd.fields import MayName
from vidd.model.job import REPLACES
from vidd.model.publication import Receipt
from vidd.options import Duration, Size
from vidd.options import Options as Base
from vidd.texts import check_template, fields_of, render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from vidd.model.media import Artifact
    from vidd.ports import Parcel, Tools

SLOT = "uploads"

Template = Annotated[str, AfterValidator(check_template), MayName("role", "part", "suffix")]
_Address = Annotated[str, AfterValidator(check_template), MayName("role", "part", "suffix", "bucket", "key")]


class Options(Base):
    """Where the files go, and how they are described there."""

    account: str = Field(description="The S3 account.")
    bucket: str = Field(min_length=1, description="The bucket, which must exist.")
    key: Template = Field(
        "{{ (talk.id or job.id) | file_name }}/{{ name | file_name }}{{ part }}{{ suffix }}",
        description="Template of the key; `part` tells several files apart (-rendition-720p), `suffix` is like .mp4.",
    )
    files: tuple[str, ...] = Field((), description="Roles of the files; none means all that the steps made.")
    content_type: str | None = Field(None, description="Content type; without it, the file's own.")
    metadata: dict[str, Template] = Field(default_factory=dict, description="Templates of metadata, by name.")
    cache_control: str | None = Field(None, description="Cache-Control header.")
    acl: str | None = Field(None, description="Canned ACL, such as public-read.")
    storage_class: str | None = Field(None, description="Storage class, such as STANDARD_IA.")
    link: Literal["public", "presigned"] = Field("public", description="What the receipt's link is.")
    public_url: _Address | None = Field(
        None, description="Template of the link, with `key` (encoded); without it, the endpoint's or AWS's own form."
    )
    expires: Duration = Field(604800.0, gt=0, le=604800, description="How long a presigned link holds; 7 days at most.")
    part_size: Size = Field(Size(16 * 2**20), ge=5 * 2**20, le=5 * 2**30, description="Size of a part.")
    parallel: int = Field(4, ge=1, le=16, description="Parts sent at once.")
    overwrite: Literal["ours"] | bool = Field(
        "ours", description='"ours" replaces only what this job, or the one it replaces, put there; true anything.'
    )
    retract: Literal["keep", "delete"] = Field("keep", description="What taking a talk back does with its objects.")


@dataclass(frozen=True)
class _File:
    artifact: Artifact
    target: Target
    fields: Mapping[str, Any]


def _files(options: Options, parcel: Parcel) -> list[_File]:
    chosen = parcel.chosen(options.files)
    files: dict[str, _File] = {}
    for one in chosen:
        suffix = PurePath(one.path).suffix
        part = f"-{one.role}" if len(chosen) > 1 else ""
        fields = fields_of(parcel.job, parcel.talk, parcel.facts, role=one.role, part=part, suffix=suffix)
        key = safe_key(render(options.key, fields))
        if key in files:
            raise Refused(f"Two files would be {shown(options.bucket, key)}: put {{{{ role }}}} into the key.")
        extra = {
            "ContentType": options.content_type or one.content_type,
            "CacheControl": options.cache_control,
            "ACL": options.acl,
            "StorageClass": options.storage_class,
        }
        target = Target(
            options.bucket,
            key,
            parcel.job.id,
            metadata={name: _header(render(text, fields)) for name, text in options.metadata.items()},
            extra={name: value for name, value in extra.items() if value is not None},
            overwrite=options.overwrite is True,
            replaces=parcel.job.facts.get(REPLACES),
        )
        files[key] = _File(one, target, fields)
    return list(files.values())


def safe_key(key: str) -> str:
    """A key as it is; Refused where some server would make a path outside the bucket, or nothing, of it."""
    wrong = None
    if not key or len(key.encode(errors="replace")) > 1024:
        wrong = "is empty or longer than 1024 bytes"
    elif key.startswith("/") or key.endswith("/") or any(part in {"", ".", ".."} for part in key.split("/")):
        wrong = "has an empty part, or one of dots only"
    elif not key.isprintable():
        wrong = "has characters that cannot be printed"
    if wrong:
        raise Refused(f"The key {key[:80]!a} {wrong}: use the file_name filter in the template of the key.")
    return key


def _header(text: str) -> str:
    """A text as a header may carry it: one line of ASCII, the rest percent-encoded."""
    flat = " ".join(text.split())
    return "".join(one if one.isascii() and one.isprintable() and one != "%" else _percent(one) for one in flat)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="replace"))


@asynccontextmanager
async def _open(options: Options, tools: Tools) -> AsyncIterator[tuple[Any, Account]]:
    account = tools.account(options.account, Account)
    async with client(account, "s3") as s3:
        yield s3, account


async def publish(options: Options, parcel: Parcel) -> Receipt:
    """Bring the files there, one after the other. The token holds for each role what a resume needs."""
    files = _files(options, parcel)
    token: dict[str, Any] = {"files": dict(parcel.publication.token.get("files", {}))}
    total = sum(one.artifact.size for one in files)
    meter = Meter("s3", "upload", progress=parcel.progress, observe=parcel.tools.observe, total=total)
    landed = []
    async with _open(options, parcel.tools) as (s3, account):
        for number, file in enumerate(files, 1):
            upload = await _prepared(options, parcel, file, token, meter, last=number == len(files), s3=s3)
            try:
                landed.append(await upload.run())
            except Refused:
                await upload.abandon()
                raise
        meter.tell()
        return await _receipt(options, account, s3, files, landed)


async def _prepared(
    options: Options, parcel: Parcel, file: _File, token: dict[str, Any], meter: Meter, *, last: bool, s3: Any
) -> Upload:
    role, target = file.artifact.role, file.target
    parts = await manifest(parcel.directory / file.artifact.path, int(options.part_size))
    state = {**target.where, "etag": parts.etag, "size": parts.size}

    async def save(upload_id: str | None) -> None:
        token["files"][role] = {**state, "upload_id": upload_id}
        await parcel.checkpoint(token)

    async def sent() -> None:
        if last:
            await parcel.sent(token)

    upload = Upload(s3, target, parts, meter, parcel.tools.clock.sleep, save, sent, options.parallel)
    earlier = token["files"].get(role, {})
    upload.upload_id = earlier.get("upload_id")
    if upload.upload_id and any(earlier.get(name) != value for name, value in state.items()):
        # The file or its place is another one now: that upload can only be thrown away, where it was begun.
        stale = Target(earlier["Bucket"], earlier["Key"], target.job)
        await Upload(
            s3, stale, parts, meter, parcel.tools.clock.sleep, save, sent, upload_id=upload.upload_id
        ).abandon()
        upload.upload_id = None
    return upload


async def reconcile(options: Options, parcel: Parcel) -> Receipt | None:
    """Ask whether all files are there, by marker, size and sum; None where one is provably not."""
    files = _files(options, parcel)
    known = parcel.publication.token.get("files", {})
    landed = []
    async with _open(options, parcel.tools) as (s3, account):
        for file in files:
            state, target = known.get(file.artifact.role), file.target
            if state is None or (state["Bucket"], state["Key"]) != (target.bucket, target.key):
                return None
            found = await persist(partial(head, s3, target.bucket, target.key), sleep=parcel.tools.clock.sleep)
            path = parcel.directory / file.artifact.path
            if found is None or not await is_this(found, parcel.job.id, path, size=state["size"], etag=state["etag"]):
                return None
            landed.append(found)
        return await _receipt(options, account, s3, files, landed)


async def _receipt(
    options: Options, account: Account, s3: Any, files: list[_File], landed: list[dict[str, Any]]
) -> Receipt:
    facts: list[dict[str, Any]] = []
    for file, found in zip(files, landed, strict=True):
        facts.append(
            {
                "role": file.artifact.role,
                "bucket": file.target.bucket,
                "key": file.target.key,
                "etag": str(found["ETag"]).strip('"'),
                "version": found.get("VersionId"),
                "size": int(found["ContentLength"]),
                "url": await _link(options, account, s3, file),
            }
        )
    first = facts[0]
    return Receipt(url=first["url"], facts={**first, "files": facts})


async def _link(options: Options, account: Account, s3: Any, file: _File) -> str:
    if options.link == "presigned":
        with asking(f"signing a link to {file.target.shown}"):
            return str(
                await s3.generate_presigned_url("get_object", Params=file.target.where, ExpiresIn=int(options.expires))
            )
    address = web_address(account, file.target.bucket, file.target.key)
    if options.public_url is None:
        return address
    return render(options.public_url, {**file.fields, "bucket": file.target.bucket, "key": quote(file.target.key)})


async def retract(options: Options, parcel: Parcel) -> str:
    """Delete the objects, where that is wanted and they are still this job's. The receipt says which they are."""
    receipt = parcel.publication.receipt
    files: list[dict[str, Any]] = list(receipt.facts.get("files", ())) if receipt else []
    names = ", ".join(shown(one["bucket"], one["key"]) for one in files) or "what was put there by hand"
    if options.retract == "keep":
        return f"{names} was kept, as the settings say."
    async with _open(options, parcel.tools) as (s3, _):
        for one in files:
            found = await persist(partial(head, s3, one["bucket"], one["key"]), sleep=parcel.tools.clock.sleep)
            if found is None:
                continue
            if (found.get("Metadata") or {}).get(JOB) != parcel.job.id:
                raise Refused(f"{shown(one['bucket'], one['key'])} is another job's by now: it was left there.")
            with asking(f"deleting {shown(one['bucket'], one['key'])}"):
                await s3.delete_object(Bucket=one["bucket"], Key=one["key"])
    return f"{names} was deleted."


async def check(options: Options, tools: Tools) -> str:
    """Ask for the bucket, and whether uploads in it may be seen."""
    async with _open(options, tools) as (s3, _):
        with asking(f"looking at the bucket {options.bucket}"):
            await s3.list_objects_v2(Bucket=options.bucket, MaxKeys=1)
        with asking(f"looking at the uploads in the bucket {options.bucket}"):
            try:
                await s3.list_multipart_uploads(Bucket=options.bucket, MaxUploads=1)
            except ClientError as error:
                # rclone calls it so where no upload was ever begun; others do not have the request.
                if code_of(error) not in {"NoSuchUpload", "NotImplemented"}:
                    raise
    return f"The bucket {options.bucket} can be reached and read."
