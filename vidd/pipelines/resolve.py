"""From a pipeline's settings to what is stored with a job, and from that to the plan that the engine runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache, partial
from typing import Any

from pydantic import ValidationError

from vidd.errors import FaultCode, Refused
from vidd.pipelines.faults import Faults, Where
from vidd.pipelines.registry import publisher_entry, publisher_module, step_entry, step_module
from vidd.ports import Plan, PlannedPublisher, PlannedStep, resend_from_start
from vidd.ports.kinds import (
    Amends,
    ChoosesPool,
    Gates,
    Mirrors,
    NamesRoles,
    NeedsFiles,
    Publisher,
    Replaces,
    ResumesAfterPerson,
    Retracts,
    RevalidatesOutcome,
)
from vidd.settings.marks import Role, marked
from vidd.settings.schema import Pipeline, Table, faults_of
from vidd.settings.template_check import USUAL, templates_in, unknown_in


def _named(tables: tuple[Table, ...]) -> list[tuple[str, Table]]:
    """A table's `label`, or its kind, with a number where the kind comes again."""
    named: list[tuple[str, Table]] = []
    for table in tables:
        label = str(table.rest.get("label", table.kind))
        taken = {name for name, _ in named}
        number = 2
        name = label
        while name in taken:
            name, number = f"{label}-{number}", number + 1
        named.append((name, table))
    return named


def labels_of(pipeline: Pipeline) -> list[str]:
    """The labels of a pipeline's publishers."""
    return [name for name, _ in _named(pipeline.publish)]


def pipeline_to_json(
    pipeline: Pipeline, faults: Faults, where: Where, followed: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """A pipeline with every default resolved, as it is stored with a job.

    `followed` are the pipelines that it follows, with the labels of their publishers.
    """
    steps = pipeline.steps
    if not steps or not _is_fetcher(steps[0].kind):
        # Nearly every pipeline works on a file of its own; naming the step is only needed to set its options.
        steps = (Table(kind="fetch"), *steps)
    shift = len(steps) - len(pipeline.steps)
    references = _References(faults)

    def rows(part: str, family: str, tables: tuple[Table, ...], back: int = 0) -> list[dict[str, Any]]:
        resolved = []
        for index, (name, table) in enumerate(_named(tables)):
            path = (*where, part, index - back)
            values = table.rest
            values.pop("label", None)
            required = values.pop("required", True) if family == "publishers" else True
            own = values.pop("check", None) if family == "steps" else None
            options = faults.model(family, table.kind, values, path)
            if options is None:
                references.leave_out(family)
                continue
            references.add(family, table.kind, options, path, name)
            faults.accounts_of(options, path)
            row = {"name": name, "kind": table.kind, "options": options.model_dump(mode="json")}
            if part == "publish" and getattr(options, "on", "published") != "published":
                faults.add((*path, "on"), "a publisher is what makes a job published: this is for notices")
            if own is not None:
                row["check"] = faults.check_of(pipeline, own, (*path, "check"))
            resolved.append(row if required is True else {**row, "required": False})
        return resolved

    resolved = {
        "programme": pipeline.programme,
        "review": pipeline.review,
        **({"keep": pipeline.keep} if pipeline.keep is not None else {}),
        "check": pipeline.check.model_dump(mode="json"),
        "steps": rows("steps", "steps", steps, shift),
        "publish": rows("publish", "publishers", pipeline.publish),
        "notify": rows("notify", "publishers", pipeline.notify),
    }
    references.check(labels_of(pipeline), followed)
    return resolved


def _is_fetcher(kind: str) -> bool:
    try:
        return step_entry(kind).is_fetcher
    except Refused:
        return False


@dataclass
class _References:
    """What the tables of a pipeline name of one another: fields of templates, and publishers by their labels."""

    faults: Faults
    facts: set[str] | None = field(default_factory=set)
    """The facts of the steps so far; None where a step does not say what it leaves."""
    tables: list[tuple[Where, Any, set[str] | None]] = field(default_factory=list)
    roles: frozenset[str] | None = frozenset()
    """The roles of what the steps so far make; None where a step does not say what it makes."""

    def add(self, family: str, kind: str, options: Any, where: Where, name: str) -> None:
        """Add a table, in the order of the pipeline: it may name what the steps before it leave."""
        self.tables.append((where, options, None if self.facts is None else set(self.facts)))
        for path, role, _ in marked(options, Role, str):
            if role and self.roles is not None and role not in self.roles:
                near = get_close_matches(role, self.roles, n=1)
                hint = f"did you mean {near[0]}?" if near else f"they make {', '.join(sorted(self.roles)) or 'nothing'}"
                self.faults.add((*where, *path), f"the steps before it make no {role!r} ({hint})")
        if family == "steps":
            entry = step_entry(kind)
            module = step_module(kind)
            made = module.roles(options) if isinstance(module, NamesRoles) else None
            self.roles = None if made is None or self.roles is None else self.roles | made
            own = {name} if entry.own_fact else set()
            self.facts = None if entry.facts is None or self.facts is None else self.facts | entry.facts | own

    def leave_out(self, family: str) -> None:
        """Leave out a table that does not fit its kind: nobody knows what such a step makes and leaves."""
        if family == "steps":
            self.facts = self.roles = None

    def check(self, labels: Sequence[str], followed: Mapping[str, Sequence[str]]) -> None:
        """Add a fault for everything that is named and is not there."""
        for where, options, facts in self.tables:
            for path, template, allowed in templates_in(options):
                known = None if facts is None else facts | USUAL | allowed.names
                for sentence in unknown_in(template, known, labels):
                    self.faults.add((*where, *path), sentence)
            for path, label in getattr(options, "labels_named", dict)().items():
                self._check_label("the pipeline", labels, label, (*where, *path))
            for path, label in getattr(options, "labels_followed", dict)().items():
                for pipeline, there in followed.items():
                    self._check_label(f"the pipeline {pipeline!r}", there, label, (*where, *path))

    def _check_label(self, pipeline: str, labels: Sequence[str], label: str, where: Where) -> None:
        if label not in labels:
            there = ", ".join(labels) or "none"
            self.faults.add(where, f"{pipeline} has no publisher labelled {label!r}, it has {there}")


def _fingerprint(row: Mapping[str, Any]) -> str:
    """Changes when what the step makes may change; the policy of its check does not make it run again."""
    options = {key: value for key, value in row.items() if key != "check"}
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]


