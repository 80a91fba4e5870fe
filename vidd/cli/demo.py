"""`vidd demo`: runs the real daemon on a recording that it makes itself, or on a feed that comes with vidd."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import typer

from vidd.cli import demo_fixture, demo_timeline
from vidd.cli.api_client import DaemonClient
from vidd.cli.common import JsonOption, print_json, print_text, run_to_end
from vidd.cli.demo_daemon import (
    client_of,
    end_at_signals,
    free_port,
    log_of,
    mails_in,
    prepare_directory,
    print_mails,
    running_daemon,
    stay_until_interrupted,
)
from vidd.cli.exit_codes import ExitCode
from vidd.cli.follow import View, choose_view, follow_job
from vidd.errors import Refused
from vidd.media.probe.client import probe_report

_INTAKE_TIMEOUT = 120.0


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
    what: Annotated[
        Literal["talk", "timeline"],
        typer.Argument(help="talk: a recording becomes a talk; timeline: posts become a video."),
    ] = "talk",
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where to put everything; without it, a new one.")
    ] = None,
    *,
    stay: Annotated[bool, typer.Option("--stay", help="Leave the daemon running until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the daemon on a recording that it makes, or on posts that come with it, and show what came out. Exit 0 when it is published."""
    result: Result | demo_timeline.Result
    try:
        if what == "talk":
            result = run_to_end(_demo(directory, stay=stay, as_json=as_json))
        else:
            result = run_to_end(demo_timeline.demonstrate(directory, stay=stay, as_json=as_json))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if result.state != "published":
        raise typer.Exit(ExitCode.REFUSED)


async def _demo(directory: Path | None, *, stay: bool, as_json: bool) -> Result:
    started = time.monotonic()
    end_at_signals()
    root = prepare_directory(directory)
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
        port = free_port()
        url = f"http://127.0.0.1:{port}/"
        report(f"Starting the daemon; its page is {url}")
        async with (
            running_daemon(demo_fixture.write_settings(root, port), root) as child,
            client_of(root, child) as daemon,
        ):
            job = await _until_published(root, daemon, view)
            result = await _result(root, sheet, url, job, time.monotonic() - started)
            if not as_json:
                _print_result(result, before, demo_fixture.read_rows(sheet), root)
            else:
                print_json(result.to_json())
            if stay:
                await stay_until_interrupted(child, report)
    return result


def _silent(_text: str) -> None:
    """Print nothing: with --json only the result is printed."""


async def _until_published(root: Path, daemon: DaemonClient, view: View) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_INTAKE_TIMEOUT):
            talk = await _job_of(daemon, demo_fixture.TALK)
    except TimeoutError:
        raise Refused(f"The daemon did not take the recording up; {log_of(root)} says why.") from None
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
    state, reason = job["state"], job["reason"]
    return Result(state, reason, video, duration, mails_in(root), str(sheet), url, round(seconds, 1))


def _print_result(result: Result, before: list[dict[str, str]], after: list[dict[str, str]], root: Path) -> None:
    print_text(f"\n{result.state} after {result.seconds:.0f} s{f': {result.reason}' if result.reason else ''}")
    if result.video:
        print_text(f"  video  {result.video}\n         {result.duration_s:.2f} s")
    print_mails(result.mails)
    print_text(f"  sheet  {result.sheet}")
    for old, new in zip(before, after, strict=False):
        was = old["status"] or "(empty)"
        print_text(f"         {new['title']}: {was} → {new['status'] or '(empty)'} {new['link']}".rstrip())
    print_text(f"  page   {result.url} (while the daemon runs: vidd demo --stay)\n  all of it is in {root}")
