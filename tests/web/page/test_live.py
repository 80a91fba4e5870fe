"""How open pages are kept up to date: rendered once for all who look at the same."""

import asyncio
import json
from dataclasses import dataclass, field

import aiohttp
import pytest
from builders.web import NOON, FakeControl, a_job, open_port

from vidd.errors import RetryLater
from vidd.model.event import JobMoved, Progressed
from vidd.model.job import State
from vidd.model.talk import Programme, Talk
from vidd.stores.memory import MemoryStore
from vidd.web.event_hub import Hub
from vidd.web.page.live import Live, version_of
from vidd.web.page.talk_states import TalkJob, TalkStates

DEADLINE = 20


@dataclass
class CountedView:
    """Shows a number, and how often it was rendered."""

    shown: dict[str, str] = field(default_factory=lambda: {"number": "0", "bar": "0"})
    whole: int = 0
    bars: int = 0

    async def parts(self):
        self.whole += 1
        return dict(self.shown)

    async def progress(self):
        self.bars += 1
        return {"bar": self.shown["bar"]}


async def told(viewer):
    async with asyncio.timeout(DEADLINE):
        data = (await viewer.next(DEADLINE)).decode()
    fields = dict(line.split(": ", 1) for line in data.strip().split("\n"))
    assert fields["event"] == "parts"
    return fields["id"], json.loads(fields["data"])


@pytest.fixture
async def hub():
    return Hub()


@pytest.fixture
async def live(hub):
    live = Live(hub, MemoryStore())
    yield live
    await live.end()


async def test_twenty_viewers_of_one_page_cost_one_rendering(hub, live):
    view = CountedView()
    viewers = [live.join("key", view if number == 0 else CountedView(), "old") for number in range(20)]
    assert {json.dumps(await told(viewer)) for viewer in viewers} == {
        json.dumps((version_of(view.shown), {"number": "0", "bar": "0"}))
    }
    view.shown["number"] = "1"
    for _ in range(100):
        hub.observe(JobMoved(a_job(State.READY), State.SEEN))
    assert [(await told(viewer))[1] for viewer in viewers] == [{"number": "1"}] * 20
    assert view.whole <= 3


async def test_progress_renders_only_what_progress_changes(hub, live):
    view = CountedView()
    viewer = live.join("key", view, "old")
    await told(viewer)
    view.shown |= {"bar": "1", "number": "not asked for"}
    hub.observe(Progressed("job", "trim", 1.0, 2.0, "s"))
    assert (await told(viewer))[1] == {"bar": "1"}
    assert (view.whole, view.bars) == (1, 1)


async def test_a_page_gets_nothing_that_it_shows_already_and_everything_when_it_comes_back_late(hub, live):
    view = CountedView()
    now = version_of(view.shown)
    viewer = live.join("key", view, now)
    view.shown["number"] = "1"
    hub.observe(JobMoved(a_job(State.READY), State.SEEN))
    version, parts = await told(viewer)
    assert parts in ({"number": "1"}, {"number": "1", "bar": "0"})
    late, fresh = live.join("key", view, now), live.join("key", view, version)
    assert (await told(late))[1] == {"number": "1", "bar": "0"}
    assert await fresh.next(0.01) is None


async def test_a_page_that_does_not_read_is_cut_off_and_no_other_waits(hub, live):
    view = CountedView()
    slow = live.join("key", view, "old")
    while not slow.ended:
        slow.put(b"x")
    assert await slow.next(DEADLINE) == b""
    assert (await told(live.join("other", CountedView(), "old")))[1] == {"number": "0", "bar": "0"}


async def test_only_so_many_pages_are_open_at_once(live):
    viewers = [live.join("key", CountedView(), "") for _ in range(64)]
    with pytest.raises(RetryLater, match="64 pages are open already"):
        live.join("key", CountedView(), "")
    live.leave("key", viewers[0])
    live.join("key", CountedView(), "")


async def test_a_store_that_is_away_ends_no_page(hub, live):
    class AwayView(CountedView):
        async def parts(self):
            self.whole += 1
            if self.whole == 1:
                raise RetryLater("The store is away.")
            if self.whole == 2:
                raise ValueError("a defect")
            return dict(self.shown)

    view = AwayView()
    viewer = live.join("key", view, "old")
    told_at_last = asyncio.create_task(told(viewer))
    while not told_at_last.done():
        hub.observe(JobMoved(a_job(State.READY), State.SEEN))
        await asyncio.wait({told_at_last}, timeout=0.05)
    assert (await told_at_last)[1] == {"number": "0", "bar": "0"}


async def test_the_newest_job_of_a_talk_counts_however_it_became_known():
    store = MemoryStore()
    states = TalkStates(store)
    old, new = a_job(State.PUBLISHED, talk="t"), a_job(State.REFUSED, talk="t", reason="r")
    await store.admit([old, new, a_job(State.READY)])
    assert await states.by_talk(["talks"]) == {("talks", "t"): TalkJob(new.id, State.REFUSED, "r")}
    states.note("talks", "t", TalkJob(old.id, State.READY, None))
    states.note("talks", None, TalkJob("x", State.READY, None))
    assert (await states.by_talk(["talks"]))["talks", "t"].id == new.id
    states.note("talks", "t", TalkJob(new.id, State.READY, None))
    assert (await states.by_talk(["talks"]))["talks", "t"].state is State.READY
    states.forget()
    assert (await states.by_talk(["talks"]))["talks", "t"].state is State.REFUSED


async def test_the_stream_of_a_page_tells_its_parts_and_ends_with_the_port():
    control = FakeControl()
    control.store.rows["programme"] = [Talk("t1", "A talk")]
    control.store.programmes["programme"] = Programme("programme", NOON, 1)
    async with aiohttp.ClientSession() as session:
        async with open_port(control) as (_, url):
            response = await session.get(f"{url}/live?view=/%3Fstate=person&version=old")
            assert (response.status, response.content_type) == (200, "text/event-stream")
            async with asyncio.timeout(DEADLINE):
                while not (line := await response.content.readline()).startswith(b"data: "):
                    pass
            parts = json.loads(line.removeprefix(b"data: "))
            assert "No job is like that" in parts["jobs"]
            assert "1</b> not recorded yet" in parts["programme"]
            async with session.get(f"{url}/live?view=/jobs/zzzzz") as missing:
                assert missing.status == 404
        async with asyncio.timeout(DEADLINE):
            await response.read()
