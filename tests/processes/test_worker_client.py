"""The worker protocol: questions to a child in JSON lines, and its progress, answers and faults."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from footage.clips import Watched

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.processes.run import Hung
from vidd.processes.worker_client import JsonLinesProcess, WorkerDied, ask_worker, run_worker, worker_argv

CHILD = """
import ctypes, errno, os, sys, time
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.processes.worker import serve

def length(question, _):
    return {"long": "y" * question["size"]}

def crash(question, _):
    os.write(2, b"goodbye")
    os._exit(question["code"])

def half(question, _):
    # The first file descriptor after stdin, stdout and stderr is what the protocol goes to.
    os.write(3, b"{" + b"x" * question["size"])
    os._exit(3)

def refuse(question, _):
    raise Refused("It is no video.", code=FaultCode.NOT_FOUND)

def retry(question, _):
    raise RetryLater("Somebody else has it.", code=FaultCode.BUSY, counts=False, after=30)

def full(question, _):
    raise OSError(errno.ENOSPC, "full")

def defect(question, _):
    raise ValueError("a defect")

def library(question, _):
    print("of a library")
    ctypes.CDLL(None).puts(b"of a C library")
    return {}

def memory(question, _):
    return {"length": len(bytearray(question["size"]))}

def missing(question, _):
    import no_such_library

def frames(question, progress):
    for number in range(question["count"]):
        progress(number + 1, question["total"])
    time.sleep(question.get("sleep", 0))
    return {"pid": os.getpid(), "nice": os.nice(0)}

serve(
    {name: handler for name, handler in list(globals().items()) if callable(handler)},
    extra="frames",
    memory_setting=os.environ.get("TZ") or None,
)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of the child's module."""
    (tmp_path / "worker_of_tests.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', os.getcwd())}")  # noqa: PTH109
    return "worker_of_tests"


@pytest.fixture
async def worker(module):
    process = JsonLinesProcess(worker_argv(module))
    yield process
    await process.close()


async def ask(worker, name, **more):
    async with asyncio.timeout(60):
        return await worker.ask({"ask": name, **more}, timeout=60)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("size", [0, 65_000, 65_526, 65_536, 131_072, 3_000_000])
async def test_an_answer_may_be_of_any_length(worker, size):
    assert len((await ask(worker, "length", size=size))["long"]) == size
    assert (await ask(worker, "length", size=1))["long"] == "y"


async def test_a_question_may_be_of_any_length(worker):
    assert (await ask(worker, "length", size=1, more="x" * 3_000_000))["long"] == "y"


async def test_a_child_that_dies_in_the_middle_of_a_long_answer_is_replaced(worker):
    with pytest.raises(WorkerDied, match="exit code 3"):
        await ask(worker, "half", size=200_000)
    assert (await ask(worker, "length", size=2))["long"] == "yy"


async def test_a_death_carries_the_exit_code_and_the_end_of_stderr(worker):
    with pytest.raises(WorkerDied, match="exit code 7: goodbye") as died:
        await ask(worker, "crash", code=7)
    assert (died.value.code, died.value.stderr, died.value.killed) == (7, "goodbye", False)


async def test_a_signal_from_outside_says_nothing_about_the_question(worker):
    await ask(worker, "length", size=1)
    os.kill(worker.child.pid, signal.SIGSTOP)
    question = asyncio.create_task(ask(worker, "length", size=1))
    await asyncio.sleep(0)
    os.kill(worker.child.pid, signal.SIGKILL)
    with pytest.raises(WorkerDied) as died:
        await question
    assert died.value.killed


async def test_faults_travel_with_their_fate_sentence_and_code_and_the_child_lives_on(worker):
    with pytest.raises(Refused) as refused:
        await ask(worker, "refuse")
    assert (refused.value.sentence, refused.value.code) == ("It is no video.", FaultCode.NOT_FOUND)
    with pytest.raises(RetryLater) as retry:
        await ask(worker, "retry")
    assert (retry.value.sentence, retry.value.code) == ("Somebody else has it.", FaultCode.BUSY)
    assert (retry.value.counts, retry.value.after) == (False, 30)
    with pytest.raises(RetryLater) as full:
        await ask(worker, "full")
    assert (full.value.code, full.value.counts) == (FaultCode.DISK_FULL, False)
    assert (await ask(worker, "length", size=1))["long"] == "y"


