import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from unittest.mock import patch

import dns.exception
import pytest
from builders.mongodb import account, an_account, mongodb, server
from motor.motor_asyncio import AsyncIOMotorClient
from peers.certificates import make_certificate
from peers.mongo import MongoServer
from pydantic import ValidationError
from pymongo import InsertOne
from pymongo.errors import BulkWriteError, ConfigurationError

from vidd.errors import Refused, RetryLater
from vidd.integrations.mongodb import account as account_module
from vidd.integrations.mongodb.account import Account, database
from vidd.integrations.mongodb.errors import duplicate_positions, fault_of, map_errors
from vidd.pipelines.validation import make_ready
from vidd.ports import Conflict
from vidd.settings.schema import read_settings

pytestmark = pytest.mark.peer

__all__ = ["account", "mongodb", "server"]
SECRET = "pa%40ss-of-mongo"


async def say_hello(account, name="lab"):
    async with database(account, name) as db:
        with map_errors("greeting", name):
            await db.greetings.insert_one({"_id": "hello"})
            return await db.greetings.find_one({"_id": "hello"})


async def test_what_was_written_is_read(account):
    assert await say_hello(account) == {"_id": "hello"}


async def test_writes_wait_for_a_majority_and_its_disks(account):
    async with database(account, "lab") as db:
        assert db.write_concern.document == {"w": "majority", "j": True}
        assert db.read_concern.document == {"level": "majority"}


async def test_a_key_that_another_document_has_is_a_conflict(account):
    await say_hello(account)
    with pytest.raises(Conflict):
        await say_hello(account)


async def test_of_many_at_once_those_are_told_whose_key_was_there(account):
    async with database(account, "lab") as db:
        await db.greetings.insert_one({"_id": 1})
        with pytest.raises(BulkWriteError) as caught:
            await db.greetings.bulk_write([InsertOne({"_id": number}) for number in (0, 1, 2)], ordered=False)
        assert duplicate_positions(caught.value) == {1}
        assert await db.greetings.count_documents({}) == 3


async def test_a_server_that_is_not_there_is_waited_for_no_longer_than_said():
    with pytest.raises(RetryLater, match="cannot be reached"):
        await say_hello(an_account("mongodb://127.0.0.1:1/", timeout=0.3))


async def test_a_server_that_steps_down_is_asked_again(server):
    server.fail(["insert"], {"times": 1}, errorCode=91, errorLabels=["RetryableWriteError"])
    assert await say_hello(an_account(server.uri)) == {"_id": "hello"}


@pytest.mark.parametrize(
    ("code", "says"), [(91, "going down"), (11602, "going down"), (262, "too busy"), (14031, "make room")]
)
async def test_a_server_that_goes_on_failing_is_for_later(server, code, says):
    server.fail(["insert"], "alwaysOn", errorCode=code)
    with pytest.raises(RetryLater, match=says):
        await say_hello(an_account(server.uri, timeout=3))


async def test_a_server_that_is_no_replica_set_is_refused_with_what_to_do(server):
    server.fail(["insert"], "alwaysOn", errorCode=20)
    with pytest.raises(Refused, match="make it a replica set"):
        await say_hello(an_account(server.uri, timeout=1))


async def test_a_server_that_does_not_answer_is_for_later(server):
    server.fail(["insert"], {"times": 1}, blockConnection=True, blockTimeMS=30_000)
    async with asyncio.timeout(60):
        with pytest.raises(RetryLater):
            await say_hello(an_account(server.uri, timeout=1))


async def test_a_login_that_is_not_known_is_refused_without_its_password(tmp_path):
    server = MongoServer(tmp_path / "data")
    server.start()
    with server.client() as client:
        client.admin.command("createUser", "ada", pwd="right", roles=["root"])
    server.stop()
    guarded = MongoServer(tmp_path / "data", "--auth")
    guarded.start()
    try:
        assert await say_hello(an_account(guarded.uri, user="ada", password="right"))
        with pytest.raises(Refused, match="does not accept the login of the account 'lab'") as refused:
            await say_hello(an_account(guarded.uri, user="ada", password="wrong-one"))
        assert "wrong-one" not in str(refused.value)
        with pytest.raises(Refused, match="may not do this"):
            await say_hello(an_account(guarded.uri))
    finally:
        guarded.kill()


