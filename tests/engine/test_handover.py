"""A published job's file is kept for the sources that follow its pipeline, before its directory goes; nothing is held up by it."""

import json
from dataclasses import replace

import pytest
from builders.engine import Engine, FakePublisher, FakeStep, talk

from vidd.engine import handover
from vidd.model.handover import RECORD, handovers_of
from vidd.model.job import State


@pytest.fixture
async def engine(tmp_path):
    engine = Engine(
        tmp_path, steps=[FakeStep("talk")], publishers=[FakePublisher("far")], notices=[FakePublisher("mail")]
    )
    engine.context.followers = {"talks": [("captions", "talk")]}
    async with engine:
        yield engine


def kept(engine):
    root = handovers_of(engine.context.tools.state, "captions")
    return sorted(root.iterdir()) if root.exists() else []


async def published(engine, times=1, **changes):
    job = await engine.one(**changes) if times == 1 else (await engine.store.jobs())[0]
    job = await engine.until(job.id, State.PUBLISHED, times)
    await engine.until_idle()
    return job


async def test_the_file_and_a_record_of_where_the_job_went_are_there_once_it_is_published(engine):
    job = await published(engine)
    [directory] = kept(engine)
    assert directory.name.startswith(job.id)
    assert (directory / "talk.bin").read_bytes() == b"x" * 10
    record = json.loads((directory / RECORD).read_text())
    assert (record["job"], record["edition"], record["pipeline"], record["name"]) == (job.id, 1, "talks", job.name)
    assert record["receipts"] == {"far": {"url": f"far://far/{job.id}", "facts": {}}}
    assert record["facts"] == {"talk": 1}
    assert not (engine.context.workspace.root / job.id).exists()


async def test_the_file_is_a_hard_link_where_the_file_system_has_no_clones(engine, monkeypatch):
    monkeypatch.setattr("vidd.files.clone.clone", lambda _source, _target: False)
    seen = []
    keep = handover._keep

    def look(source, target, record):
        keep(source, target, record)
        seen.append(source.stat().st_ino == (target / "talk.bin").stat().st_ino)

    monkeypatch.setattr(handover, "_keep", look)
    await published(engine)
    assert seen == [True]


async def test_a_file_system_without_links_gets_a_copy(engine, monkeypatch):
    monkeypatch.setattr(handover, "clone_or_link", lambda _source, _target: False)
    await published(engine)
    [directory] = kept(engine)
    assert (directory / "talk.bin").read_bytes() == b"x" * 10


async def test_a_pipeline_that_nobody_follows_leaves_nothing(engine):
    engine.context.followers = {"other": [("captions", "talk")]}
    await published(engine)
    assert kept(engine) == []


async def test_a_role_that_no_step_made_is_said_and_the_job_is_published(engine):
    engine.context.followers = {"talks": [("captions", "film")]}
    job = await published(engine)
    assert job.reason == (
        "Published, but not handed over: captions: the steps made no file 'film'; correct file of [sources.captions]."
    )


async def test_a_file_of_which_only_a_part_was_fetched_is_not_handed_over(engine, monkeypatch):
    class Sparse(FakeStep):
        async def run(self, context):
            outcome = await super().run(context)
            return replace(outcome, artifacts=(replace(outcome.artifacts[0], facts={"window": {"start": 0}}),))

    [step] = engine.plan.steps
    monkeypatch.setattr(engine, "plan", replace(engine.plan, steps=[replace(step, run=Sparse("talk").run)]))
    engine.plan = replace(engine.plan, publishers=[])
    job = await published(engine)
    assert "of the 'talk' only a part was fetched; set ranged = false" in job.reason
    assert kept(engine) == []


async def test_a_disk_that_takes_nothing_more_is_said_and_the_job_is_published(engine, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(handover, "_keep", full)
    job = await published(engine)
    assert (
        job.reason == "Published, but not handed over: captions: its file could not be kept (No space left on device)."
    )


async def test_a_notice_that_is_sent_once_more_hands_nothing_over_again(engine):
    job = await published(engine)
    [directory] = kept(engine)
    (directory / "talk.bin").unlink()
    await engine.commands.resend(job, ["mail"])
    await published(engine, times=2)
    assert kept(engine) == [directory]
    assert not (directory / "talk.bin").exists()


async def test_what_a_kill_left_half_done_is_done_anew(engine):
    job = await published(engine)
    [directory] = kept(engine)
    part = directory.with_name(f".{directory.name}.part")
    directory.rename(part)
    (part / RECORD).unlink()
    source = engine.context.workspace.directory(job.id) / "talk.bin"
    source.write_bytes(b"y" * 10)
    handover._keep(source, directory, {"file": "talk.bin"})
    assert (directory / "talk.bin").read_bytes() == b"y" * 10
    assert not part.exists()


async def test_the_record_knows_the_talk_but_no_address_of_anybody(tmp_path):
    engine = Engine(tmp_path, steps=[FakeStep("talk")], publishers=[FakePublisher("far")], programme="programme")
    engine.context.followers = {"talks": [("captions", "talk")]}
    facts = {"columns": {"language": "de", "phone": "1"}, "language": "en", "row": "row 2"}
    row = replace(talk("t1", facts=facts), title="On looms", stage="Main")
    await engine.store.put_talks("programme", [row], engine.clock.now())
    async with engine:
        await published(engine)
    [directory] = kept(engine)
    record = json.loads((directory / RECORD).read_text())
    assert record["talk_id"] == "t1"
    assert record["talk"] == {
        "title": "On looms", "stage": "Main", "speakers": [],
        "facts": {"columns": {"language": "de", "phone": "1"}, "language": "en"},
    }  # fmt: skip
