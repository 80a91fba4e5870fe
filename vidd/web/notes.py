"""The notes of a job: what did not go exactly as asked for, such as a shortened title or a cut that had to be encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vidd.model.media import StepRecord
    from vidd.model.publication import Publication
    from vidd.model.talk import Talk


def notes_of(talk: Talk | None, steps: Iterable[StepRecord], publications: Iterable[Publication]) -> list[str]:
    """Sentences, each headed by the talk's row, the step or the publication that it is about."""
    notes = [f"{talk.facts.get('row', 'the row')}: {note}" for note in _listed(talk.facts)] if talk else []
    for step in steps:
        notes += [f"{step.name}: {note}" for note in _listed(step.outcome.facts)]
        left_out = step.outcome.facts.get("left_out")
        items = left_out if isinstance(left_out, list) else []
        described = [item for item in items if isinstance(item, dict) and "why" in item]
        notes += [f"{step.name}: {item.get('name')}: {item['why']}" for item in described]
    for publication in publications:
        facts: Mapping[str, Any] = publication.receipt.facts if publication.receipt else {}
        notes += [f"{publication.name}: {note}" for note in _listed(facts)]
    return notes


def _listed(facts: Mapping[str, Any]) -> Iterator[str]:
    found = facts.get("notes")
    yield from (str(note) for note in found) if isinstance(found, list) else ()
