"""The input of `vidd demo`: a recording, a programme, and settings on the embedded defaults."""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Callable
from pathlib import Path

from vidd.errors import Refused
from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.settings.schema import embedded

SECONDS = 90
TALK = "5f0c2b1e-7d3a-4c58-9a41-0d6e8b1f2a37"
EXCLUDED = "c1d9a6f4-2e70-4b8b-8f15-3a9d7c5e6b02"
LATER = "8b7e4d2c-19f6-4a3d-b0c8-6f5a1e9d3c74"
NAME = f"Main-Stage_{TALK}_000015_000115.mp4"
EXCLUDED_NAME = f"Main-Stage_{EXCLUDED}_000000_000030.mp4"
HEADINGS = ("id", "title", "description", "speakers", "emails", "stage", "exclude", "status", "link")
ROWS = (
    (
        TALK,
        "Cutting talks while the audience still claps",
        "Three people show how a recording becomes a published talk without anybody touching it.",
        "Ada Lovelace; Grace Hopper; Katherine Johnson",
        "ada@example.org; grace@example.org; katherine@example.org",
        "Main Stage",
        "",
        "",
        "",
    ),
    (
        EXCLUDED,
        "Not for the record",
        "The speaker asked not to be published.",
        "Anon",
        "",
        "Main Stage",
        "1",
        "",
        "",
    ),
    (
        LATER,
        "Coming up after lunch",
        "It has not been given yet.",
        "Alan Turing",
        "alan@example.org",
        "Attic",
        "",
        "",
        "",
    ),
)


def recording_args(ffmpeg: Path, output: Path) -> list[str]:
    """Ffmpeg's arguments for a test pattern with a clock and a beep every second: 90 s, 1920x1080, 25 frames a second."""
    return [
        *(str(ffmpeg), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"),
        *("-f", "lavfi", "-i", f"testsrc=size=1920x1080:rate=25:duration={SECONDS}"),
        *("-f", "lavfi", "-i", f"sine=frequency=220:beep_factor=4:sample_rate=48000:duration={SECONDS}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-pix_fmt", "yuv420p", "-g", "100"),
        *("-c:a", "aac", "-b:a", "128k", "-ac", "2"),
        *("-progress", "pipe:1", "-nostats", "-f", "mp4", str(output)),
    ]


async def make_recording(output: Path, progress: Callable[[float], None]) -> None:
    """Make the recording under a hidden name and rename it, so that the watched folder sees only the complete file."""
    part = output.with_name(f".{output.name}.part")
    child = await asyncio.create_subprocess_exec(
        *recording_args(default_ffmpeg(), part), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    if child.stdout is None or child.stderr is None:
        raise RuntimeError("ffmpeg was started without pipes")
    try:
        async for line in child.stdout:
            key, _, value = line.decode().strip().partition("=")
            if key == "out_time_us" and value.isdigit():
                progress(int(value) / 1e6)
        errors = (await child.stderr.read()).decode(errors="replace").strip()
        if await child.wait():
            raise Refused(f"ffmpeg could not make the recording ({errors[-200:]}).")
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    part.rename(output)


def write_programme(path: Path) -> None:
    """Write the programme: a talk that is recorded, one that is excluded, one that has not been given."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        writer.writerows(ROWS)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of the programme by heading."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_settings(directory: Path, port: int) -> Path:
    """Write the embedded settings with this state directory and port; returns the file."""
    path = directory / "vidd.toml"
    text = embedded().replace('state = "/var/lib/vidd"', f'state = "{directory}"')
    text = text.replace('listen = "127.0.0.1:8080"', f'listen = "127.0.0.1:{port}"')
    path.write_text(text.replace('disk_reserve = "5GiB"', 'disk_reserve = "256MiB"'))
    return path


def link_recording(source: Path, target: Path) -> None:
    """Link the recording under another name."""
    os.link(source, target)
