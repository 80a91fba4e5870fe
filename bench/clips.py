"""Two-second clips through the daemon (folder in, cut, checked, folder out) against `xargs -P2` of the same ffmpeg runs.

    python bench/clips.py [--quick] [--clips 50] [--rounds 3] [--sizes 1280x720,640x360]

Both get the same argument lists, niceness and number of encodes at once; rounds are interleaved, ratios are medians
of the rounds' own. On a machine that is not idle, VIDD_FFMPEG__NICE=0 (the settings say 10) makes them steadier.
`running` counts from the moment the first clip is put into the folder of a daemon that runs until the journal says
that the last one is published. `cold` is `vidd run --until-idle` from its start to its end, with all clips there.
The clips were written long before, so the folder's settle time (2 s after a file's last change) has passed for them;
what it adds to one that was just written is a row of the second table, which says where everything else goes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from common import RUN, Run, daemon, make_clip, measured, settings, table

from vidd.media.ffmpeg.args.common import Cut, CutSource, EncodeSettings, trim_args
from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.media.probe.client import probe_report
from vidd.model.media import Media

_AT_ONCE, _SECONDS, _FADE = 2, 2.0, 0.5
_NICE = os.environ.get("VIDD_FFMPEG__NICE", "10")
_PATIENCE = 600.0


def make_clips(directory: Path, size: str, number: int) -> list[Path]:
    directory.mkdir()
    first, *others = [directory / f"Stage_{uuid.uuid4()}_000000_000002.mp4" for _ in range(number)]
    make_clip(first, size, _SECONDS)
    for path in others:
        shutil.copy2(first, path)
    return [first, *others]


async def look_at(clip: Path) -> Media:
    return Media.from_json(await probe_report(clip))


def peer(clips: list[Path], media: Media, place: Path) -> Run:
    """The argument lists that the trim step makes, run by xargs."""
    place.mkdir()
    cut = Cut(0.0, min(_SECONDS, media.duration), _FADE)
    lists = [
        trim_args(CutSource(clip, media, cut), place / clip.name, EncodeSettings(20, "veryfast", 160_000))
        for clip in clips
    ]
    words = b"".join(os.fsencode(word) + b"\0" for list_ in lists for word in list_)
    line = ["nice", "-n", _NICE, "xargs", "-0", f"-P{_AT_ONCE}", f"-n{len(lists[0])}", str(default_ffmpeg())]
    run = measured(line, stdin=words)
    if len(list(place.iterdir())) != len(clips):
        raise SystemExit("xargs did not make every clip")
    return run


def put(clips: list[Path], folder: Path) -> None:
    for clip in clips:
        os.link(clip, folder / clip.name)


def configure(place: Path) -> Path:
    return settings(place, limits=f"encodes = {_AT_ONCE}")


def last_published(place: Path, number: int) -> datetime:
    with sqlite3.connect(place / "journal.sqlite") as journal:
        found = journal.execute("SELECT count(*), max(changed) FROM jobs WHERE state = 'published'").fetchone()
        others = journal.execute("SELECT state, reason FROM jobs WHERE state != 'published'").fetchall()
    if found[0] != number:
        raise SystemExit(f"{found[0]} of {number} clips were published; others: {others[:3]}")
    return datetime.fromisoformat(found[1])


def running(clips: list[Path], place: Path) -> Run:
    """Clips put into the folder of a running daemon."""
    config = configure(place)
    with daemon(config) as started:
        begun = datetime.now(UTC)
        put(clips, place / "in")
        while not (place / "out").is_dir() or sum(not p.name.startswith(".") for p in (place / "out").iterdir()) < len(
            clips
        ):
            if started.child.poll() is not None or (datetime.now(UTC) - begun).total_seconds() > _PATIENCE:
                raise SystemExit(f"not every clip came out:\n{started.log.read_text()[-2000:]}")
            time.sleep(0.05)
        time.sleep(0.3)
    return Run((last_published(place, len(clips)) - begun).total_seconds(), started.ended["cpu"] - started.cpu)


def cold(clips: list[Path], place: Path) -> Run:
    """A daemon that is started for these clips, and ends."""
    config = configure(place)
    put(clips, place / "in")
    with config.with_name("vidd.log").open("w") as log:
        run = measured([*RUN, "--config", config, "--until-idle"], stderr=log)
    last_published(place, len(clips))
    return run


def settled(clip: Path, place: Path) -> float:
    """Seconds from the last byte of a new clip to its job."""
    with daemon(configure(place)) as started:
        begun = datetime.now(UTC)
        shutil.copyfile(clip, place / "in" / clip.name)
        while not started.line("job moved"):
            time.sleep(0.05)
        with sqlite3.connect(place / "journal.sqlite") as journal:
            created = journal.execute("SELECT created FROM jobs").fetchone()[0]
    return (datetime.fromisoformat(created) - begun).total_seconds()


def parts(size: str, number: int, root: Path) -> list[list[str]]:
    """One cold run with a stopwatch on its parts."""
    clips, place = sorted((root / f"clips-{size}").iterdir())[:number], root / "run"
    late = settled(clips[0], place)
    shutil.rmtree(place)
    config = configure(place)
    put(clips, place / "in")
    begun = time.time()
    line = [sys.executable, str(Path(__file__).with_name("timed.py")), str(config), str(begun)]
    with config.with_name("vidd.log").open("w") as log:
        told = json.loads(subprocess.run(line, stdout=subprocess.PIPE, stderr=log, check=True).stdout)
    exited = time.time() - begun
    last_published(place, number)
    shutil.rmtree(place)
    marks, of = told["marks"], {name: sum(seconds) / number * 1000 for name, seconds in told["parts"].items()}
    calls = {name: len(seconds) / number for name, seconds in told["parts"].items()}
    span = {name: (marks["ended"][name] - marks["ready"][name]) / number * 1000 for name in ("own", "children")}
    ffmpeg = told["ffmpeg"] / number * 1000
    at = {name: mark["at"] for name, mark in marks.items()}
    busy = of["encode"] * number / 1000 / _AT_ONCE / (at["last encode"] - at["first encode"])
    return [
        ["a clip: ffmpeg, in one of the places for encodes", f"{of['encode']:.0f} ms", f"{ffmpeg:.0f} ms"],
        ["  a look at the source before (child)", f"{of['probe']:.0f} ms", ""],
        [
            "  check by decoding after (same child)",
            f"{of['verify']:.0f} ms",
            f"{span['children'] - ffmpeg:.0f} ms both",
        ],
        ["  sync and rename", f"{of['rename']:.1f} ms", ""],
        ["  link to the source", f"{of['fetch']:.1f} ms", ""],
        ["  link, sum, sync, rename to out", f"{of['publish']:.1f} ms", ""],
        [f"  {calls['commit']:.0f} commits to the journal", f"{of['commit']:.1f} ms", ""],
        [f"  {calls['query']:.0f} queries", f"{of['query']:.1f} ms", ""],
        ["  the daemon itself, for all of it", "", f"{span['own']:.0f} ms"],
        ["a run: start until its code is loaded", f"{at['imported']:.2f} s", f"{marks['imported']['own']:.2f} s"],
        ["  until ready", f"{at['ready']:.2f} s", f"{marks['ready']['own'] + marks['ready']['children']:.2f} s"],
        ["  until the first ffmpeg", f"{at['first encode']:.2f} s", ""],
        ["  from the last ffmpeg's end to the exit", f"{exited - at['last encode']:.2f} s", ""],
        ["  ffmpegs running, of the places for them", f"{busy:.0%}", ""],
        ["a clip just written: until its job", f"{late:.2f} s", ""],
    ]


def compare(size: str, number: int, rounds: int, root: Path) -> list[list[str]]:
    clips = make_clips(root / f"clips-{size}", size, number)
    media = asyncio.run(look_at(clips[0]))
    ways: dict[str, Callable[[Path], Run]] = {
        "xargs -P2": lambda place: peer(clips, media, place),
        "daemon, running": lambda place: running(clips, place),
        "daemon, cold": lambda place: cold(clips, place),
    }
    runs: dict[str, list[Run]] = defaultdict(list)
    for number_of_round in range(rounds):
        order = list(ways) if number_of_round % 2 == 0 else list(reversed(ways))
        for name in order:
            place = root / "run"
            runs[name].append(ways[name](place))
            shutil.rmtree(place)
    floor = {what: [getattr(run, what) for run in runs["xargs -P2"]] for what in ("seconds", "cpu")}
    rows = []
    for name in ways:
        got = {what: [getattr(run, what) for run in runs[name]] for what in ("seconds", "cpu")}
        ratio = {what: statistics.median(a / b for a, b in zip(got[what], floor[what], strict=True)) for what in got}
        wall, used = (statistics.median(got[what]) for what in ("seconds", "cpu"))
        rows.append([f"{size} {name}", f"{wall:.2f}", f"{used:.2f}", f"{ratio['seconds']:.3f}", f"{ratio['cpu']:.3f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 clips, 1 round, one size")
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", default="1280x720,640x360")
    asked = parser.parse_args()
    number, rounds, sizes = asked.clips, asked.rounds, asked.sizes.split(",")
    if asked.quick:
        number, rounds, sizes = 10, 1, sizes[-1:]
    with tempfile.TemporaryDirectory(prefix="vidd-bench-") as name:
        rows = [row for size in sizes for row in compare(size, number, rounds, Path(name))]
        where = {size: parts(size, number, Path(name)) for size in sizes}
    table(
        f"{number} clips of {_SECONDS:g} s, {_AT_ONCE} encodes at once, {rounds} rounds, medians (target: wall ratio ≤ 1.10)",
        ["", "wall s", "CPU s", "wall ratio", "CPU ratio"],
        rows,
    )
    for size, rows in where.items():
        table(f"Where it goes, {size}, one run from cold", ["", "wall", "CPU"], rows)


if __name__ == "__main__":
    main()
