"""Settings that name the database and the bucket of data sets, and the connection to both."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from vidd.errors import FaultCode, Refused
from vidd.integrations.aws import account as aws_account
from vidd.integrations.aws import errors as aws_errors
from vidd.integrations.aws.s3_uri import key_of, web_address
from vidd.integrations.datasets.documents import Documents
from vidd.integrations.mongodb import account as mongodb_account
from vidd.settings.marks import AccountOf
from vidd.settings.types import Options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from vidd.ports import Tools


class Location(Options):
    """The settings that the step and the publisher of a data set share."""

    database: Annotated[str, AccountOf("mongodb")] = Field(description="The MongoDB account with the documents.")
    account: Annotated[str, AccountOf("s3")] = Field(
        description="The S3 account with the frames' images, and for the data sets."
    )
    bucket: str | None = Field(None, min_length=1, description="The bucket; without it, the account's.")
    addresses: Literal["keys", "web"] = Field(
        "keys",
        description="What frames say of their images and thumbnails: keys of the bucket, which the back end signs, or web"
        " addresses.",
    )


@dataclass(frozen=True)
class Connection:
    """The documents and the bucket, open."""

    documents: Documents
    s3: Any
    bucket: str
    sleep: Callable[[float], Awaitable[None]]


@asynccontextmanager
async def connect(options: Location, tools: Tools) -> AsyncIterator[Connection]:
    """Open both. Refused where there is no such account, or no bucket is named."""
    store = tools.account(options.account, aws_account.Account)
    account = tools.account(options.database, mongodb_account.Account)
    bucket = options.bucket or store.bucket
    if bucket is None:
        raise Refused(
            "No bucket is named: set bucket of the step and the publisher, or of their account.",
            code=FaultCode.BAD_SETTINGS,
        )
    async with mongodb_account.database(account, options.database) as db, aws_account.client(store, "s3") as s3:
        name_of = partial(web_address, store, bucket) if options.addresses == "web" else str
        documents = Documents(db, options.database, partial(key_of, store, bucket), name_of)
        yield Connection(documents, s3, bucket, tools.clock.sleep)


async def check_connection(options: Location, tools: Tools) -> str:
    """Ask for the documents and the bucket; a sentence that says what was found."""
    async with connect(options, tools) as connection:
        with aws_errors.map_errors(f"looking at the bucket {connection.bucket}"):
            await connection.s3.list_objects_v2(Bucket=connection.bucket, MaxKeys=1)
        waiting = len(await connection.documents.pending())
        return f"The documents and the bucket {connection.bucket} can be read: {waiting} data sets are pending."
