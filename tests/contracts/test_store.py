"""One promise, every store."""

import asyncio
from datetime import timedelta

import pytest
from builders.engine import START, job, talk
from builders.mongodb import account, mongodb

from vidd.model.job import State
from vidd.model.job_query import JobQuery, Word
from vidd.model.media import Artifact, Audio, Media, Outcome, StepRecord, Video
from vidd.model.publication import Publication, PublicationState, Receipt
from vidd.model.talk import Speaker
from vidd.ports import Conflict
from vidd.stores.memory import MemoryStore
from vidd.stores.mongodb.store import MongoStore
from vidd.stores.sqlite.store import SqliteStore

pytestmark = pytest.mark.peer

__all__ = ["account", "mongodb"]


@pytest.fixture(params=["memory", "sqlite", "mongo"])
async def store(request, tmp_path):
    one = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "journal.sqlite"),
        "mongo": lambda: MongoStore(request.getfixturevalue("account"), "lab", "this host"),
    }[request.param]()
    await one.open()
    yield one
    await one.close()


def later(seconds):
    return START + timedelta(seconds=seconds)


async def test_a_key_is_admitted_once(store):
    assert [one.id for one in await store.admit([job("a", key="k"), job("b", key="k"), job("c", key="l")])] == [
        "a",
        "c",
    ]
    assert await store.admit([job("d", key="k")]) == []
    assert (await store.job_of_key("k")).id == "a"
    assert await store.job_of_key("nothing") is None


async def test_jobs_of_pipelines_are_told_in_a_line_each_the_oldest_first(store):
    made = [
        job("b", pipeline="cms", created=later(2), location="pcloud:2"),
        job("a", pipeline="cms", created=later(1), source="uploads"),
        job("c", pipeline="talks"),
        job("d", pipeline="other", created=later(3)),
    ]
    await store.admit(made)
    await store.save(made[0].evolve(state=State.REFUSED, reason="No."), expect=State.SEEN)
    entries = await store.entries(["cms", "other"])
    assert [one.id for one in entries] == ["a", "b", "d"]
    assert entries[0] == made[1].entry
    assert (entries[1].state, entries[1].reason, entries[1].location) == (State.REFUSED, "No.", "pcloud:2")
    assert await store.entries([]) == []


async def test_a_job_comes_back_as_it_was(store):
    one = job(
        "a",
        facts={"size": 1, "name": "ü\U0001f600"},
        settings={"steps": []},
        priority=3,
        talk="t",
        reason="because",
        until=later(5),
        tried=later(1),
        state=State.WAITING,
        attempt=2,
    )
    await store.admit([one])
    assert await store.job("a") == one


async def test_a_job_is_found_by_the_end_of_its_id(store):
    await store.admit([job("0123456789abcdef"), job("0123456789abcd00")])
    assert (await store.job("cdef")).id == "0123456789abcdef"
    assert await store.job("def") is None
    assert await store.job("0123") is None


async def test_a_save_that_expects_another_state_changes_nothing(store):
    await store.admit([job("a")])
    moved = job("a", state=State.READY, reason="go")
    await store.save(moved, expect=State.SEEN)
    with pytest.raises(Conflict):
        await store.save(job("a", state=State.CANCELLED), expect=State.SEEN)
    assert await store.job("a") == moved
    with pytest.raises(Conflict):
        await store.save(job("nobody", state=State.READY), expect=State.SEEN)


async def test_history_tells_each_state_once(store):
    await store.admit([job("a")])
    await store.save(job("a", state=State.READY, changed=later(1)), expect=State.SEEN)
    await store.save(job("a", state=State.READY, priority=1, changed=later(2)), expect=State.READY)
    await store.save(job("a", state=State.REFUSED, reason="no", changed=later(3)), expect=State.READY)
    assert await store.history("a") == [
        (START, State.SEEN, None),
        (later(1), State.READY, None),
        (later(3), State.REFUSED, "no"),
    ]


async def test_unfinished_jobs_come_most_urgent_and_then_oldest_first(store):
    await store.admit(
        [
            job("b", created=later(2)),
            job("a", created=later(1), state=State.PUBLISHING),
            job("c", created=later(3), priority=5),
            job("d", state=State.PUBLISHED),
            job("e", state=State.WAITING, until=later(9)),
        ]
    )
    assert await store.unfinished() == [("c", 5), ("a", 0), ("b", 0)]


async def test_waiting_jobs_come_due_at_their_time(store):
    await store.admit([job(f"w{at}", state=State.WAITING, until=later(at)) for at in (30, 10, 20)])
    assert await store.next_due() == later(10)
    assert [one.id for one in await store.due(later(20))] == ["w10", "w20"]
    assert await store.due(later(9)) == []


