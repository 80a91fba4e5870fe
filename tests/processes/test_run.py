"""One child, to its end or its death."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from peers.processes import alive

from vidd.errors import Refused
from vidd.processes import run as process
from vidd.processes.child import setpriv
from vidd.processes.run import Limits

PYTHON = sys.executable
# Deaf to SIGINT and SIGTERM, with a child of its own in the same group; says both process ids.
DEAF = """
import os, signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
one = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(os.getpid(), one.pid, flush=True)
signal.pause()
"""


def assert_gone(*pids: int) -> None:
    deadline = time.monotonic() + 10
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < deadline, f"still alive: {left}"


async def started_deaf(run_with) -> tuple[asyncio.Task, list[int]]:
    pids: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_with(lambda line: pids.set_result([int(part) for part in line.split()])))
    async with asyncio.timeout(60):
        return task, await pids


async def test_the_end_of_a_child_tells_its_code_its_lines_and_its_complaints():
    lines = []
    ended = await process.run(["sh", "-c", "echo one; echo two >&2; printf three; exit 7"], on_line=lines.append)
    assert (ended.code, lines, ended.stderr) == (7, ["one", "three"], "two")


async def test_a_child_that_dies_of_a_signal_has_its_negative_number_as_code():
    assert (await process.run(["sh", "-c", "kill -SEGV $$"])).code == -signal.SIGSEGV


async def test_only_the_last_four_kilobytes_of_complaints_are_kept():
    ended = await process.run(["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x >&2; printf END >&2"])
    assert len(ended.stderr) == 4096
    assert ended.stderr.endswith("xxxEND")


async def test_a_line_without_an_end_does_not_fill_the_memory():
    pieces = []
    await process.run(["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"], on_line=pieces.append)
    assert sum(map(len, pieces)) == 1_000_000
    assert max(map(len, pieces)) <= 2 * 65536


@pytest.mark.slow
async def test_two_children_at_once_each_have_their_own_processor_time():
    burn = "import time\nwhile time.process_time() < {}: pass"
    busy, idle = await asyncio.gather(
        process.run([PYTHON, "-S", "-c", burn.format(0.8)]),
        process.run([PYTHON, "-S", "-c", burn.format(0.0)]),
    )
    assert busy.cpu_seconds >= 0.4
    assert idle.cpu_seconds < busy.cpu_seconds / 2


async def test_a_child_sees_neither_our_keyboard_nor_our_secrets(monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY", "hunter2")
    lines = []
    await process.run(["sh", "-c", "env; cat"], on_line=lines.append, env={"SHOWN": "yes"})
    assert "SHOWN=yes" in lines
    assert not [line for line in lines if "hunter2" in line]


async def test_a_child_leads_a_session_of_its_own_and_is_niced_and_limited():
    lines = []
    code = (
        "import os, resource as r, time\n"
        "while os.nice(0) != 7: time.sleep(0.01)\n"
        "print(os.getsid(0) == os.getpid(), r.getrlimit(r.RLIMIT_AS)[0], r.getrlimit(r.RLIMIT_CORE)[0])"
    )
    async with asyncio.timeout(60):
        await process.run([PYTHON, "-c", code], on_line=lines.append, limits=Limits(nice=7, memory=1 << 32))
    assert lines == [f"True {1 << 32} 0"]


async def test_a_program_that_is_not_there_is_refused_by_name():
    with pytest.raises(Refused, match="no program '/nowhere/ffmpeg' to run: install it"):
        await process.run(["/nowhere/ffmpeg"])


@pytest.mark.slow
async def test_a_silent_child_is_ended_and_the_error_says_so():
    task, pids = await started_deaf(
        lambda tell: process.run([PYTHON, "-c", DEAF], on_line=tell, limits=Limits(quiet=0.4, grace=0.1))
    )
    with pytest.raises(process.Hung, match=r"made no progress for 0\.4 s, so vidd ended it"):
        await task
    assert_gone(*pids)


@pytest.mark.slow
async def test_output_is_no_sign_of_life_where_the_caller_knows_a_better_one():
    chatty = ["sh", "-c", "while echo still here; do sleep 0.05; done"]
    async with asyncio.timeout(60):
        with pytest.raises(process.Hung, match="no progress"):
            await process.run(
                chatty, on_line=lambda _: None, progress_mark=lambda _: 0, limits=Limits(quiet=0.4, grace=0.1)
            )


@pytest.mark.slow
async def test_a_growing_answer_keeps_a_silent_child_alive():
    answers = iter(range(1_000_000))
    ended = await process.run(["sleep", "1"], progress_mark=lambda _: next(answers), limits=Limits(quiet=0.4))
    assert ended.code == 0


async def test_a_child_has_only_so_much_time():
    async with asyncio.timeout(60):
        with pytest.raises(process.Hung, match=r"sleep was not done after 0\.3 s"):
            await process.run(["sleep", "600"], limits=Limits(deadline=0.3))


async def test_what_the_callers_question_raises_ends_the_child():
    pids = []

    def full(pid: int) -> int:
        pids.append(pid)
        raise Refused("The disk is full.")

    with pytest.raises(Refused, match="The disk is full"):
        await process.run(["sleep", "600"], progress_mark=full)
    assert_gone(*pids)


async def test_what_a_line_raises_ends_the_child():
    task, pids = await started_deaf(
        lambda tell: process.run(
            [PYTHON, "-c", DEAF], on_line=lambda line: (tell(line), 1 / 0), limits=Limits(grace=0.1)
        )
    )
    with pytest.raises(ZeroDivisionError):
        await task
    assert_gone(*pids)


async def test_cancelling_leaves_nothing_of_the_group_even_where_signals_are_ignored():
    task, pids = await started_deaf(
        lambda tell: process.run([PYTHON, "-c", DEAF], on_line=tell, limits=Limits(grace=0.1))
    )
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pids[0])
    assert_gone(*pids)


@pytest.mark.slow
async def test_a_second_cancellation_does_not_leave_the_child_behind():
    task, pids = await started_deaf(
        lambda tell: process.run([PYTHON, "-c", DEAF], on_line=tell, limits=Limits(grace=0.3))
    )
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pids[0])


async def test_a_child_may_end_itself_decently_when_cancelled(tmp_path):
    polite = """
import pathlib, signal, sys
def farewell(*_):
    pathlib.Path(sys.argv[1]).write_text("bye")
    sys.exit(0)
signal.signal(signal.SIGINT, farewell)
print("1", flush=True)
signal.pause()
"""
    note = tmp_path / "note"
    task, _ = await started_deaf(
        lambda tell: process.run([PYTHON, "-c", polite, note], on_line=tell, limits=Limits(grace=20))
    )
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert note.read_text() == "bye"


async def test_what_a_child_leaves_behind_when_it_ends_is_ended_too():
    lines = []
    await process.run(["sh", "-c", "sleep 600 & echo $!"], on_line=lines.append)
    assert_gone(int(lines[0]))


@pytest.mark.skipif(setpriv() is None, reason="needs Debian package: util-linux")
def test_kill_minus_nine_of_the_parent_leaves_no_child():
    parent = textwrap.dedent("""
        import asyncio
        from vidd.processes import run as process
        asyncio.run(process.run(["sh", "-c", "echo $$; exec sleep 600"], on_line=lambda line: print(line, flush=True)))
    """)
    with subprocess.Popen([PYTHON, "-c", parent], stdout=subprocess.PIPE) as one:
        child = int(one.stdout.readline())
        assert alive(child)
        one.kill()
    assert_gone(child)
