"""Makes the files of a data set, in a child: `python -m vidd.integrations.datasets.worker.main ORDERS`.

The orders are JSON: the `task` (`frames` or `exports`), and `orders`, a file with the rest, since those of a long task are
longer than a command line may be. The worker writes a line of JSON to the file `made` for each frame or export it made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.integrations.datasets.worker.exports import ExportWriter
from vidd.integrations.datasets.worker.images import FrameWriter
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from vidd.processes.worker import Progress


def make(orders: Mapping[str, str], say: Callable[..., None]) -> dict[str, Any]:
    """Carry out the orders; `count` says how many frames or exports were made."""
    given = json.loads(Path(orders["orders"]).read_text())
    total, count = len(given.get("frames", ())) or None, 0
    with Path(question["made"]).open("w") as made:

        def report(**fields: Any) -> None:
            nonlocal count
            made.write(json.dumps(fields) + "\n")
            count += 1
            progress(count, total)

        writer = FrameWriter(given, report) if orders["task"] == "frames" else ExportWriter(given, report)
        writer.run()
    return {"count": count}


if __name__ == "__main__":
    serve({"pictures": make, "whole": make}, extra="annotate", memory_setting="memory of [ffmpeg]")
