"""Makes the files of a data set, in a child: `python -P -m vidd.integrations.datasets.worker.main`.

It answers `frames` and `exports`: `orders` says what to make. It writes a line of JSON to the file `made` for each frame or
export that it made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.processes.worker import serve

if TYPE_CHECKING:
    from vidd.processes.worker import Progress


def make(question: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Carry out the orders; `count` says how many frames or exports were made."""
    # A library that finds no memory is a fault only once the question is asked.
    from vidd.integrations.datasets.worker.exports import ExportWriter  # noqa: PLC0415
    from vidd.integrations.datasets.worker.images import FrameWriter  # noqa: PLC0415

    orders = question["orders"]
    total, count = len(orders.get("frames", ())) or None, 0
    with Path(question["made"]).open("w") as made:

        def report(**fields: Any) -> None:
            nonlocal count
            made.write(json.dumps(fields) + "\n")
            count += 1
            progress(count, total)

        writer = FrameWriter(orders, report) if question["ask"] == "frames" else ExportWriter(orders, report)
        writer.run()
    return {"count": count}


if __name__ == "__main__":
    serve({"frames": make, "exports": make}, extra="annotate", memory_setting="memory of [ffmpeg]")
