"""What only the store in a MongoDB promises, with servers that are killed, cut off and told to fail."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from builders.aws import the_tools
from builders.engine import START, job, talk
from builders.mongodb import account, an_account, mongodb, server
from peers.network import Network
from peers.single_mongo import SingleMongo

from vidd.errors import Refused, RetryLater
from vidd.integrations.mongodb.account import database
from vidd.model.job import State
from vidd.model.media import Outcome, StepRecord
from vidd.model.publication import Publication, PublicationState
from vidd.pipelines.validation import make_ready
from vidd.ports import Conflict
from vidd.settings.schema import read_settings
from vidd.stores.mongodb.store import MongoStore, Settings, check

pytestmark = pytest.mark.peer

__all__ = ["account", "mongodb", "server"]
DEADLINE = 60.0


async def opened(account, who=None):
    store = MongoStore(account, "lab", who)
    await store.open()
    return store


@pytest.fixture
async def store(server):
    """A store on a server of its own, which is asked for no longer than two seconds."""
    store = await opened(an_account(server.uri, timeout=2))
    yield store
    await store.close()


async def until_done(call):
    """Repeat a call as the engine does, while the store is away."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await call()
            except RetryLater:
                await asyncio.sleep(0.05)


async def test_a_server_that_is_no_replica_set_will_do_and_is_named_by_the_check(tmp_path):
    single = SingleMongo(tmp_path / "data")
    single.start()
    try:
        account = an_account(single.uri, timeout=2)
        store = await opened(account)
        [seen] = await store.admit([job("a")])
        ready = seen.evolve(state=State.READY, changed=START)
        with single.cut_after(0), pytest.raises(RetryLater):
            await store.save(ready, expect=State.SEEN)
        await until_done(lambda: store.save(ready, expect=State.SEEN))
        await until_done(lambda: store.put_talks("lab", [talk("t1")], START))
        await store.close()
        again = await opened(account)
        assert (await again.job("a")).state is State.READY
        assert [state for _, state, _ in await again.history("a")] == [State.SEEN, State.READY]
        assert [found.id for found in await again.talks("lab")] == ["t1"]
        await again.close()
        told = await check(Settings(account="lab"), the_tools(tmp_path, lab=account))
        assert "MongoDB is a single server and no replica set" in told
    finally:
        single.stop()


async def test_what_was_saved_is_there_for_the_next_daemon(account):
    first = await opened(account)
    await first.admit([job("a")])
    await first.close()
    second = await opened(account)
    assert (await second.job("a")).state is State.SEEN
    await second.close()


async def test_a_database_of_a_newer_vidd_is_left_alone(account):
    async with database(account, "lab") as db:
        await db.meta.insert_one({"_id": "schema", "version": 99})
    with pytest.raises(Refused, match="newer vidd"):
        await opened(account)


async def test_the_indexes_are_there_after_the_start(account):
    store = await opened(account)
    await store.close()
    async with database(account, "lab") as db:
        indexes = await db.jobs.index_information()
    assert indexes["key"]["unique"]
    assert {"state", "created", "pipeline", "talk", "until"} < indexes.keys()


async def test_of_two_who_record_the_same_arrivals_at_once_exactly_one_does(account):
    stores = [await opened(account) for _ in range(3)]
    for number in range(10):
        keys = [f"{number}-{at}" for at in range(20)]
        made = await asyncio.gather(
            *(store.admit([job(f"{which}-{key}", key=key) for key in keys]) for which, store in enumerate(stores))
        )
        assert sorted(job.key for fresh in made for job in fresh) == sorted(keys)
    assert len(await stores[0].jobs()) == 200
    for store in stores:
        await store.close()


async def test_of_two_who_move_a_job_at_once_exactly_one_does(account):
    stores = [await opened(account) for _ in range(2)]
    for number in range(20):
        await stores[0].admit([job(f"job-{number}")])
        moved = await asyncio.gather(
            *(store.save(job(f"job-{number}", state=State.READY), expect=State.SEEN) for store in stores),
            return_exceptions=True,
        )
        assert sorted(type(result).__name__ for result in moved) == ["Conflict", "NoneType"]
        assert len(await stores[0].history(f"job-{number}")) == 2
    for store in stores:
        await store.close()


async def test_a_second_vidd_waits_until_the_first_has_let_go_of_the_database(account):
    first = await opened(account, "a:/var/lib/vidd")
    with pytest.raises(RetryLater, match=r"The vidd of a:/var/lib/vidd owns the database"):
        await opened(account, "b:/var/lib/vidd")
    await first.close()
    second = await opened(account, "b:/var/lib/vidd")
    await second.close()


