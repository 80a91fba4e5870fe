"""Makes the files of a data set, in a child of its own: `python -m vidd.dataset.child pictures|whole ORDERS`.

ORDERS is a file of JSON; it answers in lines of JSON: what was made of each frame, or as a whole, and at last `done`, or a
sentence (`refused`, `again`).
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from vidd.errors import AgainLater, Refused


def _say(**more: Any) -> None:
    sys.stdout.write(json.dumps(more) + "\n")


def main() -> int:
    """Do as the orders say."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    what, orders = sys.argv[1:3]
    try:
        if what == "pictures":
            from vidd.dataset import pictures  # noqa: PLC0415 - only the child opens media

            _say(done=pictures.run(orders, _say))
        else:
            from vidd.dataset import whole  # noqa: PLC0415

            _say(done=whole.run(orders, _say))
    except Refused as refused:
        _say(refused=refused.sentence)
    except AgainLater as again:
        _say(again=again.sentence, counts=again.counts)
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
