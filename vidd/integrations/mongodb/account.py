"""A MongoDB account, and its database through a client.

Only this module imports motor, which is at the end of its life, so that PyMongo's async client can take its place. Writes
are acknowledged by a majority and its disks; reads see only what no failover can take back.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pydantic import Field, SecretStr, field_validator, model_validator
from pymongo import ReadPreference, WriteConcern, timeout
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri

from vidd.display_text import printable
from vidd.integrations.mongodb.errors import bad_account, map_errors
from vidd.settings.types import Duration, Options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Document: TypeAlias = dict[str, Any]
Client: TypeAlias = AsyncIOMotorClient[Document]
Database: TypeAlias = AsyncIOMotorDatabase[Document]
Collection: TypeAlias = AsyncIOMotorCollection[Document]

SINGLE_SERVER = (
    "MongoDB is a single server and no replica set: it has no transactions, and no second copy of what was written."
)
"""A note of checks."""
_SCHEMES = ("mongodb://", "mongodb+srv://")


class Account(Options):
    """A MongoDB deployment and one database in it."""

    kind: Literal["mongodb"] = Field("mongodb", description="The kind of account.")
    uri: SecretStr = Field(
        description="Connection string: mongodb://host1,host2/?replicaSet=rs0, mongodb://host, or mongodb+srv://…."
    )
    database: str = Field("vidd", pattern=r"^[A-Za-z0-9_-]{1,63}$", description="The database.")
    user: str | None = Field(None, min_length=1, description="User, where the connection string has none.")
    password: SecretStr | None = Field(None, description="Password of the user.")
    tls: bool | None = Field(None, description="Use TLS; without this option, as the connection string says.")
    ca: Path | None = Field(None, description="File of certificates to trust in place of the system's; turns tls on.")
    certificate: Path | None = Field(None, description="File of a client certificate with its key; turns tls on.")
    timeout: Duration = Field(
        20.0, gt=0, description="Time limit of a call, which includes finding the primary and repeating the call."
    )

    @field_validator("uri")
    @classmethod
    def _can_be_read(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value().strip()
        if not text.startswith(_SCHEMES):
            raise ValueError("a connection string begins with mongodb:// or mongodb+srv://")
        if text.startswith("mongodb://"):
            # mongodb+srv:// needs the DNS, which is asked when a client is opened.
            try:
                parse_uri(text, warn=False)
            except (PyMongoError, ValueError) as error:
                raise ValueError(_redact(text, str(error))) from None
        return SecretStr(text)

    @model_validator(mode="after")
    def _are_consistent(self) -> Account:
        if (self.user is None) is not (self.password is None):
            raise ValueError("user and password belong together: give both or neither")
        if self.tls is False and (self.ca or self.certificate):
            raise ValueError("ca and certificate need tls: remove tls = false")
        return self


def _redact(uri: str, text: str) -> str:
    """A text of pymongo without the login of the connection string."""
    login = uri.partition("://")[2].rpartition("@")[0]
    for secret in (login, *login.split(":")):
        text = text.replace(secret, "…") if secret else text
    return printable(text, 200)


def _client(account: Account, name: str, loop: asyncio.AbstractEventLoop) -> Client:
    """A client that has not connected yet. Refused where the account's settings are wrong."""
    uri = account.uri.get_secret_value()
    options: dict[str, Any] = {
        "appname": "vidd",
        "tz_aware": True,
        "uuidRepresentation": "standard",
        "timeoutMS": int(account.timeout * 1000),
        "serverSelectionTimeoutMS": int(account.timeout * 1000),
        "connectTimeoutMS": min(10_000, int(account.timeout * 1000)),
    }
    if "heartbeatfrequencyms" not in uri.lower():
        # After a failover the client finds the new primary with its next heartbeat, by default within 10 s.
        options["heartbeatFrequencyMS"] = 2000
    if account.user is not None and account.password is not None:
        options |= {"username": account.user, "password": account.password.get_secret_value()}
    if account.tls is not None or account.ca or account.certificate:
        options["tls"] = account.tls is not False
    if account.ca:
        options["tlsCAFile"] = str(account.ca)
    if account.certificate:
        options["tlsCertificateKeyFile"] = str(account.certificate)
    try:
        with map_errors("opening a client", name):
            return AsyncIOMotorClient(uri, **options, io_loop=loop)
    except (OSError, ValueError) as error:
        # A file of certificates that is missing or broken, or a port that is no number.
        raise bad_account(_redact(uri, str(error)), name) from None


@asynccontextmanager
async def database(account: Account, name: str) -> AsyncIterator[Database]:
    """The account's database, through a client of its own that connects with the first call.

    Every call on it belongs inside `errors.map_errors`.
    """
    # Neither call is a task: the end of asyncio.run cancels every task, and a client would stay open.
    loop = asyncio.get_running_loop()
    opening = loop.run_in_executor(None, _client, account, name, loop)
    try:
        client = await asyncio.shield(opening)
    except asyncio.CancelledError:
        # The thread goes on; nobody else would close what it opens.
        opening.add_done_callback(_close_opened)
        raise
    try:
        yield client.get_database(
            account.database,
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority", j=True),
            read_concern=ReadConcern("majority"),
        )
    finally:
        await asyncio.shield(loop.run_in_executor(None, _close, client))


async def has_transactions(db: Database) -> bool:
    """Whether the deployment is a replica set or a sharded cluster: a single server has no transactions."""
    hello = await db.command("hello")
    return "setName" in hello or hello.get("msg") == "isdbgrid"


def _close_opened(opening: asyncio.Future[Client]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _close(client: Client) -> None:
    # The client tells the server that it leaves, and the server may be away.
    with timeout(1.0):
        client.close()
