import shutil
import tempfile
from pathlib import Path

import pytest
from builders.scenes import people
from footage.clips import GREY, recording
from peers.daemon import Place


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Four seconds."""
    return recording(tmp_path_factory.mktemp("clip") / "clip.mp4", size="160x90", picture=GREY)


@pytest.fixture(scope="session")
def walk(tmp_path_factory):
    """Three scenes of somebody who walks through rooms."""
    return people(tmp_path_factory.mktemp("walk") / "walk.mp4")


@pytest.fixture
def place():
    """A daemon's place, with a path short enough for a socket; nothing of it runs on when the test is over."""
    root = Path(tempfile.mkdtemp(prefix="vidd-"))
    try:
        place = Place(root)
        yield place
        assert place.alive() == []
    finally:
        shutil.rmtree(root)
