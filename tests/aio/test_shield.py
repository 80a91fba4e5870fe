"""Work that a cancellation must not cut in two, and that must not swallow the cancellation."""

import asyncio

import pytest

from vidd.aio.shield import shield_to_end
from vidd.errors import RetryLater


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_work_ends_first_and_then_the_cancellation_is_raised_whether_the_work_fails_or_not(fails):
    begun, end, done = asyncio.Event(), asyncio.Event(), []

    async def work():
        begun.set()
        await end.wait()
        done.append(True)
        if fails:
            raise RetryLater("The store is away.")

    caller = asyncio.create_task(shield_to_end(work()))
    await begun.wait()
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done


async def test_without_a_cancellation_the_result_and_the_fault_are_those_of_the_work():
    async def fail():
        raise RetryLater("The store is away.")

    assert await shield_to_end(asyncio.sleep(0, "saved")) == "saved"
    with pytest.raises(RetryLater):
        await shield_to_end(fail())
