import asyncio

from builders.engine import DEADLINE, HeldClock

from vidd.engine.supervisor import Watchers
from vidd.errors import Refused, RetryLater


class Falls:
    """A watcher that raises these, one a start, and then stands."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.started = asyncio.Semaphore(0)

    async def watch(self):
        self.started.release()
        if self.errors:
            raise self.errors.pop(0)
        await asyncio.Event().wait()

    async def starts(self):
        async with asyncio.timeout(DEADLINE):
            await self.started.acquire()
        for _ in range(3):
            await asyncio.sleep(0)


async def kept(watcher):
    clock, events = HeldClock(), []
    watchers = Watchers(clock, events.append)
    watchers.add("in", "folder")
    return watchers, clock, asyncio.create_task(watchers.keep_running("in", watcher.watch))


async def test_a_fallen_watcher_shows_why_and_is_started_again():
    watcher = Falls(Refused("The queue is gone."))
    watchers, clock, task = await kept(watcher)
    await watcher.starts()
    assert (watchers.table["in"].up, watchers.table["in"].reason) == (False, "The queue is gone.")
    clock.forward(2)
    await watcher.starts()
    assert watchers.table["in"].restarts == 1
    task.cancel()


async def test_the_wait_grows_with_each_fall_and_honours_what_the_other_side_asks():
    watcher = Falls(ValueError("x"), ValueError("x"), RetryLater("slow down", after=500))
    watchers, clock, task = await kept(watcher)
    await watcher.starts()
    clock.forward(1.3)
    await watcher.starts()
    clock.forward(1.3)
    assert watcher.started.locked()
    clock.forward(1.3)
    await watcher.starts()
    clock.forward(400)
    assert watcher.started.locked()
    clock.forward(101)
    await watcher.starts()
    assert watchers.table["in"].restarts == 3
    task.cancel()


async def test_a_defect_in_one_watcher_names_itself_and_ends_no_other():
    broken, sound = Falls(ZeroDivisionError("division by zero")), Falls()
    clock = HeldClock()
    watchers = Watchers(clock, lambda _event: None)
    tasks = []
    for name, one in (("broken", broken), ("sound", sound)):
        watchers.add(name, "folder")
        tasks.append(asyncio.create_task(watchers.keep_running(name, one.watch)))
    await broken.starts()
    await sound.starts()
    watchers.mark("sound", up=True, reason=None)
    assert "ZeroDivisionError" in watchers.table["broken"].reason
    assert watchers.table["sound"].up
    for task in tasks:
        task.cancel()
