"""Posts to cards to a video: vidd's steps cards and slideshow against ffmpeg, which gets the same cards already drawn.

    python bench/cards.py [--quick] [--posts 100] [--size 1080p] [--rounds 3] [--dir DIR]

The posts are of five kinds in turn: text, a picture, four pictures, a quoted post, Arabic and Japanese with emoji; the pictures are
JPEG files of 1600x1000 pixels. ffmpeg makes them an H.264 video with the settings of the step slideshow (x264 veryfast, crf 20, 30
frames a second, 3 s a card) and checks nothing; vidd's step checks what it made. The rounds are interleaved. The target is 1.3 of
ffmpeg's wall time for both steps together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from common import Run, measured, table
from PIL import Image

from vidd.engine.clock import SystemClock
from vidd.files.tree import tree_artifact
from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.model.job import Job
from vidd.model.post import Picture, Post, PostAuthor, Span
from vidd.ports import Encoder, StepContext, Tools
from vidd.steps import cards, slideshow

_SECONDS = 3
_FLOOR = "ffmpeg, cards drawn already"
_WORDS = [
    "the",
    "video",
    "that",
    "we",
    "made",
    "of",
    "a",
    "talk",
    "about",
    "codecs",
    "and",
    "people",
    "who",
    "write",
    "them",
    "down",
    "for",
    "everybody",
]
_ARABIC = "مرحبا بالعالم هذا نص عربي عن الفيديو والناس "
_JAPANESE = "動画は面白い。みんなで作ると、もっと面白くなる。"


def lay_in(root: Path, count: int) -> None:
    """The tree that the step posts leaves; the same whenever it is made."""
    (root / "media").mkdir(parents=True)
    for number in range(8):
        ground = Image.effect_mandelbrot((1600, 1000), (-2 - number / 9, -1.2, 1, 1.2), 60)
        Image.merge("RGB", (ground, ground.rotate(180), ground)).save(root / f"media/{number}.jpg", quality=88)
    made = [post(number).to_json() for number in range(count)]
    (root / "posts.json").write_text(json.dumps({"network": "x", "user": "ada", "posts": made}))


def post(number: int) -> Post:
    """A post of one of five kinds."""
    chance = random.Random(number)
    text = " ".join(chance.choices(_WORDS, k=chance.randint(4, 45))).capitalize() + f". #video{number}"
    found = [Picture(url=f"u{name}", path=f"media/{name}.jpg") for name in chance.sample(range(8), 4)]
    author = PostAuthor(name=f"Ada {number % 7} 👩🏽‍🚀", handle=f"@ada{number % 7}@example.social", avatar=found[0])
    plain = Post(
        id=str(number),
        author=author,
        text=text,
        spans=(Span(text.index("#"), len(text), "hashtag"),),
        created=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=number),
    )
    match number % 5:
        case 1:
            return replace(plain, pictures=tuple(found[:1]))
        case 2:
            return replace(plain, pictures=tuple(found))
        case 3:
            return replace(plain, quoted=replace(plain, text=text[::-1], spans=()))
        case 4:
            return replace(plain, text=(_ARABIC if number % 2 else _JAPANESE) * 3 + " 🎬👍🏿", spans=())
    return plain


async def ours(root: Path, directory: Path, size: str, *, encode: bool) -> None:
    """The steps, as the engine would call them."""
    (directory / "posts").symlink_to(root)
    now = datetime.now(UTC)
    job = Job("b", "b", "p", "s", "timeline:ada", "ada", now, now)
    tools = Tools(directory, Encoder(default_ffmpeg(), nice=0), SystemClock())
    context = StepContext(job, directory, tools, None, {}, {}, lambda *_: None)
    context = replace(context, artifacts={"posts": tree_artifact("posts", directory, "posts")})
    outcome = await cards.run(cards.Options(size=size), context)
    if encode:
        context = replace(context, artifacts={"cards": outcome.artifacts[0]})
        await slideshow.run(slideshow.Options(seconds=_SECONDS), context)


def theirs(drawn: Path) -> list[str | Path]:
    """Ffmpeg's arguments."""
    return [
        *(default_ffmpeg(), "-nostdin", "-loglevel", "error", "-y"),
        *("-framerate", f"1/{_SECONDS}", "-i", drawn / "%04d.png"),
        *("-vf", "scale=out_color_matrix=bt709,fps=30,format=yuv420p"),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-movflags", "+faststart", "DIR/out.mp4"),
    ]


def once(words: Sequence[str | Path], directory: Path) -> Run:
    """One run in a directory of its own, which the words call DIR."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        return measured([word.replace("DIR", name) if isinstance(word, str) else word for word in words])


def main() -> None:
    if sys.argv[1:2] == ["--ours"]:
        root, directory, size, encode = sys.argv[2:6]
        asyncio.run(ours(Path(root), Path(directory), size, encode=encode == "1"))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 posts, one round")
    parser.add_argument("--posts", type=int, default=100)
    parser.add_argument("--size", default="1080p")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.posts, options.rounds = 20, 1
    with tempfile.TemporaryDirectory(prefix="vidd-cards-", dir=options.dir) as name:
        directory = Path(name)
        root, drawn = directory / "posts", directory / "drawn"
        lay_in(root, options.posts)
        drawn.mkdir()
        asyncio.run(ours(root, drawn, options.size, encode=False))
        own = [sys.executable, __file__, "--ours", root, "DIR", options.size]
        ways: dict[str, list[str | Path]] = {
            "vidd, drawn and encoded": [*own, "1"],
            _FLOOR: theirs(drawn / "cards"),
            "vidd, drawn alone": [*own, "0"],
        }
        found: dict[str, list[Run]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, words in ways.items():
                found[way].append(once(words, directory))
    floor = median(run.seconds for run in found[_FLOOR])
    rows = [
        [
            way,
            f"{median(run.seconds for run in runs):.1f}",
            f"{median(run.cpu for run in runs):.1f}",
            f"{median(run.seconds for run in runs) / floor:.2f}",
        ]
        for way, runs in found.items()
    ]
    title = (
        f"{options.posts} cards, {options.size}, {options.rounds} rounds, medians (target: 1.30 of ffmpeg's wall time)"
    )
    table(title, ("way", "wall s", "cpu s", "of ffmpeg"), rows)


if __name__ == "__main__":
    main()