async def test_the_same_vidd_takes_its_database_up_again_at_once_after_a_crash(account):
    fallen = await opened(account, "a:/var/lib/vidd")
    risen = await opened(account, "a:/var/lib/vidd")
    await risen.close()
    await fallen.close()


async def test_a_vidd_that_has_been_silent_is_taken_for_dead_and_does_nothing_any_more(account, monkeypatch):
    monkeypatch.setattr("vidd.stores.mongodb.connection._HEARTBEAT", 0.2)
    dead = await opened(account, "a:/var/lib/vidd")
    monkeypatch.setattr("vidd.stores.mongodb.connection._OWNER_TIMEOUT", 0.5)
    # As if it had been cut off: its next sign of life comes after the other one's start.
    async with database(account, "lab") as db:
        await db.meta.update_one({"_id": "owner"}, {"$set": {"who": "a:/cut/off"}})
    heir = MongoStore(account, "lab", "b:/var/lib/vidd")
    await until_done(heir.open)
    async with asyncio.timeout(DEADLINE):
        while "restart this one" not in (dead.trouble or ""):  # noqa: ASYNC110 - its beat tells nobody
            await asyncio.sleep(0.01)
    with pytest.raises(RetryLater, match="restart this one"):
        await dead.admit([job("a")])
    assert await until_done(heir.jobs) == []
    await dead.close()
    await heir.close()


async def test_a_server_killed_in_the_middle_of_admissions_forgets_none_and_doubles_none(store, server):
    batches = [[job(f"{batch}-{at}", key=f"{batch}-{at}") for at in range(50)] for batch in range(12)]
    fresh = []

    async def hand_in():
        for batch in batches:
            fresh.extend(await until_done(lambda batch=batch: store.admit(batch)))

    task = asyncio.create_task(hand_in())
    await killed_twice(store, server, lambda: len(fresh), (100, 300))
    await task
    assert [job.id for job in fresh] == [job.id for batch in batches for job in batch]
    assert {job.id for job in await store.jobs()} == {job.id for job in fresh}
    for stored in fresh[::50]:
        assert len(await store.history(stored.id)) == 1


async def killed_twice(store, server, done, when):
    """Kill the server and start it again, each time once so much is done."""
    for kill_at in when:
        async with asyncio.timeout(DEADLINE):
            while done() < kill_at:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        await asyncio.to_thread(server.kill)
        async with asyncio.timeout(DEADLINE):
            while store.trouble is None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        await asyncio.to_thread(server.start)


async def test_a_server_killed_in_the_middle_of_saves_has_each_once_in_the_history(store, server):
    await store.admit([job("a")])
    states = [State.SEEN, *[State.READY, State.WORKING] * 100]
    done = 0

    async def save():
        nonlocal done
        for before, after in pairwise(states):
            moved = job("a", state=after, changed=START + timedelta(seconds=done))
            await until_done(lambda moved=moved, before=before: store.save(moved, expect=before))
            done += 1

    task = asyncio.create_task(save())
    await killed_twice(store, server, lambda: done, (20, 120))
    await task
    assert [state for _, state, _ in await store.history("a")] == states


@pytest.mark.parametrize(
    "how",
    [
        {"errorCode": 91},
        {"errorCode": 11602},
        {"errorCode": 189},
        {"closeConnection": True},
    ],
    ids=str,
)
async def test_one_failure_of_the_server_is_not_even_noticed(server, how):
    store = await opened(an_account(f"{server.uri}?heartbeatFrequencyMS=500"))
    await store.admit([job("a")])
    labels = {} if "closeConnection" in how else {"errorLabels": ["RetryableWriteError"]}
    for number in range(3):
        server.fail(["insert", "update", "find"], {"times": 1}, **how, **labels)
        moved = job("a", priority=number, changed=START + timedelta(seconds=number + 1))
        await store.save(moved, expect=State.SEEN)
        assert (await store.job("a")).priority == number
        assert await store.admit([job(f"job-{number}")])
    assert store.trouble is None
    await store.close()


async def test_a_save_whose_answer_never_came_is_known_for_ones_own_when_it_is_made_again(store, server):
    await store.admit([job("a")])
    moved = job("a", state=State.READY, changed=START + timedelta(seconds=1))
    # It is made, and its answer held back for longer than it is waited for.
    server.fail(["update"], {"times": 1}, blockConnection=True, blockTimeMS=4000)
    with pytest.raises(RetryLater) as away:
        await store.save(moved, expect=State.SEEN)
    assert not away.value.counts
    await until_done(lambda: store.save(moved, expect=State.SEEN))
    assert [state for _, state, _ in await store.history("a")] == [State.SEEN, State.READY]
    with pytest.raises(Conflict):
        await store.save(moved, expect=State.SEEN)


