"""Makes a bucket that the settings name, and sees whether everybody may download from it.

docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html, userguide/about-object-ownership.html,
access-control-block-public-access.html.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from vidd.errors import FaultCode, Refused
from vidd.integrations.aws.errors import code_of, fault_of, map_errors, status_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Access = Literal["public-read", "private"]
_WITHOUT_CONSTRAINT = "us-east-1"
"""The region that a request to make a bucket must not name."""
_NOT_TOLD = {401, 403, 405, 501}
_NONE_SET = {
    "NoSuchBucketPolicy", "NoSuchPublicAccessBlockConfiguration", "OwnershipControlsNotFoundError", "NotImplemented",
}  # fmt: skip
_DOWNLOAD = frozenset({"s3:getobject", "s3:get*", "s3:*", "*"})
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


async def create_bucket(s3: Any, bucket: str, access: Access | None = None, *, by_acl: bool = False) -> str | None:
    """Make the bucket in the client's region, unless it is there; returns a sentence if vidd made it.

    A bucket that was there stays as it is: what else lies in it is not vidd's to open. `access` opens a new bucket for
    downloads, by a policy or with `by_acl` so that objects may be opened by their ACLs, or keeps it private.
    Raises Refused if it belongs to somebody else.
    """
    if await _is_there(s3, bucket):
        return None
    region = s3.meta.region_name
    parameters: dict[str, Any] = {"Bucket": bucket}
    if region != _WITHOUT_CONSTRAINT:
        parameters["CreateBucketConfiguration"] = {"LocationConstraint": region}
    if access == "public-read" and by_acl:
        parameters["ObjectOwnership"] = "ObjectWriter"
    with map_errors(f"making the bucket {bucket}"):
        try:
            await s3.create_bucket(**parameters)
        except ClientError as error:
            if code_of(error) == "BucketAlreadyOwnedByYou":
                return None
            if code_of(error) == "BucketAlreadyExists":
                raise _taken(bucket) from None
            raise
    if access is not None:
        await _set_access(s3, bucket, access, by_acl=by_acl)
    how = {"public-read": ", open for downloads", "private": ", kept private", None: ""}[access]
    return f"vidd made the bucket {bucket} in {region}{how}."


async def _is_there(s3: Any, bucket: str) -> bool:
    with map_errors(f"looking for the bucket {bucket}"):
        try:
            await s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            status = status_of(error)
            if status == 404:
                return False
            if status == 403:
                raise _taken(bucket) from None
            if status in {301, 400}:
                headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
                where = headers.get("x-amz-bucket-region", "another region")
                raise Refused(
                    f"The bucket {bucket} lies in {where}, not in {s3.meta.region_name}: correct region of the account.",
                    code=FaultCode.BAD_SETTINGS,
                ) from None
            raise
    return True


def _taken(bucket: str) -> Refused:
    return Refused(
        f"The bucket {bucket} belongs to somebody else, or the account may not see it: choose another name, or give the"
        " account the right.",
        code=FaultCode.FORBIDDEN,
    )


async def _set_access(s3: Any, bucket: str, access: Access, *, by_acl: bool) -> None:
    """Open a new bucket for downloads, or block that. A server that has no such block has none to lift or to set."""
    with map_errors(f"setting who may read the bucket {bucket}"):
        try:
            if access == "private":
                await s3.put_public_access_block(
                    Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(_BLOCKS, True)
                )
            else:
                await s3.delete_public_access_block(Bucket=bucket)
        except ClientError as error:
            if status_of(error) not in {404, 405, 501} and code_of(error) not in _NONE_SET:
                raise
        if access == "public-read" and not by_acl:
            await s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(_open_policy(bucket)))


def _open_policy(bucket: str) -> dict[str, Any]:
    """A policy by which everybody may download objects, and list nothing."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        ],
    }


async def check_access(s3: Any, bucket: str, access: Access, *, by_acl: bool) -> None:
    """Raise Refused where the bucket is not as `access` says. What the account may not ask is taken for right."""
    policy = await _ask(s3.get_bucket_policy, bucket)
    is_open = _opens(policy.get("Policy", ""))
    if access == "private":
        if is_open:
            raise _refused(f"The bucket {bucket} has a policy by which everybody may download: remove it.")
        return
    block = (await _ask(s3.get_public_access_block, bucket)).get("PublicAccessBlockConfiguration", {})
    if by_acl:
        rules = (await _ask(s3.get_bucket_ownership_controls, bucket)).get("OwnershipControls", {}).get("Rules", [])
        if any(rule.get("ObjectOwnership") == "BucketOwnerEnforced" for rule in rules):
            raise _refused(
                f"The bucket {bucket} takes no ACLs (its owner owns all objects): remove acl, and give the bucket a policy"
                " by which everybody may download."
            )
        if block.get("BlockPublicAcls") or block.get("IgnorePublicAcls"):
            raise _refused(f"The bucket {bucket} blocks public ACLs: lift its public access block.")
        return
    if not is_open and policy.get("told", True):
        raise _refused(
            f"The bucket {bucket} is not open for downloads: give it a policy by which everybody may do s3:GetObject, or"
            ' set acl = "public-read".'
        )
    if block.get("RestrictPublicBuckets"):
        raise _refused(f"The bucket {bucket} restricts its public policy: lift its public access block.")


async def _ask(call: Callable[..., Awaitable[Any]], bucket: str) -> dict[str, Any]:
    """An answer about a bucket; empty where nothing is set, and with `told` False where nobody says."""
    try:
        return dict(await call(Bucket=bucket))
    except ClientError as error:
        if status_of(error) in _NOT_TOLD or code_of(error) == "NotImplemented":
            return {"told": False}
        if code_of(error) in _NONE_SET or status_of(error) == 404:
            return {}
        raise fault_of(error, f"looking at who may read the bucket {bucket}") from error


def _opens(policy: str) -> bool:
    """Whether everybody may download by this policy, without a condition."""
    try:
        statements = json.loads(policy or "{}").get("Statement", [])
    except ValueError:
        return False
    return any(
        statement.get("Effect") == "Allow"
        and statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
        and not statement.get("Condition")
        and not _DOWNLOAD.isdisjoint(action.lower() for action in _listed(statement.get("Action", [])))
        for statement in _listed(statements)
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _refused(sentence: str) -> Refused:
    return Refused(sentence, code=FaultCode.BAD_SETTINGS)
