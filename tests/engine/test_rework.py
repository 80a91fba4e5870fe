"""A job that is out is made anew from one of its steps, and what is out follows; or the results of before come back."""

import asyncio
import shutil
from dataclasses import dataclass, field, replace

import pytest
from builders.engine import START, Engine, FakePublisher, FakeStep

from vidd.engine.kept_results import Edition, KeptResults, compare_results
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.files.tree import list_files, tree_artifact
from vidd.model.job import IllegalMove, State
from vidd.model.media import Artifact, Outcome, StepRecord
from vidd.model.publication import PublicationState, Receipt
from vidd.model.rework import is_of_edition
from vidd.stores.memory import MemoryStore

DAY = 86400.0


@dataclass
class Analysis(FakeStep):
    """Makes a tree of the files it is told to; what lies in `work` beside it is its own."""

    files: dict[str, str] = field(default_factory=dict)
    found: list[list[str]] = field(default_factory=list)

    async def run(self, context):
        self.runs += 1
        self.found.append(
            sorted(path.relative_to(context.directory).as_posix() for path in context.directory.rglob("*.*"))
        )
        result = self.results.pop(0) if self.results else None
        (context.directory / "work").mkdir(exist_ok=True)
        (context.directory / "work" / f"{self.runs}.tmp").write_text("x")
        if isinstance(result, BaseException):
            raise result
        if result is not None:
            await result(context)
        for name in (
            [leaf.path for leaf in list_files(context.directory / "out")]
            if (context.directory / "out").exists()
            else []
        ):
            (context.directory / "out" / name).unlink()
        for name, text in self.files.items():
            path = context.directory / "out" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Outcome((tree_artifact("results", context.directory, "out"),), {"runs": self.runs})


@dataclass
class Far(FakePublisher):
    """Holds the files of a tree, by name; `moved` are the names that a change sent or dropped."""

    there: dict[str, str] = field(default_factory=dict)
    moved: list[list[str]] = field(default_factory=list)
    gone: dict[str, list[str]] = field(default_factory=dict)

    async def publish(self, context):
        await super().publish(context)
        return self.mirror(context)

    def mirror(self, context):
        root = context.directory / context.artifacts["results"].path
        files = {leaf.path: (root / leaf.path).read_text() for leaf in list_files(root)}
        self.moved.append(
            sorted(name for name in files.keys() | self.there.keys() if files.get(name) != self.there.get(name))
        )
        self.there = files
        return Receipt(f"far://{self.name}", {"files": len(files)})

    async def replace_files(self, context):
        if self.faults:
            raise self.faults.pop(0)
        self.gone = context.gone
        return self.mirror(context)

    def planned(self):
        return replace(super().planned(), replace_files=self.replace_files)


class Fetch(FakeStep):
    async def run(self, context):
        self.runs += 1
        (context.directory / "source.mp4").write_bytes(b"x" * 10)
        return Outcome((Artifact("source", "source.mp4", 10),))


class Lab:
    """An engine whose plan follows the settings of the job as the real one does."""

    def __init__(self, root, *, keep=30 * DAY, store=None, **more):
        self.fetch, self.split = Fetch("fetch"), FakeStep("split")
        self.analysis = Analysis("analyse", files={"a.json": "1", "b/c.json": "2", "d.json": "3"})
        self.far, self.mail = Far("far"), FakePublisher("mail", is_email=True)
        self.steps = [self.fetch, self.split, self.analysis]
        self.engine = Engine(root, steps=self.steps, publishers=[self.far], notices=[self.mail], store=store, **more)
        plan = replace(self.engine.plan, keep=keep)
        rows = [{"name": step.name, "kind": step.name, "options": {}} for step in self.steps]
        self.engine.intake.pipelines["talks"] |= {"steps": rows, "publish": []}

        def resolve(settings):
            steps = [
                replace(step, fingerprint=str(row)) for step, row in zip(plan.steps, settings["steps"], strict=True)
            ]
            return replace(plan, steps=steps)

        self.engine.context.resolve = resolve

    async def __aenter__(self):
        await self.engine.__aenter__()
        return self

    async def __aexit__(self, *words):
        await self.engine.__aexit__(*words)

    async def published(self):
        return await self.until((await self.engine.one()).id, State.PUBLISHED)

    async def until(self, job_id, state, times=1):
        job = await self.engine.until(job_id, state, times)
        await self.engine.until_idle()
        return job

    async def rework(self, job, step="analyse"):
        edition = job.facts.get("rework", {}).get("edition", 1) + 1
        rows = [row | ({"rework": edition} if row["name"] == step else {}) for row in job.settings["steps"]]
        return await self.engine.commands.rework(job, {**job.settings, "steps": rows}, step, {"extra": ["--more"]})

    @property
    def runs(self):
        return [step.runs for step in self.steps]


