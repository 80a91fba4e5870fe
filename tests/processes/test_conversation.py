"""A child that answers one line of JSON with one line of JSON."""

import asyncio
import sys

import pytest

from vidd.processes.conversation import JsonLinesProcess, Lost

CHILD = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("die"):
        sys.stdout.write("{" + "x" * asked["die"])
        sys.stdout.flush()
        sys.exit(3)
    sys.stdout.write(json.dumps({"long": "y" * asked["size"]}) + "\\n")
    sys.stdout.flush()
"""


@pytest.fixture
async def dialogue():
    one = JsonLinesProcess([sys.executable, "-c", CHILD])
    yield one
    await one.close()


@pytest.mark.parametrize("size", [0, 65_000, 65_526, 65_536, 131_072, 3_000_000])
async def test_an_answer_may_be_of_any_length(dialogue, size):
    async with asyncio.timeout(20):
        assert len((await dialogue.ask({"size": size}, 10))["long"]) == size
        assert (await dialogue.ask({"size": 1}, 10))["long"] == "y"


async def test_a_child_that_dies_in_the_middle_of_a_long_answer_is_lost_and_the_next_one_answers(dialogue):
    async with asyncio.timeout(20):
        with pytest.raises(Lost, match="exit code 3"):
            await dialogue.ask({"die": 200_000}, 10)
        assert (await dialogue.ask({"size": 2}, 10))["long"] == "yy"