async def test_a_certificate_must_be_trusted(tmp_path):
    certificate = make_certificate(tmp_path)
    keys = ("--tls-cert-file", str(certificate.file), "--tls-key-file", str(certificate.key))
    server = MongoServer(tmp_path / "data", *keys)
    server.start(wait=False)
    try:
        assert await say_hello(an_account(server.uri, ca=certificate.file))
        with pytest.raises(Refused, match="certificate is not trusted"):
            await say_hello(an_account(server.uri, tls=True, timeout=2))
        with pytest.raises(RetryLater):
            await say_hello(an_account(server.uri, timeout=1))
    finally:
        server.kill()


async def test_a_file_of_certificates_that_is_none_is_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("none")
    for name in ("ca.pem", "not-there.pem"):
        with pytest.raises(Refused, match=r"correct \[accounts\.lab\]"):
            await say_hello(an_account("mongodb://127.0.0.1:1/", ca=tmp_path / name))


@pytest.mark.parametrize(
    "wrong",
    [
        {"uri": f"mongodb://u:{SECRET}@host:99999/"},
        {"uri": f"mongodb://u:{SECRET}:x@host/"},
        {"uri": f"mongodb://u:{SECRET}@/"},
        {"uri": f"mongodb://u:{SECRET}@host/?tls=perhaps"},
        {"uri": f"http://u:{SECRET}@host/"},
        {"uri": "mongodb://host/", "user": "u"},
        {"uri": "mongodb://host/", "password": SECRET},
        {"uri": "mongodb://host/", "database": "a/b"},
        {"uri": "mongodb://host/", "database": ""},
        {"uri": "mongodb://host/", "tls": False, "ca": "ca.pem"},
        {"uri": "mongodb://host/", "timeout": "0s"},
        {"uri": "mongodb://host/", "tsl": True},
        {},
    ],
)
def test_an_account_that_cannot_work_is_refused_without_its_secret(wrong):
    with pytest.raises(ValidationError) as refused:
        Account(**wrong)
    said = str([error["msg"] for error in refused.value.errors()])
    assert SECRET not in said


def test_the_connection_string_may_be_in_a_file(tmp_path):
    (tmp_path / "secret").write_text(f"mongodb://u:{SECRET}@host/?replicaSet=rs\n")
    (tmp_path / "vidd.toml").write_text(
        f'[daemon]\nstate = "{tmp_path}"\n[accounts.lab]\nkind = "mongodb"\nuri_file = "secret"\nca = "ca.pem"\n'
    )
    account = make_ready(read_settings(tmp_path / "vidd.toml")).accounts["lab"]
    assert account.uri.get_secret_value().endswith("replicaSet=rs")
    assert account.ca == tmp_path / "ca.pem"
    assert SECRET not in repr(account)


def test_an_address_that_cannot_be_looked_up_now_is_for_later():
    error = ConfigurationError("The resolution lifetime expired")
    error.__cause__ = dns.exception.Timeout()
    assert isinstance(fault_of(error, "saving", "lab"), RetryLater)
    assert isinstance(fault_of(ConfigurationError("The DNS query name does not exist"), "saving", "lab"), Refused)


def clients_left_open(meanwhile, before=lambda: None):
    """How many clients stay open after a loop has ended; `before` runs in the thread before one opens."""
    clients = []

    class Client(AsyncIOMotorClient):
        def __init__(self, *values, **options):
            before()
            super().__init__(*values, **options)
            clients.append(self.delegate)

    async def run():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        await meanwhile(loop)

    with patch.object(account_module, "AsyncIOMotorClient", Client):
        asyncio.run(run())
    assert clients
    return sum(not client._closed for client in clients)


async def cancelled(task):
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_a_client_that_opens_while_the_loop_ends_is_closed():
    began, release = [], Event()

    def hold():
        loop, reached = began
        loop.call_soon_threadsafe(reached.set)
        release.wait()

    async def meanwhile(loop):
        began[:] = [loop, asyncio.Event()]

        async def use():
            async with database(Account(uri="mongodb://127.0.0.1:1/"), "base"):
                pass

        async def end_with_the_loop():
            try:
                await asyncio.Event().wait()
            finally:
                loop.call_soon(release.set)

        loop.last = asyncio.create_task(end_with_the_loop())
        task = asyncio.create_task(use())
        await began[1].wait()
        await cancelled(task)

    assert clients_left_open(meanwhile, hold) == 0


def test_a_client_whose_closing_is_cancelled_before_it_begins_is_closed():
    async def meanwhile(loop):
        release, leave = Event(), asyncio.Event()

        async def use():
            async with database(Account(uri="mongodb://127.0.0.1:1/"), "base"):
                loop.run_in_executor(None, release.wait)
                leave.set()

        task = asyncio.create_task(use())
        await leave.wait()
        await asyncio.sleep(0)
        await cancelled(task)
        release.set()

    assert clients_left_open(meanwhile) == 0