async def test_a_publication_cut_off_in_the_middle_is_saved_once(tmp_path, server):
    with Network().running() as network:
        port = network.way_to(server.port)
        store = await opened(an_account(f"mongodb://127.0.0.1:{port}/?directConnection=true", timeout=2))
        await store.admit([job("a")])
        first = Publication("a", "s3", "s3", START)
        started = first.evolve(state=PublicationState.STARTED, begun=True, changed=START + timedelta(seconds=1))
        network.become("silent")
        with pytest.raises(RetryLater):
            await store.save_publication(first, expect=None)
        assert store.trouble is not None
        network.become("whole")
        await until_done(lambda: store.save_publication(first, expect=None))
        network.become("cut")
        with pytest.raises(RetryLater):
            await store.save_publication(started, expect=PublicationState.PENDING)
        network.become("whole")
        await until_done(lambda: store.save_publication(started, expect=PublicationState.PENDING))
        assert await store.publications("a") == [started]
        await store.close()


async def test_a_reading_that_was_cut_in_the_middle_is_not_seen_and_swept_later(store, server):
    await store.put_talks("sheet", [talk("old")], START)
    server.fail(["findAndModify"], "alwaysOn", errorCode=91)
    with pytest.raises(RetryLater):
        await store.put_talks("sheet", [talk("new")], START + timedelta(seconds=1))
    server.behave()
    assert [talk.id for talk in await until_done(lambda: store.talks("sheet"))] == ["old"]
    assert await store.talk("sheet", "new") is None
    assert await store._connection["talks"].count_documents({}) == 2
    await store.delete_orphans(datetime.now(UTC))
    assert await store._connection["talks"].count_documents({}) == 1
    assert (await store.talk("sheet", "old")).id == "old"


async def test_a_step_that_is_too_large_for_a_document_is_refused_and_nothing_else_with_it(account):
    store = await opened(account)
    await store.admit([job("a")])
    large = StepRecord("a", "trim", "trim", "f", Outcome(facts={"said": "x" * 17 * 2**20}), 1.0)
    with pytest.raises(Refused, match="16 MiB"):
        await store.record_step(large)
    assert store.trouble is None
    await store.record_step(StepRecord("a", "trim", "trim", "f", Outcome(), 1.0))
    await store.close()


async def test_what_the_login_may_not_do_any_more_waits_while_the_store_is_open(store, server):
    server.fail(["insert"], "alwaysOn", errorCode=13)
    with pytest.raises(RetryLater, match="readWrite"):
        await store.admit([job("a")])
    assert "readWrite" in store.trouble
    server.behave()
    assert await until_done(lambda: store.admit([job("a")]))
    assert store.trouble is None


async def test_a_store_that_is_away_at_the_start_is_for_later_and_gives_everything_back(server):
    server.kill()
    for _ in range(3):
        with pytest.raises(RetryLater, match="cannot be reached"):
            await opened(an_account(server.uri, timeout=0.5), "a:/var/lib/vidd")
    server.start()
    store = await opened(an_account(server.uri), "a:/var/lib/vidd")
    await store.close()


async def test_words_may_have_any_name(account):
    store = await opened(account)
    words = {"a.b": "1", "$where": "2", "": "3", "ü/\x00 %2E": "4", "w": "5", "~": "6"}
    await store.remember("space.$", words)
    assert await store.recall("space.$") == words
    assert await store.count("space.$", "a.b", 4) == 5
    await store.close()


async def test_the_check_says_who_works_on_the_database(account, tmp_path):
    tools, options = the_tools(tmp_path, lab=account), Settings(account="lab")
    assert await check(options, tools) == f"The database {account.database!r} can be read, and no vidd owns it."
    store = await opened(account, "a:/var/lib/vidd")
    assert "the vidd of a:/var/lib/vidd owns it" in await check(options, tools)
    await store.close()
    with pytest.raises(Refused, match=r"add \[accounts\.other\]"):
        await check(Settings(account="other"), tools)


def test_the_store_needs_an_account_of_its_kind(tmp_path):
    def ready(text):
        (tmp_path / "vidd.toml").write_text(f'[daemon]\nstate = "{tmp_path}"\n{text}')
        return make_ready(read_settings(tmp_path / "vidd.toml"))

    with pytest.raises(Refused, match=r"store\.account: there is no \[accounts\.lab\]"):
        ready('[store]\nkind = "mongo"\naccount = "lab"\n')
    with pytest.raises(Refused, match=r"store\.account: Field required"):
        ready('[store]\nkind = "mongo"\n')
    with pytest.raises(Refused, match=r"\[accounts\.lab\] is of kind secret, .* one of kind mongodb"):
        ready('[store]\nkind = "mongo"\naccount = "lab"\n[accounts.lab]\nkind = "secret"\nvalue = "x"\n').make_store()