async def test_jobs_are_listed_newest_first_by_state_pipeline_and_talk(store):
    await store.admit(
        [
            job("a", created=later(1), talk="t"),
            job("b", created=later(2), pipeline="cms"),
            job("c", created=later(3), state=State.REFUSED, talk="t"),
        ]
    )
    assert [one.id for one in await store.jobs()] == ["c", "b", "a"]
    assert [one.id for one in await store.jobs(states=[State.SEEN])] == ["b", "a"]
    assert [one.id for one in await store.jobs(pipeline="cms")] == ["b"]
    assert [one.id for one in await store.jobs(talk="t", limit=1)] == ["c"]
    assert await store.counts() == {("talks", State.SEEN): 1, ("cms", State.SEEN): 1, ("talks", State.REFUSED): 1}
    assert await store.oldest([State.SEEN]) == later(1)
    assert await store.oldest([State.HELD]) is None


async def test_moves_are_counted_by_day_once_for_each_job_and_state(store):
    day, jobs = 24 * 3600, [job(f"j{number}") for number in range(3)]
    await store.admit(jobs)
    for number, seconds in ((0, 10), (1, day), (2, 2 * day)):
        ready = jobs[number].evolve(state=State.READY, changed=later(seconds))
        await store.save(ready, expect=State.SEEN)
        refused = ready.evolve(state=State.REFUSED, changed=later(seconds + 1))
        await store.save(refused, expect=State.READY)
        await store.save(ready.evolve(changed=later(seconds + 2)), expect=State.REFUSED)
        await store.save(refused.evolve(changed=later(seconds + 3)), expect=State.READY)
    first, second, third = (later(number * day).date() for number in range(3))
    assert await store.moves_by_day(later(day + 5)) == {
        (second, State.READY): 1,
        (second, State.REFUSED): 1,
        (third, State.READY): 1,
        (third, State.REFUSED): 1,
    }
    assert (await store.moves_by_day(START))[first, State.SEEN] == 3


async def ids_of(store, limit=10, **query):
    return [job.id for job in await store.page(JobQuery(**query), limit)]


