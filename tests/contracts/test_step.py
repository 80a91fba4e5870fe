"""What every step promises: cut off at any moment and run again, it gives what an undisturbed run gives."""

import asyncio
import hashlib
import time
from dataclasses import asdict

import pytest
from builders.mongodb import account, mongodb
from contracts.step_cases import CASES
from peers.servers import ministack

from vidd.pipelines.registry import STEPS, model_of, step_entry, step_module
from vidd.ports.kinds import RevalidatesOutcome

pytestmark = pytest.mark.media

__all__ = ["account", "mongodb"]
DEADLINE = 120.0


@pytest.fixture(scope="module")
def aws():
    with ministack() as url:
        yield url


@pytest.fixture(params=CASES)
async def case(request, tmp_path):
    async with CASES[request.param](request, tmp_path) as case:
        yield case


def run(case, context):
    options = model_of("steps", case.kind).model_validate(case.options)
    return step_module(case.kind).run(options, context)


def is_valid(case, context, outcome):
    module = step_module(case.kind)
    options = model_of("steps", case.kind).model_validate(case.options)
    return not isinstance(module, RevalidatesOutcome) or module.is_still_valid(options, context, outcome)


def described(outcome, directory):
    """All that an outcome says, and the bytes of its files."""
    files = {}
    for artifact in outcome.artifacts:
        root = directory / artifact.path
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                files[path.relative_to(directory).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    artifacts = [asdict(artifact) for artifact in outcome.artifacts]
    return {"facts": without(outcome.facts), "artifacts": without(artifacts), "files": files}


OF_THE_RUN = {"id", "cpu", "seconds", "directory", "log", "pruned"}
"""What tells one run from another: the id of a check, what it cost, where it was, and what it need not decode."""


def without(value):
    """The same, without what is of the run."""
    if isinstance(value, dict):
        return {name: without(inner) for name, inner in value.items() if name not in OF_THE_RUN}
    return [without(inner) for inner in value] if isinstance(value, list | tuple) else value


def names(directory):
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def test_every_kind_of_step_has_a_case():
    assert {name.partition(" ")[0] for name in CASES} == set(STEPS)


async def test_one_that_is_cut_off_and_run_again_gives_the_same_outcome(case, tmp_path):
    undisturbed = case.context(tmp_path / "undisturbed")
    begun = time.monotonic()
    async with asyncio.timeout(DEADLINE):
        expected = await run(case, undisturbed)
    seconds = time.monotonic() - begun
    assert is_valid(case, undisturbed, expected)
    facts = step_entry(case.kind).facts
    own = {undisturbed.step} if step_entry(case.kind).own_fact else set()
    assert facts is not None
    assert set(expected.facts) <= facts | own
    wanted = described(expected, undisturbed.directory)
    disturbed = case.context(tmp_path / "disturbed")
    for share in (0.2, 0.5, 0.8):
        attempt = asyncio.create_task(run(case, disturbed))
        await asyncio.wait({attempt}, timeout=share * seconds)
        attempt.cancel()
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait({attempt})
        assert attempt.cancelled() or attempt.exception() is None
    async with asyncio.timeout(DEADLINE):
        outcome = await run(case, disturbed)
    assert described(outcome, disturbed.directory) == wanted
    assert names(disturbed.directory) == names(undisturbed.directory)
    assert is_valid(case, disturbed, outcome)
    for context in (undisturbed, disturbed):
        await context.tools.shared.close()