async def test_a_rework_runs_from_its_step_and_replaces_exactly_what_changed(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()
        assert (lab.runs, list((tmp_path / "jobs").iterdir())) == ([1, 1, 1], [])
        lab.analysis.files = {"a.json": "1", "b/c.json": "other", "e.json": "new"}
        await lab.rework(job)
        again = await lab.until(job.id, State.PUBLISHED, 2)
        # The recording is fetched once more; what was made of it and comes before the rework is not.
        assert lab.runs == [2, 1, 2]
        assert lab.far.there == lab.analysis.files
        assert lab.far.moved[1] == ["b/c.json", "d.json", "e.json"]
        assert lab.far.gone == {"results": ["d.json"]}
        compared = again.facts["rework"]["compared"]
        assert {what: compared[what] for what in ("added", "changed", "removed", "unchanged")} == {
            "added": 1, "changed": 1, "removed": 1, "unchanged": 1 + 1,
        }  # fmt: skip
        assert compared["files"] == {"added": ["out/e.json"], "changed": ["out/b/c.json"], "removed": ["out/d.json"]}
        assert (again.facts["rework"]["edition"], again.facts["rework"]["extra"]) == (2, ["--more"])


async def test_whoever_was_told_is_told_once_more_and_only_once(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()
        await lab.rework(job)
        again = await lab.until(job.id, State.PUBLISHED, 2)
        assert lab.mail.arrived == [job.id] * 2
        with pytest.raises(IllegalMove, match="nothing to retry"):
            await lab.engine.commands.retry(again)
        [_, mail] = await lab.engine.store.publications(job.id)
        assert mail.edition == 2


async def test_a_mail_of_the_rework_whose_fate_nobody_knows_is_not_sent_again(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()
        lab.mail.results.append(OutcomeUnknown("Broken."))
        lab.mail.answers += [OutcomeUnknown("Silence."), OutcomeUnknown("Silence.")]
        await lab.rework(job)
        again = await lab.until(job.id, State.PUBLISHED, 2)
        await lab.engine.commands.retry(again)
        await lab.until(job.id, State.PUBLISHED, 3)
        assert lab.mail.arrived == [job.id]
        [_, mail] = await lab.engine.store.publications(job.id)
        assert (mail.state, mail.edition) == (PublicationState.UNSURE, 2)


async def test_a_mail_that_was_asked_for_once_more_is_not_sent_again_where_nobody_knows_its_fate(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()
        await lab.rework(job)
        job = await lab.until(job.id, State.PUBLISHED, 2)
        lab.mail.results.append(OutcomeUnknown("Broken."))
        lab.mail.answers += [OutcomeUnknown("Silence."), OutcomeUnknown("Silence.")]
        await lab.engine.commands.resend(job)
        job = await lab.until(job.id, State.PUBLISHED, 3)
        await lab.engine.runner.requeue(job, "Its row changed.")
        await lab.until(job.id, State.PUBLISHED, 4)
        assert lab.mail.arrived == [job.id] * 2
        [_, mail] = await lab.engine.store.publications(job.id)
        assert (mail.state, mail.edition) == (PublicationState.UNSURE, 3)


async def test_undo_brings_back_what_was_out_and_a_second_one_what_was_undone(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()
        first, second = dict(lab.analysis.files), {"a.json": "other"}
        lab.analysis.files = second
        await lab.rework(job)
        job = await lab.until(job.id, State.PUBLISHED, 2)
        undone = await lab.engine.commands.undo(job)
        assert "rework" not in undone.settings["steps"][2]
        job = await lab.until(job.id, State.PUBLISHED, 3)
        assert (lab.far.there, lab.runs) == (first, [2, 1, 2])
        # Held against what was out until then.
        compared = job.facts["rework"]["compared"]
        assert [compared[what] for what in ("added", "changed", "removed", "unchanged")] == [2, 1, 0, 1]
        assert lab.far.gone == {"results": []}
        await lab.engine.commands.undo(job)
        await lab.until(job.id, State.PUBLISHED, 4)
        assert (lab.far.there, lab.runs) == (second, [2, 1, 2])
        assert lab.mail.arrived == [job.id] * 4


async def test_a_rework_that_fails_leaves_what_is_out_and_can_be_undone_or_asked_for_again(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()
        first = dict(lab.analysis.files)
        lab.analysis.results = [Refused("No such flag.")]
        lab.analysis.files = {"a.json": "other"}
        await lab.rework(job)
        job = await lab.until(job.id, State.REFUSED)
        assert lab.far.there == first
        assert lab.mail.arrived == [job.id]
        await lab.rework(job)
        job = await lab.until(job.id, State.PUBLISHED, 2)
        assert (lab.far.there, job.facts["rework"]["edition"]) == ({"a.json": "other"}, 3)
        lab.analysis.results = [Refused("No such flag.")]
        await lab.rework(job)
        job = await lab.until(job.id, State.REFUSED, 2)
        await lab.engine.commands.undo(job)
        await lab.until(job.id, State.PUBLISHED, 3)
        assert lab.far.there == {"a.json": "other"}


async def test_what_a_rework_put_out_before_it_failed_is_known_to_the_one_after_it(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()
        lab.analysis.files = {"a.json": "1", "new.json": "2"}
        lab.far.faults.append(Refused("Half of it went out."))
        await lab.rework(job)
        job = await lab.until(job.id, State.REFUSED)
        await lab.engine.commands.undo(job)
        await lab.until(job.id, State.PUBLISHED, 2)
        assert lab.far.gone == {"results": ["new.json"]}


async def test_each_attempt_of_a_rework_begins_with_what_was_kept(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()
        lab.analysis.results = [RetryLater("The GPU is busy.")]
        await lab.rework(job)
        await lab.until(job.id, State.WAITING)
        (tmp_path / "jobs" / job.id / "out" / "a.json").write_text("half done")
        lab.engine.clock.forward(100)
        await lab.until(job.id, State.PUBLISHED, 2)
        kept = ["out/a.json", "out/b/c.json", "out/d.json", "source.mp4", "split.bin", "work/1.tmp"]
        assert lab.analysis.found == [["source.mp4", "split.bin"], kept, kept]


async def test_a_rework_whose_files_were_swept_away_begins_with_what_was_kept_once_more(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()
        lab.far.faults.append(Refused("Not now."))
        await lab.rework(job)
        job = await lab.until(job.id, State.REFUSED)
        await lab.engine.context.workspace.remove(job.id)
        await lab.engine.commands.retry(job)
        await lab.until(job.id, State.PUBLISHED, 2)
        assert "work/1.tmp" in lab.analysis.found[2]
        assert lab.runs == [3, 1, 3]


async def test_an_undo_whose_kept_results_are_gone_says_so(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()
        await lab.rework(job)
        job = await lab.until(job.id, State.PUBLISHED, 2)
        await lab.engine.runner.pause()
        await lab.engine.commands.undo(job)
        shutil.rmtree(tmp_path / "kept" / job.id / "1")
        await lab.engine.runner.resume()
        job = await lab.until(job.id, State.REFUSED)
        assert "kept results are gone" in job.reason


async def test_what_is_kept_is_not_touched_by_a_program_that_works_on_it(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()

        async def append(context):
            with (context.directory / "work" / "1.tmp").open("a") as file:
                file.write("more")

        lab.analysis.results = [append]
        await lab.rework(job)
        await lab.until(job.id, State.PUBLISHED, 2)
        kept = tmp_path / "kept" / job.id
        assert [(kept / str(n) / "files/work/1.tmp").read_text() for n in (1, 2)] == ["x", "xmore"]
        assert not (kept / "1/files/source.mp4").exists()


async def test_without_kept_results_all_steps_run_and_nothing_can_be_undone(tmp_path):
    async with Lab(tmp_path, keep=None) as lab:
        job = await lab.published()
        lab.analysis.files = {"a.json": "other"}
        await lab.rework(job)
        job = await lab.until(job.id, State.PUBLISHED, 2)
        assert (lab.runs, lab.far.there) == ([2, 2, 2], {"a.json": "other"})
        with pytest.raises(Refused, match="No earlier results of the job"):
            await lab.engine.commands.undo(job)


async def test_what_was_kept_long_enough_goes_but_not_under_a_job_that_works_on_it(tmp_path):
    async with Lab(tmp_path, keep=DAY) as lab:
        job = await lab.published()
        kept = KeptResults(tmp_path / "kept")
        now = lab.engine.clock.now()
        assert [one.number for one in kept.editions(job.id)] == [1]
        lab.engine.clock.forward(DAY + 1)
        kept.sweep(lab.engine.clock.now(), alive=[job.id])
        assert [one.number for one in kept.editions(job.id)] == [1]
        kept.sweep(now, alive=[])
        assert [one.number for one in kept.editions(job.id)] == [1]
        kept.sweep(lab.engine.clock.now(), alive=[])
        assert kept.editions(job.id) == []
        with pytest.raises(Refused, match="the time it names has passed"):
            await lab.engine.commands.undo(job)


async def test_only_what_is_published_or_refused_can_be_reworked(tmp_path):
    async with Lab(tmp_path) as lab:
        lab.analysis.results = [RetryLater("Busy.")]
        job = await lab.until((await lab.engine.one()).id, State.WAITING)
        with pytest.raises(IllegalMove, match="is waiting: only what is published, or was refused"):
            await lab.rework(job)


async def test_a_change_that_the_other_side_does_not_take_is_told_as_a_failure_and_made_later(tmp_path):
    told = FakePublisher("told")
    async with Lab(tmp_path, failures=[told]) as lab:
        job = await lab.published()
        first = dict(lab.analysis.files)
        lab.analysis.files = {"a.json": "other"}
        lab.far.faults.append(Refused("The folder is read-only."))
        await lab.rework(job)
        job = await lab.until(job.id, State.REFUSED)
        assert job.reason == "far: The folder is read-only."
        assert (lab.far.there, lab.mail.arrived, told.arrived) == (first, [job.id], [job.id])
        await lab.engine.commands.retry(job)
        await lab.until(job.id, State.PUBLISHED, 2)
        assert (lab.far.there, lab.mail.arrived) == ({"a.json": "other"}, [job.id] * 2)


async def test_what_cannot_be_replaced_is_named(tmp_path):
    async with Lab(tmp_path) as lab:
        plan = lab.engine.context.resolve
        lab.engine.context.resolve = lambda settings: replace(
            plan(settings), publishers=[replace(one, replace_files=None) for one in plan(settings).publishers]
        )
        job = await lab.published()
        assert job.reason is None
        lab.analysis.files = {"a.json": "other"}
        await lab.rework(job)
        job = await lab.until(job.id, State.PUBLISHED, 2)
        assert job.reason == "Published, but not changed: far: it cannot replace what is out."


async def test_only_what_is_published_may_change_and_then_no_step_runs(tmp_path):
    async with Lab(tmp_path) as lab:
        job = await lab.published()
        await lab.engine.commands.rework(job, job.settings, None, {"set": {"far.delete": True}})
        await lab.until(job.id, State.PUBLISHED, 2)
        assert (lab.runs, lab.far.moved) == ([1, 1, 1], [["a.json", "b/c.json", "d.json"], []])


async def test_a_daemon_that_dies_in_a_rework_goes_on_with_it(tmp_path):
    store = MemoryStore()
    reached = asyncio.Event()

    async def die(_context):
        reached.set()
        await asyncio.Event().wait()

    async with Lab(tmp_path, store=store) as lab:
        job = await lab.published()
        lab.analysis.results = [die]
        await lab.rework(job)
        async with asyncio.timeout(60):
            await reached.wait()
        far = lab.far
    async with Lab(tmp_path, store=store) as lab:
        lab.far.there, lab.far.arrived = far.there, far.arrived
        lab.analysis.files = {"a.json": "other"}
        job = await lab.until(job.id, State.PUBLISHED)
        assert (lab.runs, lab.far.there) == ([0, 0, 1], {"a.json": "other"})
        assert job.facts["rework"]["compared"]["removed"] == 2


async def test_a_review_is_asked_for_once_more(tmp_path):
    async with Lab(tmp_path, review=True) as lab:
        job = await lab.until((await lab.engine.one()).id, State.HELD)
        await lab.engine.commands.approve(job)
        job = await lab.until(job.id, State.PUBLISHED)
        await lab.rework(job)
        await lab.until(job.id, State.HELD, 2)


@pytest.mark.parametrize(
    ("revision", "edition", "same"),
    [
        (None, 1, True),
        ("abc", 1, True),
        ("abc+2", 2, True),
        ("+2", 2, True),
        ("abc", 2, False),
        (None, 2, False),
        ("+2", 3, False),
    ],
)
def test_a_revision_says_of_which_edition_the_files_are(revision, edition, same):
    assert is_of_edition(revision, edition) is same


def test_files_that_are_copies_of_other_results_are_not_counted_as_changed(tmp_path):
    for edition, words in (("old", "a"), ("new", "b")):
        for name in ("annotations", "analysis"):
            (tmp_path / edition / name).mkdir(parents=True)
            (tmp_path / edition / name / "poses.json").write_text(words)
    trees = {
        "annotations": tree_artifact("annotations", tmp_path / "new", "annotations"),
        "analysis": tree_artifact("analysis", tmp_path / "new", "analysis", {"copy": True}),
    }
    record = StepRecord("job-1", "results", "results", "1", Outcome(tuple(trees.values())), 1.0)
    old = Edition(1, tmp_path / "old", START, {}, [record])
    assert compare_results(old, tmp_path / "new", trees)["files"] == {
        "added": [], "changed": ["annotations/poses.json"], "removed": [],
    }  # fmt: skip