async def test_a_defect_ends_the_child_with_its_traceback(worker):
    with pytest.raises(WorkerDied, match="ValueError: a defect"):
        await ask(worker, "defect")


async def test_what_libraries_print_is_no_answer(worker):
    assert await ask(worker, "library") == {}
    assert await ask(worker, "library") == {}


async def test_progress_comes_before_the_answer(worker):
    heard = []
    async with asyncio.timeout(60):
        await worker.ask(
            {"ask": "frames", "count": 3, "total": None}, on_progress=lambda done, total: heard.append((done, total))
        )
    assert heard == [(1, None), (2, None), (3, None)]


async def test_running_out_of_memory_and_a_missing_library_end_a_child_without_a_setting(worker):
    with pytest.raises(WorkerDied, match="No module named 'no_such_library'"):
        await ask(worker, "missing")
    with pytest.raises(WorkerDied, match="MemoryError"):
        await ask(worker, "memory", size=1 << 55)


async def test_running_out_of_memory_and_a_missing_library_name_the_setting(module, monkeypatch):
    monkeypatch.setenv("TZ", "memory of the step")
    with pytest.raises(Refused, match=r"install vidd\[frames\], or raise memory of the step") as refused:
        await ask_worker(module, {"ask": "missing"}, timeout=60, memory=1 << 30)
    assert refused.value.code is FaultCode.NOT_INSTALLED
    with pytest.raises(RetryLater, match="not enough memory: raise memory of the step"):
        await ask_worker(module, {"ask": "memory", "size": 2 << 30}, timeout=60, memory=1 << 30)


async def test_one_question_has_a_child_of_its_own_and_a_deadline(module):
    answer = await ask_worker(module, {"ask": "frames", "count": 0, "total": 0}, timeout=60, memory=1 << 30, nice=3)
    assert answer["nice"] == 3
    assert not alive(answer["pid"])
    with pytest.raises(Hung, match=r"was not done after 0\.5 s, so vidd ended it") as hung:
        await ask_worker(module, {"ask": "frames", "count": 0, "total": 0, "sleep": 60}, timeout=0.5, memory=1 << 30)
    assert hung.value.code is FaultCode.STALLED


class TestLongOrders:
    """A step has a child do one long order."""

    @pytest.fixture
    def watched(self, tmp_path):
        source = tmp_path / "in.mp4"
        source.write_bytes(b"x")
        return Watched(tmp_path, source, name="in.mp4")

    async def run(self, module, watched, quiet=20.0, **order):
        async with asyncio.timeout(60):
            return await run_worker(
                module, {"ask": "frames", "count": 2, "total": 4, **order}, watched.context, quiet=quiet, memory=1 << 30
            )

    async def test_its_progress_is_that_of_the_step_and_no_child_is_left(self, module, watched):
        answer = await self.run(module, watched)
        assert watched.progress == [(1.0, 4.0, "frames", None), (2.0, 4.0, "frames", None)]
        assert not alive(answer["pid"])

    async def test_a_child_that_makes_no_progress_is_ended(self, module, watched):
        with pytest.raises(Hung, match=r"made no progress for 0\.6 s, so vidd ended it"):
            await self.run(module, watched, quiet=0.6, sleep=60)

    async def test_a_full_disk_ends_it(self, module, watched, monkeypatch):
        def full(*_):
            raise RetryLater("The disk is full.", counts=False)

        monkeypatch.setattr("vidd.processes.worker_client.check_free_space", full)
        with pytest.raises(RetryLater, match="The disk is full"):
            await self.run(module, watched, sleep=60)

    async def test_a_cancelled_one_leaves_no_child(self, module, watched):
        begun = asyncio.Event()
        watched.progress = Noted(begun)
        task = asyncio.create_task(self.run(module, watched, sleep=60))
        async with asyncio.timeout(60):
            await begun.wait()
            children = own_children()
            assert children
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while any(alive(pid) for pid in children):  # noqa: ASYNC110 - the system ends them
                await asyncio.sleep(0.01)


class Noted(list):
    """A list that sets an event when something is put into it."""

    def __init__(self, event):
        self._event = event

    def append(self, row):
        super().append(row)
        self._event.set()


def own_children() -> list[int]:
    return [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
