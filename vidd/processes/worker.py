"""The child's side of `vidd.processes.worker_client`: orders come as a word, what is said goes out in lines of JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused, RetryLater
from vidd.files.disk_space import retry_if_full

if TYPE_CHECKING:
    from collections.abc import Callable


def serve(
    carry_out: Callable[[dict[str, Any], Callable[..., None]], dict[str, Any]], limit: str = "memory of the step"
) -> None:
    """Do as the orders say, with what `carry_out` makes of them and of a function that tells how far it is.

    `limit` is what an operator calls the setting of how much memory there is. What is said goes out alone: a library that prints does so among the complaints.
    """
    # In the middle of a C library Python's own handler would wait for the library to return.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)

        def say(**more: Any) -> None:
            out.write(json.dumps(more) + "\n")
            out.flush()

        try:
            with retry_if_full():
                say(made=carry_out(json.loads(sys.argv[1]), say))
        except Refused as refused:
            say(refused=refused.sentence)
        except RetryLater as again:
            say(again=again.sentence, counts=again.counts)
        except ImportError as error:
            say(refused=f"What it needs cannot be loaded ({error}): install vidd[annotate], or raise {limit}.")
        except MemoryError:
            say(again=f"There was no memory for it: raise {limit}.", counts=True)
