"""Any program, with whatever it starts, to its end: under a subreaper nothing is left alive."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from peers.processes import alive

from vidd.errors import Refused
from vidd.processes import run as process
from vidd.processes.run import Limits
from vidd.processes.subreaper import descendants

PYTHON = sys.executable
# Deaf to SIGINT and SIGTERM, with children that leave the group, leave the session, and are orphaned, some of them with an
# empty environment. Says all process ids.
RUNAWAY = """
import os, signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
wait = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
pids = [os.getpid()]
for more in ({}, {"process_group": 0}, {"start_new_session": True}, {"start_new_session": True, "env": {}}):
    pids.append(subprocess.Popen(wait, **more).pid)
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writing, str(os.getpid()).encode())
        os.execve(sys.executable, wait, {})
    os._exit(0)
os.wait()
pids.append(int(os.read(reading, 20)))
print(*pids, flush=True)
signal.pause()
"""


def assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < deadline, f"still alive: {left}"


class Heard:
    """Both streams as they came; `words` are there once a whole line was said."""

    def __init__(self):
        self.out, self.err = b"", b""
        self.said = asyncio.Event()

    def on_out(self, chunk: bytes) -> None:
        self.out += chunk
        if b"\n" in chunk:
            self.said.set()

    def on_err(self, chunk: bytes) -> None:
        self.err += chunk

    async def words(self) -> list[int]:
        async with asyncio.timeout(60):
            await self.said.wait()
        return [int(word) for word in self.out.split()]


async def guarded(argv, heard=None, cwd=None, **limits):
    heard = heard or Heard()
    ended = await process.run(
        argv, on_output=(heard.on_out, heard.on_err), guarded=True, cwd=cwd, limits=Limits(**limits)
    )
    return ended, heard


async def test_both_streams_and_the_exit_code_come_through_the_subreaper():
    ended, heard = await guarded(["sh", "-c", "printf one; printf two >&2; exit 7"])
    assert (ended.code, heard.out, heard.err, ended.stderr) == (7, b"one", b"two", "two")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
async def test_a_program_that_dies_of_a_signal_shows_it(number):
    ended, _ = await guarded(["sh", "-c", f"kill -{int(number)} $$"])
    assert ended.code == -number


async def test_cancelling_leaves_nothing_alive_of_a_deaf_program_and_of_children_that_left_its_group_and_session():
    heard, others = Heard(), descendants(os.getpid())
    task = asyncio.create_task(guarded([PYTHON, "-S", "-c", RUNAWAY], heard, grace=0.1))
    pids = await heard.words()
    assert len(pids) == 6
    assert all(map(alive, pids))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [pid for pid in pids if alive(pid)] == []
    # Servers that all tests share live on.
    assert descendants(os.getpid()) <= others


async def test_what_a_program_leaves_behind_in_another_session_ends_with_it():
    ended, heard = await guarded(["sh", "-c", "setsid sh -c 'echo $$; exec sleep 600' & sleep 0.3"])
    assert ended.code == 0
    assert not alive(int(heard.out))


async def test_a_polite_program_and_its_group_may_end_themselves(tmp_path):
    polite = """
import pathlib, signal, sys
def farewell(*_):
    pathlib.Path(sys.argv[1]).write_text("bye")
    sys.exit(0)
signal.signal(signal.SIGINT, farewell)
print(1, flush=True)
signal.pause()
"""
    heard = Heard()
    task = asyncio.create_task(guarded([PYTHON, "-S", "-c", polite, str(tmp_path / "note")], heard, grace=20))
    await heard.words()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "note").read_text() == "bye"


@pytest.mark.slow
async def test_a_sigterm_reaches_children_that_left_the_group(tmp_path):
    # The leader is deaf; its child in another session hears SIGTERM and says so.
    code = """
import signal, subprocess, sys
child = "trap 'echo heard > %s; exit' TERM; echo 1; while :; do sleep 0.05; done" % sys.argv[1]
one = subprocess.Popen(["sh", "-c", child], start_new_session=True, stdout=subprocess.PIPE)
one.stdout.readline()
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(1, flush=True)
one.wait()
signal.pause()
"""
    heard = Heard()
    task = asyncio.create_task(guarded([PYTHON, "-S", "-c", code, str(tmp_path / "note")], heard, grace=2))
    await heard.words()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "note").read_text() == "heard\n"


async def test_a_program_that_tells_its_own_group_to_end_does_not_reach_its_subreaper():
    ended, heard = await guarded(["sh", "-c", "trap '' TERM; kill -TERM 0; sleep 0.1; echo 5; exit 3"])
    assert (ended.code, heard.out) == (3, b"5\n")


async def test_a_killed_subreaper_leaves_nothing_alive():
    heard = Heard()
    code = "import os, subprocess, time\none = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    code += "print(os.getppid(), os.getpid(), one.pid, flush=True)\ntime.sleep(600)"
    task = asyncio.create_task(guarded([PYTHON, "-S", "-c", code], heard))
    pids = await heard.words()
    os.kill(pids[0], signal.SIGKILL)
    async with asyncio.timeout(60):
        ended, _ = await task
    assert ended.code == -signal.SIGKILL
    assert_gone(pids)


async def test_a_program_is_niced_and_limited_and_sees_the_signals_it_would_see_in_a_shell():
    code = (
        "import os, resource as r, signal\n"
        "print(os.getsid(0) == os.getpid(), os.nice(0), r.getrlimit(r.RLIMIT_AS)[0], r.getrlimit(r.RLIMIT_CORE)[0])\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))\n"
    )
    _, heard = await guarded([PYTHON, "-S", "-c", code], nice=7, memory=1 << 32)
    assert heard.out.decode().splitlines() == [f"True 7 {1 << 32} 0", "set()"]
    pipe, heard = await guarded(["sh", "-c", "yes | head -1; kill -PIPE $$"])
    assert (pipe.code, heard.out) == (-signal.SIGPIPE, b"y\n")


async def test_a_program_that_is_there_but_cannot_be_run_says_so(tmp_path):
    (tmp_path / "broken").write_text("#!/nowhere/python\n")
    (tmp_path / "broken").chmod(0o755)
    ended, _ = await guarded([tmp_path / "broken"])
    assert ended.code == 127
    assert ended.stderr == f"{tmp_path / 'broken'} could not be started: No such file or directory"


async def test_a_program_named_from_its_own_directory_is_found_there(tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\necho here\n")
    (tmp_path / "tool").chmod(0o755)
    _, heard = await guarded(["./tool"], cwd=tmp_path)
    assert heard.out == b"here\n"
    with pytest.raises(Refused, match=r"no program '\./other'"):
        await guarded(["./other"], cwd=tmp_path)


@pytest.mark.slow
def test_kill_minus_nine_of_the_parent_leaves_no_descendant():
    parent = textwrap.dedent("""
        import asyncio, sys
        from vidd.processes import run as process
        say = lambda chunk: (sys.stdout.buffer.write(chunk), sys.stdout.flush())
        asyncio.run(process.run([sys.executable, "-S", "-c", sys.argv[1]], on_output=(say, say), guarded=True))
    """)
    with subprocess.Popen([PYTHON, "-c", parent, RUNAWAY], stdout=subprocess.PIPE) as one:
        pids = [int(word) for word in one.stdout.readline().split()]
        assert all(map(alive, pids))
        one.kill()
    assert_gone(pids)
