"""Publishes to an S3 bucket: resumable parts, objects marked with the job, never over an object of another job.

A directory tree becomes one object for each of its files, below a prefix; only files that changed are sent.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import quote

from botocore.exceptions import ClientError
from pydantic import AfterValidator, Field, model_validator

from vidd.aio.retry import retry
from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused
from vidd.integrations.aws.account import Account, client, head, object_name
from vidd.integrations.aws.errors import code_of, map_errors
from vidd.integrations.aws.s3_bucket import check_access, create_bucket
from vidd.integrations.aws.s3_layout import File, Layout, UploadPlan
from vidd.integrations.aws.s3_parts import manifest
from vidd.integrations.aws.s3_target import JOB, is_job_file
from vidd.integrations.aws.s3_tree import OpenUploads, UploadCounts, delete_marked, delete_object
from vidd.integrations.aws.s3_upload import Upload
from vidd.integrations.aws.s3_uri import web_address
from vidd.model.publication import Receipt
from vidd.settings.marks import AccountOf
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, render
from vidd.settings.types import Duration
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from vidd.ports import PublishContext, Tools


_Address = Annotated[str, AfterValidator(check_template), MayName("role", "part", "suffix", "bucket", "key")]


class Options(Layout):
    """Where the files and trees go, and what becomes of them."""

    account: Annotated[str, AccountOf("s3")] = Field(description="The S3 account.")
    delete: bool = Field(
        False,
        description="Delete objects below a tree's prefix that the tree does not have, if they are this job's or, with `overwrite`, "
        "any job's.",
    )
    link: Literal["public", "presigned"] = Field("public", description="The kind of link in the receipt.")
    public_url: _Address | None = Field(
        None, description="Template of the link, with `key` (encoded); without it, the endpoint's or AWS's own form."
    )
    expires: Duration = Field(
        604800.0, gt=0, le=604800, description="How long a presigned link is valid; 7 days at most."
    )
    parallel: int = Field(4, ge=1, le=16, description="Parts sent at once.")
    retract: Literal["keep", "delete"] = Field("keep", description="What a retraction does with the objects.")

    @model_validator(mode="after")
    def _access(self) -> Self:
        if self.access == "private" and self.acl not in {None, "private"}:
            raise ValueError(f"acl = {self.acl!r} opens what access keeps private: remove one of them")
        if self.access == "private" and self.link == "public" and self.public_url is None:
            raise ValueError('nobody can open a plain link to what is private: set link = "presigned", or public_url')
        return self


@asynccontextmanager
async def _open(options: Options, tools: Tools) -> AsyncIterator[tuple[Any, Account]]:
    account = tools.account(options.account, Account)
    async with client(account, "s3") as s3:
        yield s3, account


@asynccontextmanager
async def _publication(
    options: Options, context: PublishContext, *, replacing: bool = False
) -> AsyncIterator[_Publication]:
    account = context.tools.account(options.account, Account)
    plan = await in_thread(UploadPlan, options, account, context)
    async with client(account, "s3") as s3:
        yield _Publication(options, context, account, plan, s3, replacing)


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Upload the files one after the other, then the trees. The token holds for each role what a resume needs."""
    async with _publication(options, context) as publication:
        return await publication.publish()


async def replace_files(options: Options, context: PublishContext) -> Receipt:
    """Send what changed since the revision before, and delete what this job put there and no longer has."""
    async with _publication(options, context, replacing=True) as publication:
        return await publication.publish()


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """The receipt if all files and trees are there, by metadata, size and ETag; None if one is provably not."""
    async with _publication(options, context) as publication:
        return await publication.reconcile()


