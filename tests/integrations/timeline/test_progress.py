"""What /progress says: the original's sentences, how far it is, how long it takes, and why there will be no video."""

from datetime import timedelta

import pytest
from builders.timeline import KINDS, Life

from vidd.model.job import FAILURE, State

TO_WORK = (State.READY, State.WORKING)


@pytest.fixture
async def life(tmp_path):
    async with Life({}, tmp_path).running() as life:
        yield life


async def said(life, video):
    progress = await life.progress(video)
    return progress["status"], progress["finished"], progress["percent"]


async def test_the_sentences_are_those_of_the_original_from_the_queue_to_the_end(life):
    video = await life.begin()
    assert await life.progress(video) == {
        "video_id": video, "status": "In queue", "finished": False, "percent": 0, "eta_s": None, "error": None,
        "detail": None, "until": None,
    }  # fmt: skip
    await life.move(video, *TO_WORK)
    images, making = "Generating images from ada's tweets", "Creating video from tweets"
    assert await said(life, video) == (images, False, 0)
    await life.end_step(video, "posts")
    await life.report(video, "cards", 0.5)
    assert await said(life, video) == (images, False, 32)
    await life.end_step(video, "cards")
    assert await said(life, video) == (making, False, 47)
    await life.end_step(video, "slideshow")
    await life.move(video, State.PUBLISHING)
    assert await said(life, video) == (making, False, 94)
    await life.move(video, State.PUBLISHED)
    assert await said(life, video) == ("Video finished!", True, 100)


async def test_a_failure_is_finished_and_says_why_so_that_no_client_waits_for_ever(life):
    for state in (State.REFUSED, State.CANCELLED):
        video = await life.begin()
        await life.move(video, *TO_WORK, state, reason="@ada has no posts to show at X.")
        progress = await life.progress(video)
        assert (progress["finished"], progress["error"]) == (True, "@ada has no posts to show at X.")
        assert progress["status"] == "The video could not be made."


async def test_what_goes_wrong_at_this_host_is_not_told_to_everybody(life):
    video, reason = await life.begin(), "The disk was full at writing /var/lib/vidd/jobs/1/cards; vidd will retry."
    await life.move(video, *TO_WORK)
    await life.end_step(video, "posts")
    await life.move(video, State.WAITING, reason=reason)
    told = "Something is wrong at this service: those who run it see what."
    assert (await life.progress(video))["detail"] == told
    await life.move(video, State.READY, State.WORKING, State.REFUSED, reason=reason)
    progress = await life.progress(video)
    assert (progress["status"], progress["error"]) == ("The video could not be made.", told)


async def test_a_video_that_was_taken_down_is_told_as_such_without_its_path(life):
    video = await life.begin()
    await life.move(video, *TO_WORK)
    for kind in ("posts", "cards", "slideshow"):
        await life.end_step(video, kind)
    reason = "A person retracted it. /var/lib/vidd/display/ada was removed."
    await life.move(video, State.PUBLISHING, State.PUBLISHED, State.READY, State.WORKING, State.PUBLISHING)
    await life.move(video, State.CANCELLED, reason=reason)
    progress = await life.progress(video)
    assert (progress["status"], progress["finished"]) == ("The video was taken down.", True)
    assert progress["error"] == "Those who run this service took it down."
    status, page, _ = await life.get(f"/display/{video}")
    assert (status, "The video was taken down." in page, "/var/lib" in page) == (410, True, False)


async def test_a_video_that_a_person_must_approve_says_that_it_is_looked_at(life):
    video = await life.begin()
    await life.move(video, *TO_WORK, State.HELD, reason="It is black from 0:01 to 0:04.")
    assert (await life.progress(video))["detail"] == "Those who run this service look at it first."


async def test_the_page_names_the_time_of_a_wait_once(life):
    video = await life.begin()
    until = life.clock.now() + timedelta(minutes=5)
    for reason in ("X is full; vidd will go on at 12:05 UTC.", "The connection to X was lost; vidd will retry."):
        job = await life.job(video)
        moves = TO_WORK if job.state is State.SEEN else (State.READY, State.WORKING)
        await life.move(video, *moves, State.WAITING, reason=reason, until=until, facts=waiting(job))
        _, page, _ = await life.get(f"/display/{video}")
        assert page.count("12:05 UTC") == 1


