"""Scans a cut's packets and joins its parts for `vidd.media.smartcut.client`.

`python -P -m vidd.media.smartcut.worker.main` answers `scan`, `audio` and `join`, in this order for one cut, since what
the first two find out stays for the join; `concatenate` needs nothing before it.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.media.bitstream import nal
from vidd.media.ffmpeg.args.common import Cut
from vidd.media.ffmpeg.timebase import Ticks
from vidd.media.smartcut.plan import CutPlan, SmartCutUnavailable
from vidd.media.smartcut.worker import muxer, packet_scan
from vidd.media.smartcut.worker.aac_seam import SeamedAudio
from vidd.media.smartcut.worker.encoded_audio import EncodedAudio
from vidd.media.smartcut.worker.encoded_parts import Part, Parts
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from vidd.media.smartcut.worker.packet_scan import Scan
    from vidd.processes.worker import Handler, Progress


class SmartCutWorker:
    """What the child knows of one cut between its questions."""

    def __init__(self) -> None:
        self._scan: Scan | None = None
        self._seams: dict[int, SeamedAudio] = {}

    def scan(self, question: dict[str, Any]) -> dict[str, Any]:
        """The `index` of the packets around the cut, and what an encoder must know to make more of the same."""
        self._scan, index = packet_scan.scan(Path(question["path"]), question["name"], Cut(*question["cut"]))
        return {"index": index} | packet_scan.encoder_hints(self._scan)

    def audio(self, question: dict[str, Any]) -> dict[str, Any]:
        """For each track that must be encoded whole, the reason (`encode`); the others are copied between the fades."""
        path, cut, start = Path(question["path"]), Cut(*question["cut"]), Fraction(question["start"])
        reasons: dict[str, str] = {}
        for number, language, before, after in question["tracks"]:
            around = (Path(before) if before else None, Path(after) if after else None)
            try:
                self._seams[number] = SeamedAudio(
                    path, question["name"], number, start, cut, language=language, bits=question["bits"], around=around
                )
            except SmartCutUnavailable as unavailable:
                reasons[str(number)] = unavailable.sentence
        return {"encode": reasons}

    def join(self, question: dict[str, Any]) -> dict[str, Any]:
        """Write the result; how many `frames` it has, and by how many the decoder is ahead (`delay`)."""
        if self._scan is None:
            raise RuntimeError("join comes after scan")
        codec, at, ticks = self._scan.codec, question["at"], Ticks(*question["ticks"])
        edges = muxer.Edges(
            **{
                name: muxer.EncodedEdge(Path(path), codec, tuple(ids), at)
                for name, (path, ids) in question["edges"].items()
            }
        )
        before, after = (
            [Part(Path(path), scale=ticks.scale, at=begin, ids=tuple(ids)) for path, begin, ids in question[side]]
            for side in ("before", "after")
        )
        kind = muxer.OpenGopTrack if question["open_gop"] else muxer.VideoTrack
        track = kind(
            Path(question["path"]),
            question["name"],
            self._scan,
            CutPlan(**question["plan"]),
            ticks=replace(ticks, origin=ticks.origin - at),
            edges=edges,
            before=before,
            after=after,
        )
        audio = [
            self._seams[number] if path is None else EncodedAudio(Path(path), number, language)
            for path, number, language in question["audio"]
        ]
        muxer.join(Path(question["output"]), [track, *audio], scale=ticks.scale)
        return {"frames": len(track.timing.order), "delay": track.timing.delay}

    def concatenate(self, question: dict[str, Any]) -> dict[str, Any]:
        """Join encoded parts; how many `frames` each has, and when its `first` is shown (ticks)."""
        scale = question["scale"]
        audio = [EncodedAudio(Path(path), number, language) for path, number, language in question["audio"]]
        try:
            parts = [
                Part(Path(path), scale=scale, at=at, ids=tuple(ids) if ids else None)
                for path, at, ids in question["parts"]
            ]
            track = Parts(parts, scale=scale, like=question["like"])
            muxer.join(Path(question["output"]), [track, *audio], scale=scale)
        except nal.BadUnits as bad:
            raise SmartCutUnavailable(f"The parts cannot be joined ({bad}).") from None
        return {"frames": [len(part.order) for part in parts], "first": [min(part.order) for part in parts]}


def refusing(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Handler:
    """A handler that answers SmartCutUnavailable as a refusal."""

    @wraps(answer)
    def handler(question: dict[str, Any], _: Progress) -> dict[str, Any]:
        try:
            return answer(question)
        except SmartCutUnavailable as unavailable:
            raise Refused(unavailable.sentence) from None

    return handler


if __name__ == "__main__":
    _worker = SmartCutWorker()
    serve(
        {
            "scan": refusing(_worker.scan),
            "audio": refusing(_worker.audio),
            "join": refusing(_worker.join),
            "concatenate": refusing(_worker.concatenate),
        }
    )
