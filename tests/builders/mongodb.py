"""Databases of a MongoDB, a new one for every test."""

import secrets

import pytest
from peers.mongo import GIVEN, MongoServer
from pymongo import MongoClient

from vidd.integrations.mongodb.account import Account


def an_account(uri, database=None, **changes):
    return Account(uri=uri, database=database or f"vidd-test-{secrets.token_hex(6)}", **changes)


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory):
    """The connection string of a server that all tests share."""
    if GIVEN:
        yield GIVEN
        return
    server = MongoServer(tmp_path_factory.mktemp("mongo") / "data")
    server.start()
    yield server.uri
    server.kill()


@pytest.fixture
def account(mongodb):
    """A database of this test's own."""
    account = an_account(mongodb)
    yield account
    client = MongoClient(mongodb)
    client.drop_database(account.database)
    client.close()


@pytest.fixture
def server(tmp_path):
    """A server of this test's own, to be killed."""
    server = MongoServer(tmp_path / "data")
    server.start()
    yield server
    # Nobody reads what it has: it need not put it in order first.
    server.kill()
