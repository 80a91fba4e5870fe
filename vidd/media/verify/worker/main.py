"""Examines a finished file in one go for `vidd.media.verify.client`: `python -P -m vidd.media.verify.worker.main`."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.media.probe.worker import measure
from vidd.media.probe.worker.reader import open_media, video_streams
from vidd.media.verify.worker import av_sync, joins, packet_pass
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.processes.worker import Progress


def examine(path: Path, name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is `measured` of a file, its `contents`, what decodes `at_joins`, the `offset` to its origin, and `cpu` seconds.

    `asked` may have `joins` (seconds), `covered` (where a watermark lies), and `origin` with `points`, as `av_sync` has them.
    """
    began = time.process_time()
    found: dict[str, Any] = {"measured": measure.measure(path, name)}
    if found["measured"]["first"] is None:
        return found
    with open_media(path, name) as container:
        stream = video_streams(container)[0]
        # For speed: no deblocking, and no frames that no other frame needs.
        stream.codec_context.options = {"skip_loop_filter": "all"}
        stream.codec_context.skip_frame = "NONREF"
        found["contents"], keys = packet_pass.read_contents(container, stream, asked.get("covered"))
    if asked.get("joins"):
        found["at_joins"] = joins.decode_joins(path, name, asked["joins"])
    if asked.get("origin"):
        # The source may be damaged, which is no fault of this file.
        with suppress(Refused):
            found |= av_sync.measure_sync(path, name, asked["origin"], asked["points"], keys)
    return {**found, "cpu": round(time.process_time() - began, 2)}


def _examine(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    return examine(Path(question["path"]), question["name"], question)


if __name__ == "__main__":
    serve({"examine": _examine})
