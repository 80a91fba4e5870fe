"""What a person asks of a rework, as the job's settings: changed options, added arguments, and where it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vidd.display_text import printable
from vidd.errors import Refused
from vidd.model.rework import REWORK
from vidd.pipelines.registry import model_of, publisher_module, step_entry
from vidd.ports.kinds import Replaces
from vidd.settings.schema import faults_of

_PARTS = (("steps", "steps"), ("publish", "publishers"), ("notify", "publishers"))
_OWN = "own_extra"
"""In a step's row: its own extra words, those of no rework."""

Row = dict[str, Any]


def apply_rework(
    settings: Mapping[str, Any],
    pipeline: str,
    edition: int,
    *,
    step: str | None,
    changes: Mapping[str, Any],
    extra: Sequence[str],
) -> tuple[dict[str, Any], str | None]:
    """The settings of this edition, and the step it runs from (None: only what is published changes).

    `changes` are by path: `step.option`, or with the pipeline's name before it. `extra` are given to the command it is
    about, in place of those of an earlier rework. Refused with every fault, by its path.
    """
    made = deepcopy(dict(settings))
    steps = {row["name"]: row for row in made["steps"]}
    if step is not None and step not in steps:
        raise Refused(f"The job's pipeline has no step {step!r}; it has {', '.join(steps)}.")
    touched = {_change(made, pipeline, path, value) for path, value in changes.items()}
    if extra:
        touched.add(_add(steps, step, extra))
    first = step or next((name for name in steps if name in touched), None)
    if step is not None and (early := [name for name in steps if name in touched and _before(steps, name, step)]):
        raise Refused(f"The step {early[0]} would change, but it comes before {step}: begin with that one.")
    if first is None and not touched:
        raise Refused("Say what is to be different: --step, --set, or arguments of the command after --.")
    if first is not None:
        for name, row in steps.items():
            # What an earlier rework added was for that one.
            if _OWN in row and not (extra and name in touched) and not _before(steps, name, first):
                row["options"]["extra"] = row.pop(_OWN)
        steps[first][REWORK] = edition
    _check(made)
    return made, first


def _before(steps: Mapping[str, Row], step: str, other: str) -> bool:
    names = list(steps)
    return names.index(step) < names.index(other)


def _change(made: Mapping[str, Any], pipeline: str, path: str, value: Any) -> str:
    """Set one option; returns the name of the step, publisher or notice it belongs to."""
    words = path.split(".")
    rows = {row["name"]: row for part, _ in _PARTS for row in made[part]}
    if len(words) > 2 and words[0] == pipeline and words[0] not in rows:
        words = words[1:]
    name, *way = words
    if name not in rows or not way:
        raise Refused(f"{path!r} names no option of this job: write STEP.OPTION; there are {', '.join(rows)}.")
    table = rows[name]["options"]
    for word in way[:-1]:
        table = table.get(word) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise Refused(f"{path!r} names no option of this job: {'.'.join(words[:-1])} is no table.")
    table[way[-1]] = value
    return name


def _add(steps: Mapping[str, Row], step: str | None, extra: Sequence[str]) -> str:
    """Give a command these words too; returns its name."""
    commands = [name for name, row in steps.items() if row["kind"] == "command"]
    if step is not None and step in commands:
        name = step
    elif len(commands) == 1:
        name = commands[0]
    else:
        there = f"several commands ({', '.join(commands)}): name one with --step" if commands else "no command"
        raise Refused(f"Arguments were given, but the job's pipeline has {there}.")
    row = steps[name]
    row.setdefault(_OWN, list(row["options"].get("extra", ())))
    row["options"]["extra"] = [*row[_OWN], *extra]
    return name


def _check(made: Mapping[str, Any]) -> None:
    faults: list[str] = []
    for part, family in _PARTS:
        for row in made[part]:
            try:
                options = model_of(family, row["kind"]).model_validate(row["options"])
            except ValidationError as error:
                faults += faults_of(error, (row["name"],))
            else:
                row["options"] = options.model_dump(mode="json")
    if faults:
        raise Refused(f"That cannot be: {'; '.join(faults)}.")


def check_directories(settings: Mapping[str, Any], first: str | None) -> None:
    """Refused if a command, from the step `first` on, would run in a directory that is not there. Blocks."""
    names = [row["name"] for row in settings["steps"]]
    for row in settings["steps"][len(names) if first is None else names.index(first) :]:
        directory = row["options"].get("directory", "") if row["kind"] == "command" else ""
        if "{" not in directory and Path(directory).is_absolute() and not Path(directory).is_dir():
            raise Refused(
                f"The step {row['name']} would run in {printable(directory)}, and there is no such directory: correct"
                f" --directory, or --set {row['name']}.directory."
            )


def describe_rework(
    settings: Mapping[str, Any],
    first: str | None,
    edition: int | None,
    records: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """What a rework would do: which steps run and why, what they made last time, and what happens to what is published.

    `edition` is the kept one that the rework begins with (None: nothing is kept, so that all steps run); `records` have the artifacts that
    each step made, as JSON.
    """
    names = [row["name"] for row in settings["steps"]]
    at = len(names) if first is None else names.index(first)
    steps = []
    for number, row in enumerate(settings["steps"]):
        why = None
        if edition is None:
            why = "nothing is kept of the last run"
        elif number >= at:
            why = "the rework begins here" if number == at else "it comes after"
        elif row["kind"] == "fetch" and first is not None:
            why = "what was fetched is not kept"
        elif step_entry(row["kind"]).always_rerun:
            why = "it makes words only"
        steps.append({"name": row["name"], "kind": row["kind"], "runs": why is not None, "why": why})
    runs = {step["name"] for step in steps if step["runs"]}
    return {
        "from": first,
        "of": edition,
        "steps": steps,
        "files": [file for name in names if name in runs and name != "fetch" for file in records.get(name, ())],
        "publishers": [
            {
                "name": row["name"],
                "kind": row["kind"],
                "replaces": isinstance(publisher_module(row["kind"]), Replaces),
            }
            for row in settings["publish"]
        ],
        "notices": [row["name"] for row in settings["notify"] if row["options"].get("on", "published") == "published"],
    }
