"""Finds facts that templates name and jobs will not have, for `vidd check`.

The settings can be used all the same: a person may hand in a job with facts of any name. So `vidd check` tells of these facts,
and the daemon starts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vidd.pipelines.registry import model_of, source_entry, step_entry
from vidd.pipelines.validation import Ready
from vidd.settings.schema import toml_path
from vidd.settings.template_check import USUAL, MayName, hint, named_in, template_files_in, templates_in, unknown_in
from vidd.settings.templates import check_template

if TYPE_CHECKING:
    from pathlib import Path

_MEMBERS: Mapping[str, Collection[str]] = {
    "video": frozenset({"duration", "frames", "height", "megabytes", "rate", "size", "width"}),
    "rework": frozenset({"before", "compared", "edition", "extra", "of", "set", "step", "undo"}),
}
_OF_EVERY_JOB = frozenset({"failure", "rework"})


def find_missing_facts(ready: Ready) -> Iterator[tuple[str, str]]:
    """Where a template names a fact that some jobs of its pipeline will not have, as (TOML path, sentence)."""
    for name, body in ready.pipelines.items():
        arrivals = {
            source: source_entry(kind).facts
            for source, (kind, options) in ready.sources.items()
            if getattr(options, "pipeline", None) == name
        }
        yield from _Pipeline(name, body, arrivals, ready.settings.daemon.state).find()


class _Pipeline:
    """A pipeline as it is stored with jobs. `arrivals` are the facts of each source's arrivals; None where it does not say."""

    def __init__(
        self, name: str, body: Mapping[str, Any], arrivals: Mapping[str, frozenset[str] | None], state: Path
    ) -> None:
        self._name, self._body, self._arrivals, self._state = name, body, arrivals, state
        # The facts of the steps so far, each with the step that leaves it; None where a step does not say what it leaves.
        self._facts: dict[str, str] | None = {}

    def find(self) -> Iterator[tuple[str, str]]:
        for part, family in (("steps", "steps"), ("publish", "publishers"), ("notify", "publishers")):
            for row in self._body[part]:
                options = model_of(family, row["kind"]).model_validate(row["options"])
                for where, template, may in self._templates(options):
                    about = toml_path(("pipelines", self._name, part, row["name"], *where))
                    failed = getattr(options, "on", "published") == "failed"
                    yield from ((about, sentence) for sentence in self._sentences(template, may, failed=failed))
                if family == "steps":
                    self._add_facts(row)

    def _add_facts(self, row: Mapping[str, Any]) -> None:
        entry = step_entry(row["kind"])
        if entry.facts is None or self._facts is None:
            self._facts = None
            return
        own = {row["name"]} if entry.own_fact else set()
        self._facts |= dict.fromkeys(entry.facts | own, row["name"])

    def _templates(self, options: Any) -> Iterator[tuple[tuple[int | str, ...], str, MayName]]:
        yield from templates_in(options)
        for where, path, may in template_files_in(options):
            try:
                yield where, check_template((self._state / path).read_text("utf-8")), may
            except (OSError, ValueError):
                continue  # the kind's own check says what is wrong with the file

    def _sentences(self, template: str, may: MayName, *, failed: bool) -> Iterator[str]:
        names, accesses = named_in(template)
        known = None if self._facts is None else {*self._facts, *USUAL, *may.names}
        yield from unknown_in(template, known, [row["name"] for row in self._body["publish"]])
        for base, name in accesses:
            if base == "facts":
                yield from self._fact_sentences(name)
            elif base in _MEMBERS and name not in _MEMBERS[base]:
                yield f"the template names {base}.{name}, which does not exist{hint(name, _MEMBERS[base])}"
        if failed:
            for name in sorted(names & (self._facts or {}).keys() - may.names):
                yield (
                    f"the template names {name}, which a job that failed before its step {(self._facts or {})[name]!r}"
                    f" does not have: write {{{{ {name} | default('') }}}}"
                )

    def _fact_sentences(self, name: str) -> Iterator[str]:
        if self._facts is None or name in self._facts or name in _OF_EVERY_JOB:
            return
        for source, facts in self._arrivals.items():
            if facts is not None and name not in facts:
                known = sorted({*facts, *self._facts})
                yield (
                    f"the template names facts.{name}, which jobs of the source {source!r} do not have"
                    f"{hint(name, known)}: correct it, or write {{{{ facts.{name} | default('') }}}}"
                )