async def test_pages_of_jobs_follow_each_other_while_jobs_arrive_and_change(store):
    jobs = [job(f"j{number}", created=later(number // 2)) for number in range(6)]
    await store.admit(jobs)
    assert await ids_of(store, 4) == ["j5", "j4", "j3", "j2"]
    await store.admit([job("j9", created=later(9))])
    await store.save(jobs[1].evolve(state=State.READY, changed=later(9)), expect=State.SEEN)
    assert await ids_of(store, 4, after="j2") == ["j1", "j0"]
    assert await ids_of(store, 1, after="j3") == ["j2"]
    assert await ids_of(store, after="j0") == []
    assert await ids_of(store, after="never") == []
    assert await ids_of(store, after="j4", states=[State.READY]) == ["j1"]


async def test_a_page_has_the_jobs_that_meet_every_condition(store):
    await store.admit(
        [
            job("a", created=later(1), talk="t1", changed=later(50)),
            job("b", created=later(2), talk="t1", state=State.PUBLISHED, changed=later(40)),
            job("c", created=later(3), talk="t2", state=State.PUBLISHED, changed=later(60)),
            job("d", created=later(4), pipeline="cms"),
        ]
    )
    assert await ids_of(store) == ["d", "c", "b", "a"]
    assert await ids_of(store, talk="t1") == ["b", "a"]
    assert await ids_of(store, talk="t1", states=[State.PUBLISHED, State.HELD]) == ["b"]
    assert await ids_of(store, pipeline="cms") == ["d"]
    assert await ids_of(store, changed_since=later(50)) == ["c", "a"]
    assert await store.counts(later(50)) == {("talks", State.PUBLISHED): 1, ("talks", State.SEEN): 1}


async def test_jobs_are_found_by_parts_of_names_ids_and_talks_in_any_case(store):
    await store.admit(
        [
            job("0001abcd", created=later(1), name="Keynote_ÄRZTE.mp4"),
            job("0002efgh", created=later(2), name="50%_off.(v2).mp4", talk="Talk-7"),
            job("0003ijkl", created=later(3), name="other.mp4", talk="k8", pipeline="cms"),
        ]
    )
    found = {
        text: await ids_of(store, words=[Word(text)]) for text in ("keyNOTE", "ärzte", "%_", ".(v2).", "ALK-7", "ABCD")
    }
    assert found == {
        "keyNOTE": ["0001abcd"],
        "ärzte": ["0001abcd"],
        "%_": ["0002efgh"],
        ".(v2).": ["0002efgh"],
        "ALK-7": ["0002efgh"],
        "ABCD": ["0001abcd"],
    }
    of_talks = Word("Title", [("talks", "Talk-7"), ("talks", "k8")])
    assert await ids_of(store, words=[of_talks]) == ["0002efgh"]
    assert await ids_of(store, words=[of_talks, Word("off")]) == ["0002efgh"]
    assert await ids_of(store, words=[of_talks, Word("keynote")]) == []
    assert await ids_of(store, words=[Word("mp4")], limit=1, after="0003ijkl") == ["0002efgh"]
    assert await ids_of(store, words=[Word(None, [("cms", "k8"), ("talks", "k8")])]) == ["0003ijkl"]
    assert await ids_of(store, words=[Word(None)]) == []


async def test_published_jobs_of_which_something_did_not_go_out_are_counted(store):
    assert await store.incomplete() == {}
    said = "Published, but not told: mail: no."
    await store.admit(
        [
            job("a", state=State.PUBLISHED, reason=said),
            job("b", state=State.PUBLISHED),
            job("c", state=State.REFUSED, reason=said),
            job("d", state=State.PUBLISHED, reason=said, pipeline="cms"),
            job("e", state=State.PUBLISHED, reason=said),
        ]
    )
    assert await store.incomplete() == {"talks": 2, "cms": 1}
    assert await ids_of(store, incomplete=True, pipeline="talks") == ["e", "a"]


async def test_a_step_comes_back_with_its_files_and_media(store):
    await store.admit([job("a")])
    media = Media("mp4", 60.0, 99, (Video("h264", 1920, 1080, 25.0, rotation=90),), (Audio("aac", 48000, 2),))
    record = StepRecord(
        "a", "trim", "trim", "f", Outcome((Artifact("talk", "talk.mp4", 99, media=media),), {"x": 1}), 2.5, later(9)
    )
    await store.record_step(StepRecord("a", "trim", "trim", "old", Outcome(), 1.0))
    await store.record_step(StepRecord("a", "fetch", "fetch", "f", Outcome(), 1.0))
    await store.record_step(record)
    assert [one.name for one in await store.steps("a")] == ["fetch", "trim"]
    assert (await store.steps("a"))[1] == record


async def test_a_publication_comes_back_and_is_guarded(store):
    await store.admit([job("a")])
    one = Publication("a", "s3", "s3", changed=START)
    await store.save_publication(one, expect=None)
    with pytest.raises(Conflict):
        await store.save_publication(one, expect=None)
    started = one.evolve(
        state=PublicationState.STARTED, begun=True, token={"upload": "u"}, attempt=1, tried=later(1), changed=later(1)
    )
    await store.save_publication(started, expect=PublicationState.PENDING)
    done = started.evolve(
        state=PublicationState.DONE, receipt=Receipt("https://x", {"etag": "e"}), until=later(4), reason="r"
    )
    with pytest.raises(Conflict):
        await store.save_publication(done, expect=PublicationState.PENDING)
    await store.save_publication(done, expect=PublicationState.STARTED)
    assert await store.publications("a") == [done]


async def test_a_programme_is_replaced_by_its_next_reading(store):
    assert await store.programme("p") is None
    first = [talk("t2", speakers=(Speaker("A", "a@x"), Speaker("B"))), talk("t1", excluded=True, facts={"row": 3})]
    await store.put_talks("p", first, START)
    assert await store.talks("p") == first
    assert await store.talk("p", "t1") == first[1]
    await store.put_talks("p", [talk("t3")], later(1))
    assert await store.talk("p", "t1") is None
    programme = await store.programme("p")
    assert (programme.read, programme.talks) == (later(1), 1)
    assert await store.talk("other", "t3") is None


async def test_dead_letters_are_kept_with_their_reason_newest_first(store):
    await store.put_dead_letter("q", "{}", "first", START)
    await store.put_dead_letter("q", "[]", "second", later(1))
    assert await store.dead_letters() == [(later(1), "q", "second", "[]"), (START, "q", "first", "{}")]
    assert len(await store.dead_letters(1)) == 1


async def test_a_flag_is_kept_until_it_is_forgotten(store):
    assert await store.get_flag("paused") is None
    await store.set_flag("paused", "yes")
    await store.set_flag("paused", "still")
    assert await store.get_flag("paused") == "still"
    await store.set_flag("paused", None)
    assert await store.get_flag("paused") is None


async def test_a_reading_of_the_programme_is_seen_whole_or_not_at_all(store):
    talks = [talk(f"t{number}") for number in range(50)]
    await store.put_talks("sheet", talks, START)
    readings = asyncio.gather(*(store.put_talks("sheet", talks, later(second)) for second in range(20)))
    while not readings.done():
        assert await store.talk("sheet", "t49") == talks[-1]
        assert len(await store.talks("sheet")) == 50
        await asyncio.sleep(0)
    await readings


async def test_words_are_kept_by_space_and_forgotten_one_by_one(store):
    await store.remember("sheet:a", {"t1": "published", "t2": "ü\U0001f600"})
    await store.remember("sheet:b", {"t1": "other"})
    await store.remember("sheet:a", {"t1": None, "t3": "new", "never there": None})
    assert await store.recall("sheet:a") == {"t2": "ü\U0001f600", "t3": "new"}
    assert await store.recall("sheet:b") == {"t1": "other"}
    assert await store.recall("nothing") == {}


async def test_a_number_is_counted_up_by_many_at_once(store):
    await asyncio.gather(*[store.count("quota:a", "insert", 100) for _ in range(10)])
    assert await store.count("quota:a", "list", 1) == 1
    assert await store.count("quota:a", "insert", -1) == 999
    assert await store.recall("quota:a") == {"insert": "999", "list": "1"}


async def test_an_edition_and_its_revision_come_back(store):
    await store.admit([job("a")])
    one = Publication("a", "mail", "mail", START, notice=True, edition=3, revision="abc")
    await store.save_publication(one, expect=None)
    assert await store.publications("a") == [one]