def _publisher(row: Mapping[str, Any]) -> PlannedPublisher:
    entry, module = publisher_entry(row["kind"]), publisher_module(row["kind"])
    options = module.Options.model_validate(row["options"])
    return PlannedPublisher(
        name=row["name"],
        kind=row["kind"],
        pool=entry.pool,
        required=row.get("required", True),
        publish=partial(module.publish, options),
        reconcile=partial(module.reconcile, options),
        **_optional(module, options),
        is_email=entry.is_email,
        runs_last=entry.runs_last,
        on=getattr(options, "on", "published"),
        tells_retraction=getattr(options, "tells_retraction", False),
        roles=_roles(options),
    )


def _optional(module: Publisher, options: Any) -> dict[str, Any]:
    """The optional functions that a publisher has, bound to its options."""
    return {
        "follow": partial(module.follow, options) if isinstance(module, Mirrors) else None,
        "amend": partial(module.amend, options) if isinstance(module, Amends) else None,
        "replace_files": partial(module.replace_files, options) if isinstance(module, Replaces) else None,
        "retract": partial(module.retract, options) if isinstance(module, Retracts) else None,
        "allow": partial(module.allow, options) if isinstance(module, Gates) else None,
        "resend_state": module.resend_state if isinstance(module, ResumesAfterPerson) else resend_from_start,
    }


def _roles(options: Any) -> tuple[str, ...]:
    """The roles that a publisher's `files` or `file` name."""
    files = getattr(options, "files", None) or (getattr(options, "file", None),)
    return tuple(role for role in files if role)


def _step(row: Mapping[str, Any]) -> PlannedStep:
    entry, module = step_entry(row["kind"]), step_module(row["kind"])
    options = module.Options.model_validate(row["options"])
    return PlannedStep(
        name=row["name"],
        kind=row["kind"],
        pool=module.pool(options) if isinstance(module, ChoosesPool) else entry.pool,
        fingerprint=_fingerprint(row),
        run=partial(module.run, options),
        takes_own_slot=entry.takes_own_slot,
        always_rerun=entry.always_rerun,
        is_still_valid=partial(module.is_still_valid, options) if isinstance(module, RevalidatesOutcome) else None,
        find_needed=partial(module.find_needed, options) if isinstance(module, NeedsFiles) else None,
    )


@lru_cache(maxsize=64)
def _resolved(text: str) -> Plan:
    settings = json.loads(text)
    try:
        notices = [_publisher(row) for row in settings["notify"]]
        return Plan(
            programme=settings["programme"],
            review=settings["review"],
            keep=settings.get("keep"),
            steps=tuple(_step(row) for row in settings["steps"]),
            publishers=tuple(_publisher(row) for row in settings["publish"]),
            notices=tuple(notice for notice in notices if notice.on == "published"),
            failures=tuple(notice for notice in notices if notice.on == "failed"),
        )
    except ValidationError as error:
        faults = "; ".join(faults_of(error))
        raise Refused(
            f"The settings this job was admitted with no longer fit ({faults}): retry it with the present settings (--fresh-settings).",
            code=FaultCode.BAD_SETTINGS,
        ) from error


def resolve(settings: Mapping[str, Any]) -> Plan:
    """`ports.Resolve` over the tables of kinds. Refused if the settings no longer fit their kinds."""
    return _resolved(json.dumps(settings, sort_keys=True))
