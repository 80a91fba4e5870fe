"""`vidd demo`: runs the real daemon on a recording that it makes itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

from vidd.aio.shield import shield_to_end
from vidd.cli import demo_fixture
from vidd.cli.api_client import DaemonClient
from vidd.cli.common import JsonOption, print_json, print_text, run_to_end
from vidd.cli.exit_codes import ExitCode
from vidd.cli.follow import View, choose_view, follow_job
from vidd.daemon.app import SOCKET
from vidd.errors import Refused
from vidd.media.probe.client import probe_report
from vidd.processes.child import setpriv

_START_TIMEOUT = 60.0
_INTAKE_TIMEOUT = 120.0
_MIN_FREE = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class Result:
    """What the demonstration made. `seconds` is how long all of it took."""

    state: str
    reason: str | None
    video: str | None
    duration_s: float | None
    mails: list[str]
    sheet: str
    url: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` ends with."""
        names = ("state", "video", "duration_s", "mails", "sheet", "url", "seconds")
        return {name: getattr(self, name) for name in names}


def demo(
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where to put everything; without it, a new one.")
    ] = None,
    *,
    stay: Annotated[bool, typer.Option("--stay", help="Leave the daemon running until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a recording, run the daemon on it, and show what came out. Exit 0 when it is published."""
    try:
        result = run_to_end(_demo(directory, stay=stay, as_json=as_json))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if result.state != "published":
        raise typer.Exit(ExitCode.REFUSED)


def _free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])


def _prepare(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="vidd-demo-"))
    directory = directory.resolve()
    if directory.exists() and any(directory.iterdir()):
        raise Refused(f"{directory} is not empty: name another directory, so that nothing of yours is touched.")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@asynccontextmanager
async def _daemon(config: Path, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("VIDD_")}
    with log.open("wb") as lines:
        child = await asyncio.create_subprocess_exec(
            *((tie, "--pdeathsig", "TERM", "--") if (tie := setpriv()) else ()),
            *(sys.executable, "-m", "vidd", "run", "--config", str(config)),
            stdout=lines,
            stderr=lines,
            env=own,
            start_new_session=True,
        )
        try:
            yield child
        finally:
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)
                await shield_to_end(child.wait())


async def _demo(directory: Path | None, *, stay: bool, as_json: bool) -> Result:
    started = time.monotonic()
    task = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell starts background commands with SIGINT ignored, so Python has installed no handler of its own.
        asyncio.get_running_loop().add_signal_handler(number, lambda: task.cancel() if task else None)
    root = _prepare(directory)
    if shutil.disk_usage(root).free < _MIN_FREE:
        raise Refused(f"{root} has less than 512 MiB free: name a directory with more room by --dir.")
    sheet = root / "programme.csv"
    recording = root / "in" / demo_fixture.NAME
    recording.parent.mkdir()
    report = _silent if as_json else print_text
    with choose_view(as_json=as_json) as view:
        report(f"Making a recording of {demo_fixture.SECONDS} s in {root} …")

        def progress(done: float) -> None:
            about = {
                "job": "demo",
                "part": "recording",
                "done": done,
                "total": float(demo_fixture.SECONDS),
                "unit": "s",
            }
            view.show("progress", {**about, "fraction": min(1.0, done / demo_fixture.SECONDS), "speed": None})

        await demo_fixture.make_recording(recording, progress)
        view.show("step", {"job": "demo", "step": "recording", "fate": "done"})
        demo_fixture.write_programme(sheet)
        demo_fixture.link_recording(recording, recording.with_name(demo_fixture.EXCLUDED_NAME))
        before = demo_fixture.read_rows(sheet)
        port = _free_port()
        url = f"http://127.0.0.1:{port}/"
        report(f"Starting the daemon; its page is {url}")
        async with _daemon(demo_fixture.write_settings(root, port), root / "vidd.log") as child:
            job = await _until_published(root, child, view)
            result = await _result(root, sheet, url, job, time.monotonic() - started)
            if not as_json:
                _print_result(result, before, demo_fixture.read_rows(sheet), root)
            else:
                print_json(result.to_json())
            if stay:
                report("The daemon goes on until you press Ctrl-C.")
                await child.wait()
    return result


def _silent(_text: str) -> None:
    """Print nothing: with --json only the result is printed."""


async def _until_published(root: Path, child: asyncio.subprocess.Process, view: View) -> dict[str, Any]:
    async with DaemonClient(socket=root / SOCKET) as daemon:
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                while not (root / SOCKET).exists():
                    if child.returncode is not None:
                        raise Refused(f"The daemon ended at once; {root / 'vidd.log'} says why.")
                    await asyncio.sleep(0.1)
            async with asyncio.timeout(_INTAKE_TIMEOUT):
                talk = await _job_of(daemon, demo_fixture.TALK)
        except TimeoutError:
            raise Refused(f"The daemon did not take the recording up; {root / 'vidd.log'} says why.") from None
        job = await follow_job(daemon, view, talk["id"])
        async with asyncio.timeout(_INTAKE_TIMEOUT):
            excluded = await _job_of(daemon, demo_fixture.EXCLUDED)
            await follow_job(daemon, view, excluded["id"])
        return job


async def _job_of(daemon: DaemonClient, talk: str) -> dict[str, Any]:
    while True:
        found = (await daemon.get("/api/jobs", talk=talk))["jobs"]
        if found:
            return found[0]  # type: ignore[no-any-return]
        await asyncio.sleep(0.2)


async def _result(root: Path, sheet: Path, url: str, job: dict[str, Any], seconds: float) -> Result:
    video = unquote(urlsplit(job["link"]).path) if job.get("link") else None
    duration = None
    if video is not None:
        duration = (await probe_report(Path(video)))["video"][0]["duration"]
    mails = sorted(str(path) for path in (root / "outbox").glob("*.eml"))
    state, reason = job["state"], job["reason"]
    return Result(state, reason, video, duration, mails, str(sheet), url, round(seconds, 1))


def _print_result(result: Result, before: list[dict[str, str]], after: list[dict[str, str]], root: Path) -> None:
    print_text(f"\n{result.state} after {result.seconds:.0f} s{f': {result.reason}' if result.reason else ''}")
    if result.video:
        print_text(f"  video  {result.video}\n         {result.duration_s:.2f} s")
    for path in result.mails:
        mail = BytesParser(policy=policy.default).parsebytes(Path(path).read_bytes())
        print_text(f"  mail   {path}\n         to {mail['To']}: {mail['Subject']}")
    print_text(f"  sheet  {result.sheet}")
    for old, new in zip(before, after, strict=False):
        was = old["status"] or "(empty)"
        print_text(f"         {new['title']}: {was} → {new['status'] or '(empty)'} {new['link']}".rstrip())
    print_text(f"  page   {result.url} (while the daemon runs: vidd demo --stay)\n  all of it is in {root}")
