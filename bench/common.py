"""What the benchmarks share: media to work on, settings, a daemon in its own process, and its memory and CPU in /proc."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vidd.media.ffmpeg.process import default_ffmpeg

MEBI = 2**20
_TICK = os.sysconf("SC_CLK_TCK")
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """One program from start to end: seconds of wall time, and of CPU, its children's among them."""

    seconds: float
    cpu: float


def rss(pid: int, field_name: str = "VmRSS") -> float:
    """MB of resident memory now; with `VmHWM` the most there was."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field_name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit(f"process {pid} has ended")


def cpu(pid: int, *, children: bool = True) -> float:
    """Seconds of CPU so far, with those of its children that have ended."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(word) for word in words[11 : 15 if children else 13]) / _TICK


def wait(child: subprocess.Popen[Any], what: str) -> float:
    """Wait for the end; seconds of CPU of the child and its children. SystemExit where it failed."""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{what} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def measured(argv: Sequence[str | Path], *, stdin: bytes = b"", stderr: IO[str] | None = None) -> Run:
    """Run a program to its end."""
    begun = time.perf_counter()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=stderr) as child:
        try:
            if child.stdin:
                child.stdin.write(stdin)
                child.stdin.close()
            used = wait(child, str(argv[0]))
        except KeyboardInterrupt:
            # Else it would go on to write into a directory that is being removed.
            child.terminate()
            child.wait()
            raise
    return Run(time.perf_counter() - begun, used)


def make_clip(path: Path, size: str, seconds: float) -> None:
    """A test picture with sound."""
    subprocess.run(
        [
            *(str(default_ffmpeg()), "-nostdin", "-loglevel", "error", "-y"),
            *("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration={seconds}"),
            *("-f", "lavfi", "-i", f"sine=frequency=220:sample_rate=48000:duration={seconds}"),
            *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac", str(path)),
        ],
        check=True,
    )
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))


def settings(directory: Path, **more: str) -> Path:
    """A settings file: folder `in`, cut, folder `out`; `more` adds lines to a table (`limits`, `ffmpeg`, …)."""
    tables = {
        "daemon": f'state = "{directory}"\nlisten = "127.0.0.1:{free_port()}"',
        "limits": 'disk_reserve = "64MiB"',
        "sources.recordings": 'kind = "folder"\npath = "in"\npipeline = "talks"',
    }
    for name, lines in more.items():
        tables[name.replace("__", ".")] += f"\n{lines}"
    text = "\n".join(f"[{name}]\n{lines}" for name, lines in tables.items())
    text += '\n[[pipelines.talks.steps]]\nkind = "trim"\nfade = "500ms"'
    text += '\n[[pipelines.talks.publish]]\nkind = "folder"\npath = "out"\n'
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "in").mkdir()
    path = directory / "vidd.toml"
    path.write_text(text)
    return path


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Started:
    """A daemon in a process of its own, ready. `cpu` is what it had used by then, `seconds` how long it took."""

    child: subprocess.Popen[bytes]
    log: Path
    seconds: float
    cpu: float
    ended: dict[str, float] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self.line("ready")["listen"]
        return f"http://{host}:{port}"

    def line(self, event: str) -> dict[str, Any]:
        """The first line of the log that tells this; empty where none does yet."""
        for line in self.log.read_text().splitlines():
            if f'"{event}"' in line and (told := json.loads(line)).get("event") == event:
                return dict(told)
        return {}

    def stop(self) -> None:
        """End it, and note how long that took and what it used in all."""
        if self.child.returncode is None:
            begun = time.perf_counter()
            self.child.terminate()
            used = wait(self.child, "the daemon")
            self.ended = {"seconds": time.perf_counter() - begun, "cpu": used}


@contextmanager
def daemon(config: Path) -> Iterator[Started]:
    """`vidd run` from its first moment to its last, and in between ready."""
    log = config.with_name("vidd.log")
    begun = time.perf_counter()
    with log.open("w") as stderr:
        child = subprocess.Popen([*RUN, "--config", str(config)], stderr=stderr, cwd=config.parent)
    started = Started(child, log, 0.0, 0.0)
    try:
        while not started.line("ready"):
            if child.poll() is not None or time.perf_counter() - begun > _PATIENCE:
                raise SystemExit(f"the daemon did not become ready:\n{log.read_text()}")
            time.sleep(0.01)
        started.seconds, started.cpu = time.perf_counter() - begun, cpu(child.pid)
        yield started
    finally:
        started.stop()


RUN = [sys.executable, "-m", "vidd", "run"]


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    wide = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    print(f"\n{title}; load average {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} processors")
    for row in (head, *rows):
        cells = [row[0].ljust(wide[0]), *(cell.rjust(wide[at]) for at, cell in enumerate(row) if at)]
        print("  " + "  ".join(cells).rstrip())
