"""`vidd demo timeline`: the timeline service on a feed that comes with vidd; no account, no network."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.cli.common import print_json, print_text
from vidd.cli.demo_daemon import (
    client_of,
    end_at_signals,
    free_port,
    mails_in,
    prepare_directory,
    print_mails,
    running_daemon,
    stay_until_interrupted,
)
from vidd.cli.follow import View, choose_view, follow_job
from vidd.media.probe.client import probe_report
from vidd.settings.schema import embedded

if TYPE_CHECKING:
    from vidd.cli.api_client import DaemonClient

USER, EMAIL = "ada", "ada@example.org"
_FEED = "feed.xml"


@dataclass(frozen=True, slots=True)
class Result:
    """What the demonstration made. `seconds` is how long all of it took."""

    state: str
    reason: str | None
    video: str | None
    duration_s: float | None
    mails: list[str]
    display_url: str
    url: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` ends with."""
        return {name: value for name, value in asdict(self).items() if name != "reason"}


async def demonstrate(directory: Path | None, *, stay: bool, as_json: bool) -> Result:
    """Run the service, ask for a video as a client would, and show what came out."""
    started = time.monotonic()
    end_at_signals()
    root, port = prepare_directory(directory), free_port()
    url = f"http://127.0.0.1:{port}"
    report = (lambda _text: None) if as_json else print_text
    (root / _FEED).write_bytes(files("vidd.data").joinpath("timeline-feed.xml").read_bytes())
    report(f"Starting the daemon; its page is {url}/")
    with choose_view(as_json=as_json) as view:
        async with running_daemon(_write_settings(root, port), root) as child, client_of(root, child) as daemon:
            answer, job = await _ask(daemon, view, report)
            result = await _result(root, url, answer, job, time.monotonic() - started)
            if as_json:
                print_json(result.to_json())
            else:
                _print_result(result, root)
            if stay:
                await stay_until_interrupted(child, report)
    return result


async def _ask(daemon: DaemonClient, view: View, report: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The service's answer, and the job once it rests."""
    report(f"Asking for /video?user={USER}&email={EMAIL}")
    answer = await daemon.get("/video", user=USER, email=EMAIL)
    [job] = (await daemon.get("/api/jobs"))["jobs"]
    return answer, await follow_job(daemon, view, job["id"])


async def _result(root: Path, url: str, answer: dict[str, Any], job: dict[str, Any], seconds: float) -> Result:
    video = root / "display" / answer["video_id"] / job["name"]
    duration = None
    if video.exists():
        duration = (await probe_report(video))["video"][0]["duration"]
    return Result(
        state=job["state"],
        reason=job["reason"],
        video=str(video) if video.exists() else None,
        duration_s=duration,
        mails=mails_in(root),
        display_url=answer["display_url"],
        url=f"{url}/",
        seconds=round(seconds, 1),
    )


def _print_result(result: Result, root: Path) -> None:
    print_text(f"\n{result.state} after {result.seconds:.0f} s{f': {result.reason}' if result.reason else ''}")
    if result.video:
        print_text(f"  video  {result.video}\n         {result.duration_s:.2f} s")
    print_mails(result.mails)
    print_text(f"  page   {result.display_url} (while the daemon runs: vidd demo timeline --stay)")
    print_text(f"  all of it is in {root}")


def _write_settings(root: Path, port: int) -> Path:
    """The settings of the example, with the feed in place of X, and an outbox in place of a mail server."""
    text = embedded("timeline.toml")
    post = text.partition("[accounts.post]")[2].partition("\n\n")[0]
    changes = {
        'state = "/var/lib/vidd"': f'state = "{root}"',
        'listen = "127.0.0.1:5000"': f'listen = "127.0.0.1:{port}"',
        '[accounts.birds]              # whose posts are read: an app at X\nkind = "x"\n': (
            f'[limits]\ndisk_reserve = "256MiB"\n\n[accounts.birds]\nkind = "feed"\npath = "{_FEED}"\n'
        ),
        f"[accounts.post]{post}\n\n": "",
        'accounts = { x = "birds" }': f'public_url = "http://127.0.0.1:{port}"\naccounts = {{ feed = "birds" }}',
        'account = "post"\n': "",
        "\nseconds = 3 ": "\nseconds = 2 ",
    }
    for old, new in changes.items():
        if old not in text:
            raise AssertionError(f"etc/examples/timeline.toml has no {old!r}")
        text = text.replace(old, new)
    path = root / "vidd.toml"
    path.write_text(text, "utf-8")
    return path
