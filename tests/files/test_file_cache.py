"""The cache of files that are made once."""

import asyncio
import os
from pathlib import Path

from vidd.errors import Refused
from vidd.files.file_cache import FileCache


async def test_the_least_recently_used_file_goes_first(tmp_path):
    async def write(path: Path) -> None:
        path.write_bytes(b"a")

    cache, kept = FileCache(), tmp_path / "kept"
    for number in range(40):
        await cache.provide(kept / f"{number:02}.mp4", tmp_path / f"{number}.mp4", write)
        os.utime(kept / f"{number:02}.mp4", ns=(number, number))
        if number == 30:
            await cache.provide(kept / "00.mp4", tmp_path / "again.mp4", write)
    left = sorted(path.stem for path in kept.iterdir())
    assert len(left) == 32
    assert left[0] == "00"
    assert "01" not in left
    assert len(list(tmp_path.glob("*.mp4"))) == 41


async def test_a_file_that_could_not_be_made_leaves_nothing_and_is_made_by_the_next(tmp_path):
    made = []

    async def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise Refused("No.")

    async def write(path: Path) -> None:
        made.append(path)
        path.write_bytes(b"a")

    kept, wanted = tmp_path / "kept" / "a.mp4", [tmp_path / f"{number}.mp4" for number in range(3)]
    cache, makers = FileCache(), [fail, write, write]
    found = await asyncio.gather(
        *(cache.provide(kept, path, maker) for path, maker in zip(wanted, makers, strict=True)),
        return_exceptions=True,
    )
    assert [type(result) for result in found] == [Refused, type(None), type(None)]
    assert len(made) == 1
    assert [path.name for path in kept.parent.iterdir()] == ["a.mp4"]
    assert [path.exists() for path in wanted] == [False, True, True]
