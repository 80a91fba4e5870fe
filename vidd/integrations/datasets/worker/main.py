"""Makes the files of a data set, in a child of its own: `python -P -m vidd.integrations.datasets.worker.main`.

It answers `pictures` and `whole`: `orders` says what to make, and to the file `made` it writes a line of JSON for each
frame, or list, that is made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.processes.worker import serve

if TYPE_CHECKING:
    from vidd.processes.worker import Progress


def make(question: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """All of it; how much there is."""
    from vidd.integrations.datasets.completeness import Whole  # noqa: PLC0415
    from vidd.integrations.datasets.worker.images import Task  # noqa: PLC0415 - only the child opens media

    given = question["orders"]
    total, count = len(given.get("frames", ())) or None, 0
    with Path(question["made"]).open("w") as made:

        def tell(**more: Any) -> None:
            nonlocal count
            made.write(json.dumps(more) + "\n")
            count += 1
            progress(count, total)

        if question["ask"] == "pictures":
            Task(given, tell).run()
        else:
            Whole(given, tell).run()
    return {"count": count}


if __name__ == "__main__":
    serve({"pictures": make, "whole": make}, extra="annotate", memory_setting="memory of [ffmpeg]")
