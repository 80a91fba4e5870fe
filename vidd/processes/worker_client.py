"""Long work in a child that gets orders and answers in lines of JSON, in a room that a restart finds again.

The child says how many frames are done (`frames`, `of`), at last what it `made`, or a sentence (`refused`, `again` with
`counts`).
"""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused, RetryLater
from vidd.files.disk_space import check_free_space, retry_if_full
from vidd.processes import run as process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vidd.ports import StepContext


class Silent(Exception):
    """The child ended without an answer; `said` is what it complained of."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"exit {code}")
        self.code, self.said = code, said


async def run_worker(
    module: str, orders: Mapping[str, Any], context: StepContext, *, quiet: float, memory: int
) -> dict[str, Any]:
    """What the child made. It is ended where the disk has less than the reserve, and after `quiet` seconds without a word.

    Refused or RetryLater with the child's own sentence; Silent where it has none.
    """
    heard: dict[str, Any] = {"lines": 0}

    def listen(line: str) -> None:
        said = json.loads(line)
        heard["lines"] += 1
        if "frames" in said:
            total = None if said["of"] is None else float(said["of"])
            context.progress(float(said["frames"]), total, "frames", None)
        else:
            heard["last"] = said

    def alive(_pid: int) -> int:
        check_free_space(context.directory, context.tools.encoder.disk_reserve)
        return int(heard["lines"])

    ended = await process.run(
        [sys.executable, "-P", "-m", module, json.dumps(orders)],
        on_line=listen,
        alive=alive,
        quiet=quiet,
        nice=context.tools.encoder.nice,
        memory=memory,
    )
    said = heard.get("last")
    if said is None:
        raise Silent(ended.code, ended.stderr)
    return answer_of(said)


def answer_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """What was made by a child's last word; Refused or RetryLater where that is a sentence."""
    if "again" in said:
        raise RetryLater(said["again"], counts=said["counts"])
    if "refused" in said:
        raise Refused(said["refused"])
    made: dict[str, Any] = said["made"]
    return made


def make_room(room: Path, fingerprint: str) -> None:
    """What an earlier run left stays if it is of the same `fingerprint`, which stands for all that decides what is made."""
    mark = room / "fingerprint"
    with retry_if_full():
        if mark.exists() and mark.read_text() == fingerprint:
            return
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir()
        mark.write_text(fingerprint)
