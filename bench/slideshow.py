"""Cards to a video: vidd's step slideshow against a plain ffmpeg run on the same pictures, format by format.

    python bench/slideshow.py [--quick] [--cards 100] [--size 1080p] [--formats mp4,webm,av1,ogg] [--rounds 3] [--dir DIR]

The cards are those of `bench/cards.py`, drawn before anything is measured. ffmpeg reads them by `-framerate 1/3`, repeats them at 30 frames
a second, and encodes with the same codec at the same quality; it checks nothing. vidd's step reads, encodes and checks. Of Ogg, ffmpeg
encodes at most ten cards, and the rest is reckoned (marked ~), since a frame of Theora takes ten times as long as one of H.264. The
rounds are interleaved. Last comes what a caller of `/video` waits for: ten cards as MP4 (target: 10 s on two processors).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from cards import lay_in, once
from cards import ours as draw
from common import Run, table

from vidd.engine.clock import SystemClock
from vidd.files.tree import tree_artifact
from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.model.job import Job
from vidd.ports import Encoder, StepContext, Tools
from vidd.steps import slideshow

_SECONDS, _ASKED, _MOST_OF_OGG = 3, 10, 10
THEIRS = {
    "mp4": ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-movflags", "+faststart", "DIR/out.mp4"],
    "webm": [
        "-c:v",
        "libvpx-vp9",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-crf",
        "24",
        "-b:v",
        "0",
        "DIR/out.webm",
    ],
    "av1": ["-c:v", "libsvtav1", "-preset", "10", "-crf", "26", "DIR/out.mp4"],
    "ogg": ["-c:v", "libtheora", "-q:v", "8", "DIR/out.ogg"],
}


async def ours(cards: Path, directory: Path, form: str, count: int) -> None:
    """The step, as the engine would call it, on the first so many cards."""
    (directory / "cards").mkdir()
    for card in sorted(cards.iterdir())[:count]:
        (directory / "cards" / card.name).hardlink_to(card)
    now = datetime.now(UTC)
    job = Job("b", "b", "p", "s", "timeline:ada", "ada", now, now)
    tools = Tools(directory, Encoder(default_ffmpeg(), nice=0), SystemClock())
    made = {"cards": tree_artifact("cards", directory, "cards")}
    context = StepContext(job, directory, tools, None, made, {}, lambda *_: None)
    await slideshow.run(slideshow.Options.model_validate({"seconds": _SECONDS, "formats": [form]}), context)


def theirs(cards: Path, form: str, count: int) -> list[str | Path]:
    """Ffmpeg's arguments."""
    return [
        # SVT-AV1 would print its settings.
        *("env", "SVT_LOG=0", default_ffmpeg(), "-nostdin", "-loglevel", "error", "-y"),
        *("-framerate", f"1/{_SECONDS}", "-i", cards / "%04d.png", "-frames:v", str(count * _SECONDS * 30)),
        *("-vf", "scale=out_color_matrix=bt709,fps=30,format=yuv420p"),
        *THEIRS[form],
    ]


def compared(cards: Path, form: str, count: int, rounds: int) -> tuple[Run, Run, bool]:
    """Medians of vidd and of ffmpeg, and whether the latter was reckoned from fewer cards."""
    encoded = min(count, _MOST_OF_OGG) if form == "ogg" else count
    own: Sequence[str | Path] = [sys.executable, __file__, "--ours", cards, "DIR", form, str(count)]
    pairs = [(once(own, cards.parent), once(theirs(cards, form, encoded), cards.parent)) for _ in range(rounds)]
    mine, floor = (
        Run(median(run.seconds for run in runs), median(run.cpu for run in runs)) for runs in zip(*pairs, strict=True)
    )
    more = count / encoded
    return mine, Run(floor.seconds * more, floor.cpu * more), encoded < count


def main() -> None:
    if sys.argv[1:2] == ["--ours"]:
        tree, place, form, number = sys.argv[2:6]
        asyncio.run(ours(Path(tree), Path(place), form, int(number)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 cards, one round")
    parser.add_argument("--cards", type=int, default=100)
    parser.add_argument("--size", default="1080p")
    parser.add_argument("--formats", default=",".join(THEIRS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.cards, options.rounds = _ASKED, 1
    with tempfile.TemporaryDirectory(prefix="vidd-slideshow-", dir=options.dir) as name:
        directory = Path(name)
        lay_in(directory / "posts", options.cards)
        (directory / "drawn").mkdir()
        asyncio.run(draw(directory / "posts", directory / "drawn", options.size, encode=False))
        cards, rows = directory / "drawn/cards", []
        asked = [(form, options.cards) for form in options.formats.split(",")]
        for form, count in [*asked, ("mp4", min(_ASKED, options.cards))]:
            mine, floor, reckoned = compared(cards, form, count, options.rounds)
            mark = "~" if reckoned else ""
            rows.append(
                [
                    f"{form}, {count} cards",
                    *(f"{mine.seconds:.1f}", f"{mark}{floor.seconds:.1f}", f"{mark}{mine.seconds / floor.seconds:.2f}"),
                    *(f"{mine.cpu:.1f}", f"{mark}{floor.cpu:.1f}", f"{mark}{mine.cpu / floor.cpu:.2f}"),
                ]
            )
    head = ("format", "vidd wall s", "ffmpeg", "ratio", "vidd cpu s", "ffmpeg", "ratio")
    table(f"Cards of {options.size}, {_SECONDS} s each, {options.rounds} rounds, medians", head, rows)


if __name__ == "__main__":
    main()
