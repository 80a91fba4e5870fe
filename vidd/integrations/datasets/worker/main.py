"""Makes the files of a data set, in a child of its own: `python -m vidd.integrations.datasets.worker.main ORDERS`.

The orders are JSON: `what` is to be made (`pictures` or `whole`), `orders` is a file with the rest, since that of a long task
is longer than a command line may be. To the file `made` it writes a line of JSON for each frame, or list, that is made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.processes.worker import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def make(orders: Mapping[str, str], say: Callable[..., None]) -> dict[str, Any]:
    """All of it; how much there is."""
    from vidd.integrations.datasets.completeness import Whole  # noqa: PLC0415
    from vidd.integrations.datasets.worker.images import Task  # noqa: PLC0415 - only the child opens media

    given = json.loads(Path(orders["orders"]).read_text())
    total, count = len(given.get("frames", ())) or None, 0
    with Path(orders["made"]).open("w") as made:

        def tell(**more: Any) -> None:
            nonlocal count
            made.write(json.dumps(more) + "\n")
            count += 1
            say(frames=count, of=total)

        if orders["what"] == "pictures":
            Task(given, tell).run()
        else:
            Whole(given, tell).run()
    return {"count": count}


if __name__ == "__main__":
    serve(make)
