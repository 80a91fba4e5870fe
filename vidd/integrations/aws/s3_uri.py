"""S3 URIs of vidd, and the web addresses of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from vidd.errors import Refused

if TYPE_CHECKING:
    from vidd.integrations.aws.account import Account


def s3_uri(bucket: str, key: str) -> str:
    """`s3://bucket/key` with the key percent-encoded, so that no key can break a line, a query or a path."""
    return f"s3://{bucket}/{quote(key, safe='/')}"


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """The bucket and the key of a URI; Refused unless it has both."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key:
        raise Refused(f"{uri[:200]!a} names no object: write s3://bucket/key.")
    return bucket, unquote(key)


def web_address(account: Account, bucket: str, key: str) -> str:
    """The address at which a browser would open the object, if it is public."""
    path = quote(key, safe="/")
    dotted = "." in bucket
    if account.endpoint_url is None:
        host = f"s3.{account.region or 'us-east-1'}.amazonaws.com"
        in_path = account.addressing == "path" or dotted
        return f"https://{host}/{bucket}/{path}" if in_path else f"https://{bucket}.{host}/{path}"
    base = urlsplit(account.endpoint_url)
    if account.addressing == "virtual":
        return f"{base.scheme}://{bucket}.{base.netloc}/{path}"
    return f"{account.endpoint_url.rstrip('/')}/{bucket}/{path}"


def key_of(account: Account, bucket: str, address: str) -> str:
    """The key in a web address, in s3://bucket/key, or the key itself; "" if there is none."""
    text = address.strip()
    if text.startswith("s3://"):
        return unquote(text.removeprefix("s3://").partition("/")[2])
    prefix = web_address(account, bucket, "")
    if text.startswith(prefix):
        return unquote(text.removeprefix(prefix).partition("?")[0])
    parts = urlsplit(text)
    if parts.scheme in {"http", "https"}:
        return unquote(parts.path).lstrip("/")
    return text.removeprefix("./").lstrip("/")