@dataclass(frozen=True)
class _Publication:
    """A publication with a client open; `replacing` if it was published before with other files."""

    options: Options
    context: PublishContext
    account: Account
    plan: UploadPlan
    s3: Any
    replacing: bool = False

    async def publish(self) -> Receipt:
        """Upload what is not there yet."""
        plan, context = self.plan, self.context
        token: dict[str, Any] = {"files": dict(context.publication.token.get("files", {}))}
        total = sum(file.artifact.size for file in plan.files)
        meter = ProgressMeter("s3", "upload", progress=context.progress, observe=context.tools.observe, total=total)
        uploaded = []
        for number, file in enumerate(plan.files, 1):
            last = number == len(plan.files) and not plan.trees
            upload = await self._prepare(file, token, meter, last=last)
            try:
                uploaded.append(await upload.run())
            except Refused:
                await upload.abort()
                raise
        counts = await self._upload_trees(token, meter) if plan.trees else None
        meter.report()
        return await self._receipt(uploaded, counts)

    async def _prepare(self, file: File, token: dict[str, Any], meter: ProgressMeter, *, last: bool) -> Upload:
        role, target, context = file.artifact.role, file.target, self.context
        parts = await manifest(context.directory / file.artifact.path, int(self.options.part_size))

        async def save(upload_id: str | None) -> None:
            token["files"][role] = {**target.parameters, "etag": parts.etag, "size": parts.size, "upload_id": upload_id}
            await context.checkpoint(token)

        async def sent() -> None:
            if last:
                await context.sent(token)

        upload = Upload(self.s3, target, parts, meter, context.tools.clock.sleep, save, sent, self.options.parallel)
        await upload.resume(token["files"].get(role, {}))
        return upload

    async def _upload_trees(self, token: dict[str, Any], meter: ProgressMeter) -> UploadCounts:
        """Upload all trees together. The token holds the multipart uploads of their files that are open."""
        context = self.context
        open_uploads = dict(context.publication.token.get("parts", {}))
        token["parts"] = open_uploads
        await context.checkpoint(token)

        async def save(key: str, state: Mapping[str, Any] | None) -> None:
            if state is None:
                open_uploads.pop(key, None)
            else:
                open_uploads[key] = dict(state)
            await context.checkpoint(token)

        upload = self.plan.upload(self.s3)
        await upload.list_existing()
        counts = await upload.run(meter, OpenUploads(dict(open_uploads), save))
        if self.options.delete or self.replacing:
            stale = await upload.stale_keys(None if self.options.delete else self.plan.gone)
            await upload.delete(stale)
            counts.dropped = len(stale)
        return counts

    async def reconcile(self) -> Receipt | None:
        """The receipt if all is there."""
        token, uploaded = self.context.publication.token, []
        for file in self.plan.files:
            found = await self._find(file, token.get("files", {}).get(file.artifact.role))
            if found is None:
                return None
            uploaded.append(found)
        if not self.plan.trees:
            return await self._receipt(uploaded, None)
        upload = self.plan.upload(self.s3)
        await upload.list_existing()
        if not await upload.is_complete() or (self.options.delete and await upload.stale_keys()):
            return None
        return await self._receipt(uploaded, UploadCounts(equal=len(upload.files)))

    async def _find(self, file: File, state: Mapping[str, Any] | None) -> dict[str, Any] | None:
        target, context = file.target, self.context
        if state is None or (state["Bucket"], state["Key"]) != (target.bucket, target.key):
            return None
        found = await retry(partial(head, self.s3, target.bucket, target.key), sleep=context.tools.clock.sleep)
        path = context.directory / file.artifact.path
        if found is None or not await is_job_file(found, context.job.id, path, size=state["size"], etag=state["etag"]):
            return None
        return found

    async def _receipt(self, uploaded: list[dict[str, Any]], counts: UploadCounts | None) -> Receipt:
        facts: list[dict[str, Any]] = []
        for file, found in zip(self.plan.files, uploaded, strict=True):
            facts.append(
                {
                    "role": file.artifact.role,
                    "bucket": file.target.bucket,
                    "key": file.target.key,
                    "etag": str(found["ETag"]).strip('"'),
                    "version": found.get("VersionId"),
                    "size": int(found["ContentLength"]),
                    "url": await self._link(file),
                }
            )
        if counts is None:
            return Receipt(url=facts[0]["url"], facts={**facts[0], "files": facts})
        trees = [
            {**tree.to_json(), "url": self._object_url(tree.bucket, tree.prefix, tree.fields)}
            for tree in self.plan.trees
        ]
        first = (facts or trees)[0]
        return Receipt(url=str(first["url"]), facts={**first, "files": facts, "trees": trees, **counts.to_json()})

    async def _link(self, file: File) -> str:
        parameters, expires = file.target.parameters, int(self.options.expires)
        if self.options.link == "presigned":
            with map_errors(f"signing a link to {file.target.name}"):
                return str(await self.s3.generate_presigned_url("get_object", Params=parameters, ExpiresIn=expires))
        return self._object_url(file.target.bucket, file.target.key, file.fields)

    def _object_url(self, bucket: str, key: str, fields: Mapping[str, Any]) -> str:
        if self.options.public_url is None:
            return web_address(self.account, bucket, key)
        return render(self.options.public_url, {**fields, "bucket": bucket, "key": quote(key)})


async def retract(options: Options, context: PublishContext) -> str:
    """Delete the objects that the receipt names, if the settings want that and they are still this job's."""
    receipt = context.publication.receipt
    files: list[dict[str, Any]] = list(receipt.facts.get("files", ())) if receipt else []
    trees: list[dict[str, Any]] = list(receipt.facts.get("trees", ())) if receipt else []
    addresses = [(file["bucket"], file["key"]) for file in files] + [
        (tree["bucket"], f"{tree['prefix']}…") for tree in trees
    ]
    names = ", ".join(object_name(*address) for address in addresses) or "what was put there by hand"
    if options.retract == "keep":
        return f"{names} was kept, as the settings say."
    sleep, job = context.tools.clock.sleep, context.job.id
    async with _open(options, context.tools) as (s3, _):
        for file in files:
            found = await retry(partial(head, s3, file["bucket"], file["key"]), sleep=sleep)
            if found is None:
                continue
            if (found.get("Metadata") or {}).get(JOB) != job:
                raise Refused(
                    f"{object_name(file['bucket'], file['key'])} is another job's by now, so vidd left it there: delete it by hand if nobody needs it.",
                    code=FaultCode.CONFLICT,
                )
            await delete_object(s3, file["bucket"], sleep, file["key"])
        for tree in trees:
            await delete_marked(s3, tree["bucket"], tree["prefix"], job, at_once=options.at_once, sleep=sleep)
    return f"{names} was deleted."


async def create(options: Options, tools: Tools) -> str | None:
    """Make the bucket where it is missing."""
    async with _open(options, tools) as (s3, account):
        return await create_bucket(s3, options.in_bucket(account), options.access, by_acl=options.acl is not None)


async def check(options: Options, tools: Tools) -> str:
    """Ask for the bucket, who may read it, and whether the account may list uploads in it."""
    async with _open(options, tools) as (s3, account):
        bucket = options.in_bucket(account)
        with map_errors(f"looking at the bucket {bucket}"):
            await s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
        with map_errors(f"looking at the uploads in the bucket {bucket}"):
            try:
                await s3.list_multipart_uploads(Bucket=bucket, MaxUploads=1)
            except ClientError as error:
                # rclone answers NoSuchUpload if no upload was ever started; other servers do not have the request.
                if code_of(error) not in {"NoSuchUpload", "NotImplemented"}:
                    raise
        if options.access is not None:
            await check_access(s3, bucket, options.access, by_acl=options.acl is not None)
    return f"The bucket {bucket} can be reached and read."
