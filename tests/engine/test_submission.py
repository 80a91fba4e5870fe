"""What becomes of a recording that is submitted again, with the same options or with others."""

import pytest
from builders.engine import Engine, FakePublisher, arrival, talk

from vidd.engine.submission import Submissions
from vidd.errors import Refused
from vidd.model.job import State
from vidd.model.publication import PublicationState

FILE = {"name": "camera.mp4", "key": "file:/in/camera.mp4:9:1", "location": "file:///in/camera.mp4"}
SIZE = {"size": 9, "mtime_ns": 1}


async def submit(engine, *, key=None, name=None, location=None, **facts):
    values = {**FILE, "key": key or FILE["key"], "name": name or FILE["name"], "location": location or FILE["location"]}
    submissions = Submissions(engine.context, engine.intake, engine.runner)
    return await submissions.admit("talks", arrival(**values, facts={**SIZE, **facts}))


async def programme(engine, *talks):
    """A reading of the programme after all that was asked so far."""
    engine.clock.forward(1)
    await engine.store.put_talks("sheet", [talk(name) for name in talks], engine.clock.now())
    engine.clock.forward(60)


async def submit_refused(engine, *talks, **options):
    """A submission whose talk the programme does not have."""
    job, new = await submit(engine, **options)
    assert new
    if options.get("talk"):
        await engine.until(job.id, State.WAITING)
        await engine.until_idle()
        await programme(engine, *talks)
    return await engine.until(job.id, State.REFUSED)


async def test_the_same_again_is_the_same_job_also_after_a_refusal(tmp_path):
    async with Engine(tmp_path, programme="sheet") as engine:
        await programme(engine, "t1")
        refused = await submit_refused(engine, "t1", talk="t9")
        again, new = await submit(engine, talk="t9")
        assert (again.id, again.state, new) == (refused.id, State.REFUSED, False)


async def test_a_refused_submission_is_corrected_by_the_same_command_with_the_right_talk(tmp_path):
    async with Engine(tmp_path, programme="sheet") as engine:
        await programme(engine, "t1")
        nameless = await submit_refused(engine)
        wrong = await submit_refused(engine, "t1", talk="t9")
        gone = await engine.store.job(nameless.id)
        assert (gone.state, gone.reason) == (
            State.CANCELLED,
            f"It was submitted again, corrected, as the job {wrong.id}.",
        )
        right, new = await submit(engine, talk="t1")
        assert new
        published = await engine.until(right.id, State.PUBLISHED)
        assert published.talk == "t1"
        assert (await engine.store.job(wrong.id)).state is State.CANCELLED
        assert await submit(engine, talk="t1") == (await engine.store.job(right.id), False)


@pytest.mark.parametrize("options", [{"start": 5.0}, {"account": "other"}, {"name": "other.mp4"}])
async def test_a_refused_submission_of_a_talk_is_corrected_by_other_times_account_or_name(tmp_path, options):
    trim = FakePublisher("far", results=[Refused("The talk ends before it starts: correct its times.")])
    async with Engine(tmp_path, publishers=[trim], programme="sheet") as engine:
        await programme(engine, "t1")
        first, _ = await submit(engine, talk="t1")
        await engine.until(first.id, State.REFUSED)
        second, new = await submit(engine, talk="t1", **options)
        assert new
        await engine.until(second.id, State.PUBLISHED)
        assert (await engine.store.job(first.id)).state is State.CANCELLED
        assert trim.arrived == [second.id]


async def test_a_second_correction_is_a_job_too(tmp_path):
    far = FakePublisher("far", results=[Refused("No."), Refused("No."), Refused("No.")])
    async with Engine(tmp_path, publishers=[far], programme="sheet") as engine:
        await programme(engine, "t1")
        seen = []
        for account in ("a", "b", "c", "d"):
            job, new = await submit(engine, talk="t1", account=account)
            assert new
            seen.append(job.id)
            await engine.until(job.id, State.PUBLISHED if account == "d" else State.REFUSED)
        states = [(await engine.store.job(job_id)).state for job_id in seen]
        assert states == [State.CANCELLED, State.CANCELLED, State.CANCELLED, State.PUBLISHED]