async def test_a_rate_limit_is_shown_with_the_time_at_which_it_ends(life):
    video = await life.begin()
    until = life.clock.now() + timedelta(minutes=5)
    reason = "X's rate limit is reached until 12:05 UTC; vidd will continue then."
    await life.move(video, *TO_WORK, State.WAITING, reason=reason, until=until, facts=waiting(await life.job(video)))
    progress = await life.progress(video)
    assert (progress["status"], progress["finished"]) == ("Generating images from ada's tweets", False)
    assert (progress["detail"], progress["until"]) == (reason, "2026-05-01T12:05:00+00:00")
    assert progress["eta_s"] is None


def waiting(job):
    return {**job.facts, FAILURE: {"step": "posts", "said": "", "log": None}}


async def test_the_time_left_is_known_from_the_speed_and_from_what_steps_took_before(life):
    earlier = await life.begin(count=10)
    await life.move(earlier, *TO_WORK)
    for kind, seconds in (("posts", 2.0), ("cards", 5.0), ("slideshow", 20.0)):
        await life.end_step(earlier, kind, seconds)
    await life.move(earlier, State.PUBLISHING, State.PUBLISHED)
    video = await life.begin(count=20)
    await life.move(video, *TO_WORK)
    assert (await life.progress(video))["eta_s"] == 54
    await life.end_step(video, "posts", 4.0)
    await life.report(video, "cards", 0.0)
    life.clock.forward(3)
    await life.report(video, "cards", 0.25)
    assert (await life.progress(video))["eta_s"] == 9 + 40
    await life.end_step(video, "cards", 12.0)
    await life.end_step(video, "slideshow", 40.0)
    assert (await life.progress(video))["eta_s"] is None


async def test_the_time_left_is_unknown_while_a_step_was_never_seen(life):
    video = await life.begin()
    await life.move(video, *TO_WORK)
    await life.report(video, "posts", 0.0)
    life.clock.forward(3)
    await life.report(video, "posts", 0.5)
    assert (await life.progress(video))["eta_s"] is None


async def test_a_step_that_begins_again_is_not_taken_for_a_fast_one(life):
    video = await life.begin(count=1)
    await life.move(video, *TO_WORK)
    await life.end_step(video, "posts")
    await life.end_step(video, "cards")
    await life.report(video, "slideshow", 0.9)
    life.clock.forward(10)
    await life.report(video, "slideshow", 0.0)
    life.clock.forward(10)
    await life.report(video, "slideshow", 0.5)
    assert (await life.progress(video))["eta_s"] == 10


async def test_the_phases_of_a_step_follow_one_another(life):
    video = await life.begin()
    await life.move(video, *TO_WORK)
    seen = []
    for kind, unit, fraction in [
        ("posts", "posts", 1.0), ("posts", "pictures", 0.0), ("posts", "pictures", 1.0),
        ("cards", "cards", 1.0), ("slideshow", "pictures", 1.0), ("slideshow", "s", 0.0), ("slideshow", "s", 1.0),
    ]:  # fmt: skip
        for earlier in KINDS[: KINDS.index(kind)]:
            await life.end_step(video, earlier)
        await life.report(video, kind, fraction, unit)
        seen.append((await life.progress(video))["percent"])
    assert seen == sorted(seen)
    assert seen[-1] == 94


async def test_it_is_right_after_a_restart(tmp_path):
    before = Life({}, tmp_path)
    async with before.running():
        video, finished, refused = [await before.begin() for _ in range(3)]
        await before.move(video, *TO_WORK)
        await before.end_step(video, "posts")
        await before.end_step(video, "cards")
        await before.move(finished, *TO_WORK, State.PUBLISHING, State.PUBLISHED)
        await before.move(refused, *TO_WORK, State.REFUSED, reason="X knows no @ada.")
        await before.move(video, State.READY)
    async with Life({}, tmp_path, store=before.store).running() as life:
        assert await said(life, video) == ("Creating video from tweets", False, 47)
        assert await said(life, finished) == ("Video finished!", True, 100)
        assert (await life.progress(refused))["error"] == "X knows no @ada."


async def test_an_unknown_id_is_404_in_json(life):
    known = await life.begin()
    for video in ("nope", f"ada-{'0' * 32}", f"grace-{known[-32:]}", "..%252f..%252fetc", "%00", f"{known}%0a"):
        status, body, _ = await life.get(f"/progress/{video}")
        assert (status, body["detail"]) == (404, "There is no video with this id: ask /video for one.")


async def test_a_question_reads_one_job_whatever_there_are(life, monkeypatch):
    video = await life.begin()

    async def no_scan(**_):
        raise AssertionError("the store was asked for all jobs")

    monkeypatch.setattr(life.store, "jobs", no_scan)
    assert (await life.progress(video))["status"] == "In queue"
