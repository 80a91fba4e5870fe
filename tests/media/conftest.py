import pytest

from vidd.ffmpeg.probe import close_probers


@pytest.fixture(autouse=True)
async def prober_ended():
    yield
    await close_probers()
