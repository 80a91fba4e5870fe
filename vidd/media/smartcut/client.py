"""A child that looks through the packets of a cut and joins its pieces; the daemon itself opens no foreign media.

`python -m vidd.media.smartcut.client` answers a line of JSON with another: `scan` and `listen`, whose numbers it keeps, and `join`;
`together` needs nothing before it. One child serves one cut, so that the memory of a long recording is given back.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused, RetryLater
from vidd.media.ffmpeg.args.common import Cut
from vidd.media.smartcut.plan import Plan, SmartCutUnavailable, Ticks
from vidd.processes.conversation import JsonLinesProcess, Lost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vidd.media.smartcut.worker.aac_seam import Seamed
    from vidd.media.smartcut.worker.packet_scan import Scan

_MEMORY = 8 << 30
# Seconds that a question may take: a start, and so many bytes a second, which the slowest disk reads.
_START, _PACE = 60.0, 2e6


class Cutter:
    """One cut of one file. `name` is what the operator knows it by; `more` are files that are read beside it."""

    def __init__(self, path: Path, name: str, more: Iterable[Path] = ()) -> None:
        self._dialogue = JsonLinesProcess([sys.executable, "-P", "-m", "vidd.media.smartcut.client"], memory=_MEMORY)
        self._path, self._name = path, name
        self._patience = _START + sum(one.stat().st_size for one in {path, *more}) / _PACE

    async def ask(self, question: str, **more: Any) -> dict[str, Any]:
        """The child's answer; SmartCutUnavailable where the cut cannot be made in parts."""
        asked = {"ask": question, "path": os.fspath(self._path), "name": self._name, **more}
        try:
            answer = await self._dialogue.ask(asked, self._patience)
        except TimeoutError:
            raise RetryLater(f"The packets of the file were not read within {self._patience:.0f} s.") from None
        except Lost as lost:
            if lost.code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP):
                raise RetryLater(f"The cutter was killed while it worked ({lost}).") from None
            raise SmartCutUnavailable(f"The cutter does not get on with this file ({lost}).") from None
        if "not_like_this" in answer:
            raise SmartCutUnavailable(answer["not_like_this"])
        if "again" in answer:
            raise RetryLater(answer["again"], counts=answer["counts"])
        return answer

    async def close(self) -> None:
        """End the child."""
        await self._dialogue.close()


class _Work:
    """What the child does; the numbers of the scan stay for the join."""

    def __init__(self) -> None:
        self._scan: Scan | None = None
        self._seams: dict[int, Seamed] = {}

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            questions = {"scan": self._scanned, "listen": self._heard, "join": self._joined, "together": self._together}
            return questions[asked["ask"]](asked)
        except (SmartCutUnavailable, Refused) as odd:
            # Whether the file is of any use at all the full encode finds out.
            return {"not_like_this": odd.sentence}
        except RetryLater as again:
            return {"again": again.sentence, "counts": again.counts}

    def _scanned(self, asked: dict[str, Any]) -> dict[str, Any]:
        from vidd.media.smartcut.worker import packet_scan  # noqa: PLC0415 - only the child opens media, and the import is dear

        self._scan, index = packet_scan.scan(Path(asked["path"]), asked["name"], Cut(*asked["cut"]))
        return {"index": index} | packet_scan.look(self._scan)

    def _heard(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Which tracks can be copied between the fades; for the others, why not."""
        from vidd.media.smartcut.worker.aac_seam import Seamed  # noqa: PLC0415

        path, cut, start = Path(asked["path"]), Cut(*asked["cut"]), Fraction(asked["start"])
        reasons: dict[str, str] = {}
        for number, language, before, after in asked["tracks"]:
            around = (Path(before) if before else None, Path(after) if after else None)
            try:
                self._seams[number] = Seamed(
                    path, asked["name"], number, start, cut, language=language, bits=asked["bits"], around=around
                )
            except SmartCutUnavailable as odd:
                reasons[str(number)] = odd.sentence
        return {"encode": reasons}

    def _joined(self, asked: dict[str, Any]) -> dict[str, Any]:
        from vidd.media.smartcut.worker import encoded_audio, encoded_parts, muxer  # noqa: PLC0415

        if self._scan is None:
            raise RuntimeError("join comes after scan")
        codec, at, ticks = self._scan.codec, asked["at"], Ticks(*asked["ticks"])
        edges = [muxer.Edge(Path(path), codec, tuple(names), at) if path else None for path, names in asked["edges"]]
        before, after = (
            [
                encoded_parts.Part(Path(path), scale=ticks.scale, at=begin, names=tuple(names))
                for path, begin, names in asked[row]
            ]
            for row in ("before", "after")
        )
        kind = muxer.Bridged if asked["bridged"] else muxer.Track
        track = kind(
            Path(asked["path"]),
            asked["name"],
            self._scan,
            Plan(**asked["plan"]),
            ticks=replace(ticks, origin=ticks.origin - at),
            edges=edges,
            before=before,
            after=after,
        )
        sounds = [
            self._seams[track] if path is None else encoded_audio.Whole(Path(path), track, language)
            for path, track, language in asked["sounds"]
        ]
        muxer.join(Path(asked["output"]), [track, *sounds], scale=ticks.scale)
        return {"frames": len(track.timing.order), "delay": track.timing.delay}

    def _together(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Put encoded parts together; how many pictures each has, and when its first is shown (ticks)."""
        from vidd.media.bitstream import nal  # noqa: PLC0415
        from vidd.media.smartcut.worker import encoded_audio, encoded_parts, muxer  # noqa: PLC0415

        scale = asked["scale"]
        sounds = [encoded_audio.Whole(Path(path), number, language) for path, number, language in asked["sounds"]]
        try:
            made = [
                encoded_parts.Part(Path(path), scale=scale, at=at, names=tuple(names) if names else None)
                for path, at, names in asked["parts"]
            ]
            track = encoded_parts.Parts(made, scale=scale, like=asked["like"])
            muxer.join(Path(asked["output"]), [track, *sounds], scale=scale)
        except nal.BadUnits as odd:
            raise SmartCutUnavailable(f"The parts cannot be joined ({odd}).") from None
        return {"pictures": [len(one.order) for one in made], "first": [min(one.order) for one in made]}


def main() -> int:
    """Converse."""
    # In the middle of a C library Python's own handler would wait for the library to return.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    work = _Work()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(work.answer(json.loads(line))) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
