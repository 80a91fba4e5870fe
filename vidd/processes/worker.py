"""The child's side of the worker protocol: `serve` answers questions with functions."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.disk_space import retry_if_full
from vidd.processes.protocol import fault_to_json

Progress = Callable[[int, int | None], None]
"""Reports how many units are done, and of how many (None where that is not known)."""
Handler = Callable[[dict[str, Any], Progress], Mapping[str, Any]]
"""Answers a question. It may raise Refused or RetryLater; any other error ends the child."""


def serve(handlers: Mapping[str, Handler], *, extra: str | None = None, memory_setting: str | None = None) -> None:
    """Answer questions from stdin until it ends; `handlers` are the functions by what is asked.

    `memory_setting` is what people call the setting that limits the child's memory: where there is one, running out of
    memory, which also shows as a library that cannot be loaded, is a fault; otherwise it ends the child. `extra` is the
    extra of vidd's that brings the child's libraries.
    """
    # Python's own handler would wait until a C library returns.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Only the protocol goes to the real stdout: what a library prints goes to stderr, line by line, since the last line is
    # what people are told when the child dies.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text file
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)

        def write(line: Mapping[str, Any]) -> None:
            out.write(json.dumps(line) + "\n")
            out.flush()

        def progress(done: int, total: int | None) -> None:
            write({"progress": [done, total]})

        def answer(question: dict[str, Any]) -> Mapping[str, Any]:
            try:
                with retry_if_full():
                    return {"answer": handlers[question["ask"]](question, progress)}
            except (Refused, RetryLater) as fault:
                return fault_to_json(fault)
            except ImportError as error:
                if memory_setting is None:
                    raise
                install = f"install vidd[{extra}], or " if extra else ""
                sentence = f"A library that is needed cannot be loaded ({error}): {install}raise {memory_setting}."
                return fault_to_json(Refused(sentence, code=FaultCode.NOT_INSTALLED))
            except MemoryError:
                if memory_setting is None:
                    raise
                sentence = f"There was not enough memory: raise {memory_setting}."
                return fault_to_json(RetryLater(sentence, code=FaultCode.INTERRUPTED))

        for line in sys.stdin:
            write(answer(json.loads(line)))