async def test_a_second_talk_of_the_same_file_is_a_job_of_its_own(tmp_path):
    far = FakePublisher("far")
    async with Engine(tmp_path, publishers=[far], programme="sheet") as engine:
        await programme(engine, "t1", "t2")
        first, _ = await submit(engine, talk="t1", start=0.0, end=60.0)
        second, new = await submit(engine, talk="t2", start=60.0, end=120.0)
        assert (new, second.id != first.id) == (True, True)
        for job in (first, second):
            await engine.until(job.id, State.PUBLISHED)
        assert await submit(engine, talk="t2", start=60.0, end=120.0) == (await engine.store.job(second.id), False)
        assert await submit(engine, talk="t1", start=0.0, end=60.0) == (await engine.store.job(first.id), False)
        # What is out is not published by another account or priority.
        assert (await submit(engine, talk="t2", start=60.0, end=120.0, account="x"))[1] is False


async def test_a_refused_talk_that_there_is_does_not_give_way_to_another_of_the_same_file(tmp_path):
    far = FakePublisher("far", results=[Refused("No.")])
    async with Engine(tmp_path, publishers=[far], programme="sheet") as engine:
        await programme(engine, "t1", "t2")
        first, _ = await submit(engine, talk="t1")
        await engine.until(first.id, State.REFUSED)
        second, new = await submit(engine, talk="t2")
        assert new
        await engine.until(second.id, State.PUBLISHED)
        assert (await engine.store.job(first.id)).state is State.REFUSED


async def test_the_same_talk_with_other_times_is_refused_while_the_first_is_out(tmp_path):
    far = FakePublisher("far")
    async with Engine(tmp_path, publishers=[far], programme="sheet") as engine:
        await programme(engine, "t1")
        first, _ = await submit(engine, talk="t1")
        await engine.until(first.id, State.PUBLISHED)
        second, new = await submit(engine, talk="t1", start=5.0)
        assert new
        refused = await engine.until(second.id, State.REFUSED)
        assert f"published already as job {first.id}" in refused.reason
        assert far.arrived == [first.id]


async def test_what_is_out_in_part_does_not_give_way(tmp_path):
    near, far = FakePublisher("near"), FakePublisher("far", results=[Refused("No.")])
    async with Engine(tmp_path, publishers=[near, far]) as engine:
        first, _ = await submit(engine, talk="t1")
        await engine.until(first.id, State.REFUSED)
        await submit(engine, talk="t1", start=5.0)
        await engine.until_idle()
        assert (await engine.store.job(first.id)).state is State.REFUSED
        states = {one.name: one.state for one in await engine.store.publications(first.id)}
        assert states == {"near": PublicationState.DONE, "far": PublicationState.REFUSED}


async def test_a_talk_in_the_name_and_the_same_one_in_the_options_is_one_job(tmp_path):
    async with Engine(tmp_path) as engine:
        name = "Main_t1_000000_000100.mp4"
        first, _ = await submit(engine, name=name)
        again, new = await submit(engine, name=name, talk="t1")
        assert (again.id, new) == (first.id, False)


async def test_a_refused_recording_of_a_folder_is_corrected_by_a_submission(tmp_path):
    async with Engine(tmp_path, programme="sheet") as engine:
        await programme(engine, "t1")
        (found,) = await engine.intake.admit("folder", "talks", [arrival(**FILE, facts=SIZE)])
        await engine.until(found.id, State.REFUSED)
        assert (await submit(engine))[0].id == found.id
        job, new = await submit(engine, talk="t1")
        assert new
        await engine.until(job.id, State.PUBLISHED)
        assert (await engine.store.job(found.id)).state is State.CANCELLED


async def test_a_key_of_ones_own_stands_for_one_location(tmp_path):
    async with Engine(tmp_path) as engine:
        first, _ = await submit(engine, key="mine")
        again, new = await submit(engine, key="mine")
        assert (again.id, new) == (first.id, False)
        with pytest.raises(Refused, match="'mine' stands for another job"):
            await submit(engine, key="mine", location="file:///in/other.mp4")
