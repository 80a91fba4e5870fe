"""Files that a program needs and uses up: what left them runs again, and nothing more, and not for ever."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from builders.engine import Engine, FakeStep, job
from hypothesis import given, settings
from hypothesis import strategies as st

from vidd.engine.context import Draining
from vidd.engine.step_run import run_steps
from vidd.errors import Refused, RetryLater
from vidd.files.tree import describe_tree
from vidd.model.job import State
from vidd.model.media import Outcome
from vidd.model.serialization import outcome_from_json, outcome_to_json
from vidd.programs.job_files import JobFiles, find_files


@dataclass
class Program(FakeStep):
    """Writes the files `makes`, needs and removes those named by `uses`; one of `dies` is raised after so many are removed."""

    makes: dict[str, str] = field(default_factory=dict)
    uses: tuple[str, ...] = ()
    dies: list[tuple[int, BaseException]] = field(default_factory=list)

    async def run(self, context):
        self.runs += 1
        for pattern in self.uses:
            assert self._find(context)[pattern].files, f"{self.name} ran without {pattern}"
        after, death = self.dies.pop(0) if self.dies else (None, None)
        place = context.directory / "out"
        place.mkdir(exist_ok=True)
        for number, path in enumerate(sorted(path for name in self.uses for path in place.glob(name))):
            if number == after:
                raise death
            path.unlink()
        if death is not None:
            raise death
        for name, text in self.makes.items():
            (place / name).write_text(text)
        return Outcome((), {self.name: self.runs})

    def _find(self, context):
        found = find_files([JobFiles(path="out", files=name) for name in self.uses], context.directory, {})
        return {name: describe_tree(files) for name, files in zip(self.uses, found.values(), strict=True)}

    def planned(self):
        return replace(super().planned(), find_needed=self._find if self.uses else None)


POSES = {"a.pose": "1", "b.pose": "22", "c.pose": "333"}
KILLED = RetryLater("It was killed.")


def chain(**arrange):
    return (
        Program("process", makes={"found": "people"}),
        Program("floor", makes=POSES),
        Program("between", makes={"log": "nothing"}),
        Program("arrange", uses=("*.pose",), makes={"poses.json": "{}"}, **arrange),
        Program("mesh", makes={"body": "glb"}),
    )


async def published(engine, pauses):
    job = await engine.one()
    for time in range(1, pauses + 1):
        await engine.until(job.id, State.WAITING, time)
        await engine.until_idle()
        engine.clock.forward(100)
    return await engine.until(job.id, State.PUBLISHED)


async def test_a_program_killed_half_way_through_its_files_has_them_made_again_by_the_step_that_left_them(tmp_path):
    for after in (1, 2, 3):
        steps = chain(dies=[(after, KILLED)])
        (tmp_path / str(after)).mkdir()
        async with Engine(tmp_path / str(after), steps=steps) as engine:
            await published(engine, 1)
        # The step between them used what floor made as well; what came before floor did not run again.
        assert [step.runs for step in steps] == [1, 2, 2, 2, 1]


async def test_a_program_killed_before_it_touched_its_files_runs_again_alone(tmp_path):
    steps = chain(dies=[(0, KILLED)])
    async with Engine(tmp_path, steps=steps) as engine:
        await published(engine, 1)
    assert [step.runs for step in steps] == [1, 1, 1, 2, 1]


async def test_files_that_were_used_up_as_they_should_be_make_nothing_run_again(tmp_path):
    steps = chain()
    steps[-1].dies = [(0, KILLED)]
    async with Engine(tmp_path, steps=steps) as engine:
        await published(engine, 1)
    assert [step.runs for step in steps] == [1, 1, 1, 1, 2]


async def test_a_step_whose_own_files_are_gone_as_well_has_those_made_first(tmp_path):
    steps = (
        Program("process", makes={"found": "people"}),
        Program("floor", uses=("found",), makes=POSES),
        Program("arrange", uses=("*.pose",), makes={"poses.json": "{}"}, dies=[(2, KILLED)]),
    )
    async with Engine(tmp_path, steps=steps) as engine:
        await published(engine, 1)
    assert [step.runs for step in steps] == [2, 2, 2]


async def test_a_program_that_is_killed_each_time_ends_after_the_attempts_there_are(tmp_path):
    steps = chain(dies=[(2, KILLED)] * 9)
    async with Engine(tmp_path, steps=steps) as engine:
        job = await engine.one()
        for time in (1, 2):
            await engine.until(job.id, State.WAITING, time)
            await engine.until_idle()
            engine.clock.forward(100)
        refused = await engine.until(job.id, State.REFUSED)
    assert refused.reason == "Given up after 3 attempts: It was killed."
    assert [step.runs for step in steps] == [1, 3, 3, 3, 0]


async def test_files_that_no_step_leaves_are_refused_at_once_with_what_to_do(tmp_path):
    steps = (Program("floor", makes=POSES), Program("arrange", uses=("*.poses",)))
    async with Engine(tmp_path, steps=steps) as engine:
        job = await engine.one()
        refused = await engine.until(job.id, State.REFUSED)
    assert refused.reason == (
        "The step 'arrange' needs '*.poses', which no step before it left: see their log (vidd log), or correct `needs`"
        " of the step, then retry."
    )
    assert [step.runs for step in steps] == [1, 0]


async def test_a_step_that_leaves_the_files_once_and_never_again_is_named_and_does_not_run_for_ever(tmp_path):
    floor, arrange = Program("floor", makes=POSES), Program("arrange", uses=("*.pose",), dies=[(3, KILLED)])
    async with Engine(tmp_path, steps=[floor, arrange]) as engine:
        job = await engine.one()
        await engine.until(job.id, State.WAITING)
        await engine.until_idle()
        floor.makes = {}
        engine.clock.forward(100)
        refused = await engine.until(job.id, State.REFUSED)
    assert "although the step 'floor', which leaves it, ran just now" in refused.reason
    assert (floor.runs, arrange.runs) == (2, 1)


@settings(max_examples=30, deadline=None)
@given(
    deaths=st.lists(st.tuples(st.sampled_from(["floor", "between", "arrange", "mesh"]), st.integers(0, 3)), max_size=6)
)
def test_whichever_programs_are_killed_wherever_the_outcome_is_that_of_a_quiet_run(tmp_path_factory, deaths):
    async def outcome(deaths):
        place = tmp_path_factory.mktemp("chain")
        steps = (
            Program("process", makes={"found": "people"}),
            Program("floor", makes=POSES),
            Program("between", uses=("c.pose",), makes={"c.pose": "4444"}),
            Program("arrange", uses=("*.pose",), makes={"poses.json": "{}", "scene.pkl": "x"}),
            Program("mesh", uses=("scene.pkl",), makes={"body": "glb"}),
        )
        for name, after in deaths:
            next(step for step in steps if step.name == name).dies.append((after, KILLED))
        engine = Engine(place, steps=steps)
        one = job()
        for _ in range(len(deaths) + 1):
            try:
                await run_steps(engine.context, one, engine.plan, None, sent=False)
                break
            except RetryLater:
                continue
        return {path.name: path.read_text() for path in (place / "jobs/job-1/out").iterdir()}

    assert asyncio.run(outcome(deaths)) == {"found": "people", "poses.json": "{}", "body": "glb"}


def test_what_a_step_left_survives_the_journal_and_a_record_of_before_has_none():
    outcome = Outcome((), {"a": 1}, {"arrange": "0123"})
    assert outcome_from_json(outcome_to_json(outcome)) == outcome
    assert outcome_from_json({"facts": {}, "artifacts": []}).left == {}
    assert "left" not in outcome_to_json(Outcome())


async def test_a_draining_daemon_does_not_begin_a_step_again(tmp_path):
    steps = chain(dies=[(2, KILLED)])
    engine = Engine(tmp_path, steps=steps)
    for fault in (RetryLater, Draining):
        try:
            await run_steps(engine.context, job(), engine.plan, None, sent=False)
        except fault:
            engine.context.drains.set()
    assert [step.runs for step in steps] == [1, 1, 1, 1, 0]


async def test_a_name_with_the_signs_of_a_pattern_is_taken_as_it_is(tmp_path):
    (tmp_path / "my [final] *.mp4" / "scene_001").mkdir(parents=True)
    (tmp_path / "my [final] *.mp4" / "scene_001" / "a.pkl").write_bytes(b"12")
    wanted = [JobFiles(path="{{ name }}", files="scene_*/*.pkl"), JobFiles(path="{{ name }}/scene_002")]
    found = find_files(wanted, tmp_path, {"name": "my [final] *.mp4"})
    assert {name: [(leaf.path, leaf.size) for leaf in files] for name, files in found.items()} == {
        "my [final] *.mp4/scene_*/*.pkl": [("my [final] *.mp4/scene_001/a.pkl", 2)],
        "my [final] *.mp4/scene_002": [],
    }
    with pytest.raises(Refused, match="is not below the job's directory"):
        find_files([JobFiles(path="{{ name }}")], tmp_path, {"name": "../elsewhere"})
