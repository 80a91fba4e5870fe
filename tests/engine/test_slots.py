import asyncio

import pytest

from vidd.engine.slots import Pool, Slots


async def test_no_more_than_the_limit_hold_a_slot():
    slots, most, now = Slots({"encodes": 2}), 0, 0

    async def one():
        nonlocal most, now
        async with slots.hold("encodes", 0, ""):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    async with asyncio.timeout(60):
        await asyncio.gather(*(one() for _ in range(10)))
    assert most == 2
    assert slots.pools["encodes"].used == 0


async def test_the_most_urgent_waiter_is_next_and_equals_keep_their_order():
    slot, order = Pool(1), []
    await slot.acquire(0)

    async def one(name, priority):
        await slot.acquire(priority)
        order.append(name)
        slot.release()

    tasks = [asyncio.create_task(one(name, priority)) for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5))]
    await asyncio.sleep(0)
    assert slot.waiting == 4
    slot.release()
    async with asyncio.timeout(60):
        await asyncio.gather(*tasks)
    assert order == ["b", "d", "a", "c"]


async def test_of_equally_urgent_waiters_the_one_whose_job_arrived_first_is_next_whenever_it_began_to_wait():
    slots, order = Slots({"uploads": 1}), []
    await slots.pools["uploads"].acquire(0)

    async def upload(job_id, priority):
        async with slots.hold("uploads", priority, job_id):
            order.append(job_id)

    waits = (("job-4", 0), ("job-2", 0), ("job-5", 7), ("job-1", 0), ("job-3", 7))
    tasks = [asyncio.create_task(upload(*wait)) for wait in waits]
    await asyncio.sleep(0)
    slots.pools["uploads"].release()
    async with asyncio.timeout(60):
        await asyncio.gather(*tasks)
    assert order == ["job-3", "job-5", "job-1", "job-2", "job-4"]


async def test_a_waiter_that_is_cancelled_takes_no_place():
    slot = Pool(1)
    await slot.acquire(0)
    waiter = asyncio.create_task(slot.acquire(0))
    await asyncio.sleep(0)
    # Given a place and cancelled in the same turn of the loop: the place must come back.
    slot.release()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert slot.used == 0


async def test_more_places_let_waiters_in_at_once():
    slots = Slots({"mails": 1})
    await slots.pools["mails"].acquire(0)
    waiter = asyncio.create_task(slots.pools["mails"].acquire(0))
    await asyncio.sleep(0)
    slots.resize({"mails": 2})
    async with asyncio.timeout(60):
        await waiter
    assert slots.pools["mails"].used == 2


async def test_work_without_a_limit_needs_no_place():
    async with Slots({}).hold(None, 0, ""):
        pass
