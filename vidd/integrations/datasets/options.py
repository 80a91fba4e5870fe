"""Where a data set's documents and objects are, as settings; and both sides, opened."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.errors import Refused
from vidd.integrations.aws import account as aws_account
from vidd.integrations.aws import errors as aws_errors
from vidd.integrations.aws.s3_uri import key_of
from vidd.integrations.datasets.documents import Documents
from vidd.integrations.mongodb import account as mongodb_account
from vidd.settings.types import Options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from vidd.ports import Tools


class Place(Options):
    """What the step and the publisher of a data set both need to know."""

    database: str = Field(description="The MongoDB account with the documents.")
    account: str = Field(description="The S3 account with the pictures, and for the data sets.")
    bucket: str | None = Field(None, min_length=1, description="The bucket; without it, the account's.")


@dataclass(frozen=True)
class Open:
    """Both sides, with what is needed to ask them."""

    documents: Documents
    s3: Any
    bucket: str
    sleep: Callable[[float], Awaitable[None]]


@asynccontextmanager
async def opened(options: Place, tools: Tools) -> AsyncIterator[Open]:
    """Refused where there is no such account, or no bucket is named."""
    store = tools.account(options.account, aws_account.Account)
    account = tools.account(options.database, mongodb_account.Account)
    bucket = options.bucket or store.bucket
    if bucket is None:
        raise Refused("No bucket is named: set bucket of the step and the publisher, or of their account.")
    async with mongodb_account.database(account, options.database) as db, aws_account.client(store, "s3") as s3:
        yield Open(Documents(db, options.database, partial(key_of, store, bucket)), s3, bucket, tools.clock.sleep)


async def asked(options: Place, tools: Tools) -> str:
    """Ask for the documents and the bucket; a sentence of what was found."""
    async with opened(options, tools) as here:
        with aws_errors.map_errors(f"looking at the bucket {here.bucket}"):
            await here.s3.list_objects_v2(Bucket=here.bucket, MaxKeys=1)
        waiting = len(await here.documents.pending())
        return f"The documents and the bucket {here.bucket} can be read: {waiting} data sets are pending."
