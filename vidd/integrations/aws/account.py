"""S3 and SQS accounts: one session per account, one client per use.

Botocore's own retries are off: `vidd.aio.retry` repeats what may be repeated, and a commit whose answer was lost
becomes OutcomeUnknown.
"""

from __future__ import annotations

import os
import ssl
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session
from botocore.exceptions import ClientError
from botocore.handlers import add_expect_header
from botocore.httpsession import get_cert_path
from botocore.utils import parse_timestamp
from pydantic import Field, SecretStr, model_validator
from yarl import URL

from vidd.display_text import printable
from vidd.errors import RetryLater
from vidd.integrations.aws.errors import ABSENT, code_of, fault_of, map_errors, status_of
from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration
from vidd.transfer.http import session, ssl_context
from vidd.transfer.proxy import proxy_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Account(ProxiedAccount):
    """An S3 account (and its SQS): AWS itself, or with `endpoint_url` any other server."""

    kind: Literal["s3"] = Field("s3", description="The kind of account.")
    endpoint_url: str | None = Field(
        None, pattern=r"^https?://[^\s@]+$", description="Address of an S3 server that is not AWS."
    )
    sqs_endpoint_url: str | None = Field(
        None, pattern=r"^https?://[^\s@]+$", description="Address of its SQS; default: `endpoint_url`."
    )
    bucket: str | None = Field(None, min_length=1, description="Bucket for publishers that name none.")
    region: str | None = Field(None, description="Region; without it, the environment's, or us-east-1 off AWS.")
    access_key: str | None = Field(None, description="Access key id; without it, the environment's or the host's role.")
    secret_key: SecretStr | None = Field(None, description="Secret access key.")
    session_token: SecretStr | None = Field(None, description="Token of temporary credentials.")
    addressing: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Bucket in the path or in the host name; auto is path off AWS."
    )
    verify: bool = Field(True, description="Check the server's certificate.")
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    environment: str | None = Field(
        None,
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Prefix of environment variables for what is not set here: DO_SPACES means DO_SPACES_KEY,"
        " DO_SPACES_SECRET, DO_SPACES_REGION, DO_SPACES_ENDPOINT and DO_SPACES_BUCKET.",
    )
    connect_timeout: Duration = Field(10.0, gt=0, description="Longest time to wait for a connection.")
    read_timeout: Duration = Field(60.0, gt=0, description="Longest wait for the next bytes of an answer.")

    @model_validator(mode="before")
    @classmethod
    def _from_environment(cls, values: Any) -> Any:
        prefix = values.get("environment") if isinstance(values, dict) else None
        return {**from_environment(prefix), **values} if isinstance(prefix, str) else values

    @model_validator(mode="after")
    def _both_keys(self) -> Account:
        if (self.access_key is None) is not (self.secret_key is None):
            raise ValueError("access_key and secret_key come together: give both or neither")
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        """The addresses of S3 and SQS; buckets of AWS have names of their own before them."""
        region = self.region or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        s3 = self.endpoint_url or f"https://s3.{region}.amazonaws.com"
        return s3, self.sqs_endpoint_url or self.endpoint_url or f"https://sqs.{region}.amazonaws.com"


def from_environment(prefix: str) -> dict[str, str]:
    """The account fields that environment variables with this prefix set; ValueError if the keys are not among them."""
    names = {"access_key": "KEY", "secret_key": "SECRET", "region": "REGION", "bucket": "BUCKET"}
    variables = {field: f"{prefix}_{name}" for field, name in names.items()}
    missing = [variables[field] for field in ("access_key", "secret_key") if not os.environ.get(variables[field])]
    if missing:
        raise ValueError(f"there is no {' and no '.join(missing)} in the environment")
    found = {field: os.environ[variable] for field, variable in variables.items() if os.environ.get(variable)}
    endpoint = os.environ.get(f"{prefix}_ENDPOINT", "").rstrip("/")
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        # DigitalOcean's console shows the bucket's own address first.
        found["endpoint_url"] = f"{scheme or 'https'}://{host.removeprefix(found.get('bucket', '') + '.')}"
    return found


@lru_cache(maxsize=1)
def _models() -> Any:
    """Botocore's service models, which are slow to load, once for all accounts."""
    return get_session().get_component("data_loader")


