"""The real daemon as a process: a place of its own, started, asked over its socket, killed, and looked at afterwards."""

from __future__ import annotations

import asyncio
import csv
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from peers import daemon_fate
from peers.daemon_texts import FFMPEG, HEADINGS, SETTINGS, talk
from typer.testing import CliRunner

import vidd
from vidd.__main__ import app
from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.ports import Store
from vidd.stores.sqlite.store import SqliteStore

DEADLINE = 60.0


def until(ask: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
    """What `ask` answers as soon as it is true; fails, saying what was waited for, when the deadline has passed."""
    end = time.monotonic() + deadline
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what}")
        time.sleep(0.02)


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Place:
    """A state directory with settings, a programme and folders; the daemons that run on it, one after another."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "vidd.toml"
        self.sheet = root / "programme.csv"
        self._slow = root / "slow"
        self.starts = 0
        for name in ("in", "encodes", "site"):
            (root / name).mkdir()
        (root / "site" / "sitecustomize.py").write_text(
            "from peers import coverage_environment, daemon_fate\n\ncoverage_environment.pass_on()\ndaemon_fate.arm()\n"
        )
        wrapper = root / "ffmpeg"
        wrapper.write_text(FFMPEG.format(python=sys.executable, root=root, ffmpeg=default_ffmpeg()))
        wrapper.chmod(0o755)
        self.settings()
        self.programme(talk("t1"))

    def settings(self, *changes: tuple[str, str], more: str = "") -> None:
        """Write vidd.toml: the usual one with texts replaced, each of which must be there."""
        text = SETTINGS.format(root=self.root)
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.config.write_text(text + more)

    def programme(self, *rows: Mapping[str, str]) -> None:
        """Write the sheet, whole at once."""
        part = self.root / ".programme"
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, HEADINGS, restval="")
            writer.writeheader()
            writer.writerows(rows)
        part.replace(self.sheet)

    def slow(self, speed: float = 0.1, *, after: float = 0) -> None:
        """Have every encode that begins from now on take its time: seconds of media in one second, `after` so many."""
        self._slow.write_text(f"{speed} -readrate_initial_burst {after}" if after else str(speed))

    def quick(self) -> None:
        """Encode at full speed again."""
        self._slow.unlink()

    def rows(self) -> dict[str, dict[str, str]]:
        """The sheet as it is, by talk."""
        with self.sheet.open(newline="") as file:
            return {row["id"]: row for row in csv.DictReader(file)}

    def drop(self, recording: Path, name: str | bytes = "Main_t1_000000_000003.mp4") -> Path:
        """Put a recording into the watched folder, whole at once and older than a moment."""
        part = self.root / ".dropped"
        shutil.copyfile(recording, part)
        os.utime(part, (time.time() - 3600,) * 2)
        return part.replace(self.root / "in" / os.fsdecode(name))

    def environment(self, *, fate: Mapping[str, Any] | None = None, **more: str) -> dict[str, str]:
        own = {
            name: value for name, value in os.environ.items() if not name.startswith(("VIDD_", "NOTIFY", "WATCHDOG"))
        }
        paths = [self.root / "site", Path(__file__).parents[1], Path(vidd.__file__).parents[1]]
        own["PYTHONPATH"] = os.pathsep.join([*map(str, paths), own.get("PYTHONPATH", "")])
        if fate is not None:
            own[daemon_fate.VARIABLE] = json.dumps(fate)
        return {**own, **more}

    @contextmanager
    def daemon(self, *words: str, fate: Mapping[str, Any] | None = None, **environment: str):
        """A daemon; ended by its pid, if it has not ended by itself."""
        self.starts += 1
        log = self.root / f"log-{self.starts}"
        with log.open("wb") as lines:
            process = subprocess.Popen(
                [sys.executable, "-m", "vidd", "run", "--config", str(self.config), *words],
                cwd=self.root,
                env=self.environment(fate=fate, **environment),
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
            )
        try:
            yield Running(self, process, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def logs(self) -> list[str]:
        """What each daemon said, and what is kept of programs."""
        kept = (self.root / "logs").glob("*") if (self.root / "logs").is_dir() else ()
        return [path.read_text() for path in (*self.root.glob("log-*"), *kept)]

    def drain(self, *words: str) -> Running:
        """Run a daemon until nothing is left to do; it must end well."""
        with self.daemon("--until-idle", *words) as running:
            code = running.ended()
            assert code == 0, running.log.read_text()
        return running

    def vidd(self, *words: object) -> tuple[int, str, str]:
        """Exit code, output and error output of a command that asks the daemon which runs here."""
        command, *more = map(str, words)
        ended = CliRunner().invoke(app, [command, "--config", str(self.config), *more])
        if ended.exception and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return ended.exit_code, ended.stdout, ended.stderr

    def start_vidd(self, *words: object) -> subprocess.Popen[str]:
        """A command as a process of its own, whose output is a pipe."""
        command, *more = map(str, words)
        return subprocess.Popen(
            [sys.executable, "-m", "vidd", command, "--config", str(self.config), *more],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def alive(self) -> list[str]:
        """The command lines of all processes that work in or on this place."""
        mine, found = os.fsencode(self.root), []
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                try:
                    words = (process / "cmdline").read_bytes()
                    cwd = os.fsencode((process / "cwd").readlink())
                except OSError:
                    continue
                if words and (mine in words or cwd.startswith(mine)):
                    found.append(f"{process.name}: {os.fsdecode(words).split(chr(0))}")
        return found

    def encodes(self) -> list[int]:
        """The pids of the encodes that run now."""
        pids = [int(one.name) for one in (self.root / "encodes").iterdir()]
        return [
            pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def files(self) -> set[str]:
        """All files but those of the test itself."""
        own = re.compile(r"(vidd\.toml|ffmpeg|slow|log-\d+|lock|(encodes|site)/.*|in/.*)")
        paths = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if not path.is_dir())
        return {path for path in paths if not own.fullmatch(path)}

    def journal(self, ask: Callable[[Store], Any], kept: Store | None = None) -> Any:
        """Ask the store of a daemon that has ended; the usual one where none is given."""

        async def look() -> Any:
            store = kept or SqliteStore(self.root / "journal.sqlite")
            await store.open()
            try:
                return await ask(store)
            finally:
                await store.close()

        return asyncio.run(look())


class Running:
    """A daemon process."""

    def __init__(self, place: Place, process: subprocess.Popen[bytes], log: Path) -> None:
        self.place, self.process, self.log = place, process, log
        self._is_ready = False

    def ask(self, path: str, body: Any = None, *, method: str | None = None) -> tuple[int, Any]:
        """Status and JSON of the API, over the socket, once it is ready."""
        self.ready()
        connection = _SocketConnection(self.place.root / "vidd.sock")
        try:
            data = None if body is None else json.dumps(body)
            connection.request(
                method or ("GET" if body is None else "POST"), path, data, {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def fetch(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and bytes of what the port has at a path."""
        self.ready()
        connection = _SocketConnection(self.place.root / "vidd.sock")
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.headers.get_content_type(), answer.read()
        finally:
            connection.close()

    def ready(self) -> Running:
        """Once it says so."""

        def look() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self._is_ready or bool(self.said("ready"))

        self._is_ready = until(look, "the daemon is ready")
        return self

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log with this event."""
        lines = (line for line in self.log.read_text(errors="replace").splitlines() if line.startswith("{"))
        return [one for one in map(json.loads, lines) if one["event"] == event]

    def jobs(self, **query: str) -> list[dict[str, Any]]:
        """All jobs, newest first."""
        words = "&".join(f"{name}={quote(value)}" for name, value in query.items())
        return self.ask(f"/api/jobs?{words}")[1]["jobs"]

    def job(self, state: str, **query: str) -> dict[str, Any]:
        """The first job, once one that fits is in this state."""
        try:
            found = until(lambda: [one for one in self.jobs(**query) if one["state"] == state], f"a job is {state}")
        except AssertionError as error:
            error.add_note(self.log.read_text()[-6000:])
            raise
        return self.ask(f"/api/jobs/{found[0]['id']}")[1]

    def encoding(self, count: int = 1) -> list[int]:
        """Once so many encodes run."""
        return until(lambda: (pids := self.place.encodes()) and len(pids) == count and pids, f"{count} encodes run")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, deadline: float = DEADLINE) -> int:
        """Its exit code, negative for a signal."""
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {deadline:g} s: {self.log.read_text()[-3000:]}") from None

    def stopped(self) -> None:
        """End it as systemd does, and see that it ends well."""
        self.signal(signal.SIGTERM)
        code = self.ended()
        assert code == 0, self.log.read_text()
