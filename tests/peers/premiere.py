"""PREMIERE's pipeline as etc/examples/cms.toml has it, with its programs' stand-ins at a daemon's place."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from peers.daemon import Place, Running, until

EXAMPLE = Path(__file__).parents[2] / "etc/examples/cms.toml"


def text_of(begin: str, end: str | None = None) -> str:
    """The example from this text on, to that one."""
    text = EXAMPLE.read_text()
    return text[text.index(begin) : text.index(end) if end else None]


def chain_of(place: Place) -> str:
    """The steps as they stand, but for where the programs are and who starts them."""
    steps, conda = re.subn(r'prefix = \["conda".*\]\n', "", text_of("[pipelines.cms]", "[[pipelines.cms.publish]]"))
    assert conda == 4
    steps = steps.replace('"python"', f'"{sys.executable}"')
    return steps.replace('"/opt/premiere/PREMIERETOOLV2"', f'"{place.root}/site/tools"')


def published(daemon: Running, times: int) -> dict:
    """The job once it is published for the so-manieth time."""

    def look():
        jobs = daemon.jobs()
        found = daemon.ask(f"/api/jobs/{jobs[0]['id']}")[1] if jobs else {"history": ()}
        assert "refused" not in [entry["state"] for entry in found["history"]], found["reason"]
        return found if sum(entry["state"] == "published" for entry in found["history"]) == times else None

    return until(look, f"it is published {times} times")