def _parse_time(text: Any) -> datetime:
    """A timestamp of an answer. A listing has one per object, and botocore's own parser takes most of its time."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return parse_timestamp(text)  # type: ignore[no-any-return]  # botocore has no types


@lru_cache(maxsize=32)
def _session(account: Account) -> aioboto3.Session:
    """One session per account."""
    core = get_session()
    core.register_component("data_loader", _models())
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parse_time)
    return aioboto3.Session(
        botocore_session=core,
        aws_access_key_id=account.access_key,
        aws_secret_access_key=account.secret_key.get_secret_value() if account.secret_key else None,
        aws_session_token=account.session_token.get_secret_value() if account.session_token else None,
        region_name=account.region or ("us-east-1" if account.endpoint_url else None),
    )


@lru_cache(maxsize=8)
def _trust(ca: Path | None) -> ssl.SSLContext:
    """The system's authorities, botocore's own, which hosts without any have, and those of the file `ca`."""
    context = ssl_context(ca)
    context.load_verify_locations(get_cert_path(True))
    return context


class _HttpSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore has no types
    """aiobotocore's HTTP, in a session of vidd's: its own does not check the server's certificate behind a proxy."""

    def __init__(self, account: Account, **options: Any) -> None:
        super().__init__(**options)
        self._account = account

    async def _get_session(self, proxy_url: None) -> aiohttp.ClientSession:
        if proxy_url not in self._sessions:
            self._sessions[proxy_url] = await self._exit_stack.enter_async_context(
                session(
                    self._account.proxy,
                    connect=self._timeout.sock_connect,
                    idle=self._timeout.sock_read,
                    trust=_trust(self._account.ca) if self._account.verify else False,
                    connector={"limit": self._max_pool_connections, **self._connector_args},
                    skip_auto_headers={"Content-Type"},
                    auto_decompress=False,
                )
            )
        opened: aiohttp.ClientSession = self._sessions[proxy_url]
        return opened


@asynccontextmanager
async def client(account: Account, service: Literal["s3", "sqs"], *, read_timeout: float = 0) -> AsyncIterator[Any]:
    """A client of one service. `read_timeout` (seconds) lengthens the account's for long polls."""
    endpoint = account.endpoint_url
    if service == "sqs":
        endpoint = account.sqs_endpoint_url or endpoint
    style = account.addressing
    if style == "auto" and endpoint:
        style = "path"
    checksums = {} if endpoint is None else dict.fromkeys(
        # Servers that are not AWS answer botocore's own CRC trailers with errors or wrong checksums.
        ("request_checksum_calculation", "response_checksum_validation"), "when_required",
    )  # fmt: skip
    config = AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=account.connect_timeout,
        read_timeout=max(account.read_timeout, read_timeout),
        max_pool_connections=32,
        # Without s3v4, botocore signs links by version 2, which newer regions refuse. Payload signing is off because
        # each body has a Content-MD5, which is signed: a second hash would only cost time.
        signature_version="s3v4" if service == "s3" else None,
        s3={"addressing_style": style, "payload_signing_enabled": False},
        proxies={},
        http_session_cls=partial(_HttpSession, account),
        **checksums,
    )
    with map_errors(f"a client of {service}"):
        manager = _session(account).client(service, endpoint_url=endpoint, verify=account.verify, config=config)
        opened = await manager.__aenter__()
    try:
        address = URL(opened.meta.endpoint_url)
        if address.scheme == "http" and proxy_for(address, account.proxy) is not None:
            # A proxy may wait for the body before it passes a request on, and the body for the answer to Expect.
            opened.meta.events.unregister("before-call.s3", add_expect_header)
        yield opened
    finally:
        await manager.__aexit__(None, None, None)


async def head(s3: Any, bucket: str, key: str, *, version: str | None = None) -> dict[str, Any] | None:
    """The answer to HEAD of an object, or None if there is no such object.

    A HEAD answer carries no reason, so vidd sends a refused one again as a GET of one byte to learn it.
    """
    parameters = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
    doing = f"looking at {object_name(bucket, key)}"
    with map_errors(doing):
        try:
            return dict(await s3.head_object(**parameters))
        except ClientError as error:
            if status_of(error) not in {400, 401, 403, 404}:
                raise
            head_error = error
    with map_errors(doing):
        try:
            answer = await s3.get_object(**parameters, Range="bytes=0-0")
            answer["Body"].close()
        except ClientError as error:
            if code_of(error) in ABSENT:
                return None
            raise
    if status_of(head_error) == 404:
        raise RetryLater(f"The object appeared at {doing}; vidd will look again.")
    raise fault_of(head_error, doing)


def object_name(bucket: str, key: str) -> str:
    """An object's address for a sentence: printable, and no longer than a line."""
    return printable(f"s3://{bucket}/{key}", 160)
