"""Lets a tested daemon die at one exact point: loaded into it by a `sitecustomize`, told by one variable.

The variable holds JSON: `target` ("module:name.name", patched where it is looked up), `when` ("before" or "after"
the call), `where` (a Python expression over `args` and, after the call, `result`; true where it is absent) and `nth`
(which of the calls that fit). Children never see the variable, since vidd gives them none of its environment.
"""

import functools
import importlib
import inspect
import json
import os
import signal
from datetime import timedelta

VARIABLE = "DAEMON_FATE"
LATER = "DAEMON_LATER"
"""Seconds by which the daemon's clock is ahead: it was off for so long."""


def arm() -> None:
    """Patch what the variables name; nothing without them."""
    if LATER in os.environ:
        _set_clock(timedelta(seconds=float(os.environ[LATER])))
    if VARIABLE not in os.environ:
        return
    fate = json.loads(os.environ[VARIABLE])
    module, _, path = fate["target"].partition(":")
    owner = importlib.import_module(module)
    *outer, name = path.split(".")
    for one in outer:
        owner = getattr(owner, one)
    setattr(owner, name, _wrapped(getattr(owner, name), fate))


def _set_clock(ahead):
    clock = importlib.import_module("vidd.engine.clock").SystemClock
    now = clock.now
    clock.now = lambda self: now(self) + ahead


def _wrapped(original, fate):
    left = fate.get("nth", 1)

    def strike(when, args, result=None):
        nonlocal left
        if when != fate["when"] or not eval(fate.get("where", "True"), {"os": os}, {"args": args, "result": result}):
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def slow(*args, **named):
            strike("before", args)
            result = await original(*args, **named)
            strike("after", args, result)
            return result

        return slow

    @functools.wraps(original)
    def quick(*args, **named):
        strike("before", args)
        result = original(*args, **named)
        strike("after", args, result)
        return result

    return quick
