"""The README's picture of a job's states, made from the table itself. `python -m vidd.model.diagram` prints it."""

from __future__ import annotations

from vidd.model.job import MOVES, State


def state_diagram() -> str:
    """The moves as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> seen"]
    for before in State:
        lines += [f"    {before} --> {after}" for after in State if after in MOVES[before]]
    return "\n".join([*lines, "```"])


if __name__ == "__main__":
    print(state_diagram())  # noqa: T201 - this is what it is for
