import pytest

from vidd.media.probe.client import close_probers


@pytest.fixture(autouse=True)
async def prober_ended():
    yield
    await close_probers()
