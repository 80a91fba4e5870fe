"""A pCloud account at the double, and a desk to publish from."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from peers.certificates import make_certificate
from peers.pcloud import PCloud

from builders.aws import NOW, Desk, QuickClock, a_job
from vidd.errors import OutcomeUnknown, RetryLater
from vidd.files.tree import tree_artifact
from vidd.integrations.pcloud import publisher as pcloud_publisher
from vidd.integrations.pcloud.account import Account
from vidd.ports import Encoder, Tools

TOKEN = "OAUTHTOKEN4711SECRET"
PASSWORD = "correct horse"


class MovableClock(QuickClock):
    """Stands still until it is moved; sleeping moves it."""

    def __init__(self):
        super().__init__()
        self.at = NOW

    def now(self):
        return self.at

    async def sleep(self, seconds):
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
async def no_line_left():
    """A TLS connection that closes politely, or was cancelled while it came about, would outlive the test's loop."""
    yield
    loop = asyncio.get_running_loop()
    for registered in list(loop._selector.get_map().values()):
        handle = next(handle for handle in registered.data if handle is not None)
        owner = getattr(handle._callback, "__self__", None)
        if isinstance(owner, asyncio.BaseTransport):
            owner.abort()
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def service(certificate):
    service = PCloud()
    with service.serving(certificate):
        service.ca = certificate.file
        yield service


def an_account(service, **changes):
    values = {"region": service.region, "token": TOKEN, "url": service.url, "ca": service.ca, **changes}
    return Account(**values)


def by_password(service, **changes):
    return an_account(service, **{"token": None, "user": "ada@EXAMPLE.org", "password": PASSWORD, **changes})


def tools_of(account, state=Path()):
    return Tools(state, Encoder("ffmpeg"), MovableClock(), {"cloud": account})


def the_tools(state, service, **changes):
    return tools_of(an_account(service, **changes), state)


def a_desk(tmp_path, service, **facts):
    directory = tmp_path / "job"
    directory.mkdir(exist_ok=True)
    job = a_job("pcloud:1", facts={"folder_id": str(service.folder("/results/v1").id), **facts})
    return Desk(job, directory, the_tools(tmp_path, service))


def add_tree(desk, files, role="annotations", path="out"):
    """Files by path become a tree of the desk; those of an earlier one are gone."""
    root = desk.directory / path
    for old in sorted(root.rglob("*"), reverse=True):
        old.unlink() if old.is_file() else old.rmdir()
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    desk.artifacts[role] = tree_artifact(role, desk.directory, path)
    return desk


def the_options(**changes):
    return pcloud_publisher.Options(**{"account": "cloud", "folder": "{{ facts.folder_id }}", **changes})


async def attempt(desk, options, *, begun=True):
    """As the engine does it: whoever began is asked first, and what nobody knows is asked at once."""
    if begun and desk.token:
        found = await pcloud_publisher.reconcile(options, desk.context)
        if found is not None:
            return found
    try:
        return await pcloud_publisher.publish(options, desk.context)
    except OutcomeUnknown as unknown:
        found = await pcloud_publisher.reconcile(options, desk.context)
        if found is None:
            raise RetryLater("it did not arrive") from unknown
        return found
