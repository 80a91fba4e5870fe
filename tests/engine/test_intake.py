import pytest
from builders.engine import HeldClock, arrival

from vidd.engine.intake import Intake
from vidd.errors import Refused
from vidd.queues.local import LocalQueue
from vidd.stores.memory import MemoryStore


@pytest.mark.parametrize(
    ("facts", "talk"),
    [({}, "t1"), ({"talk": "t2"}, "t2"), ({"talk": None}, None), ({"talk": ""}, None)],
    ids=["by its name", "by its source", "no talk's, as its source knows", "no talk's"],
)
async def test_a_job_belongs_to_the_talk_that_its_source_or_else_its_name_says(facts, talk):
    intake = Intake(MemoryStore(), LocalQueue(), {"talks": {}}, HeldClock(), lambda _event: None)
    (job,) = await intake.admit("in", "talks", [arrival("Main_t1_000000_000100.mp4", facts=facts)])
    assert job.talk == talk


async def test_a_source_without_a_pipeline_is_told_what_to_set():
    intake = Intake(MemoryStore(), LocalQueue(), {"talks": {}}, HeldClock(), lambda _event: None)
    with pytest.raises(Refused) as refusal:
        await intake.admit("in", None, [arrival("x.mp4")])
    assert refusal.value.sentence == (
        "The source in has no pipeline for this: set pipeline of [sources.in]; the settings have: talks."
    )
