"""What went well but not as it was asked for: a shortened title, a cell that a person keeps, a cut that had to be encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vidd.model.media import StepRecord
    from vidd.model.publication import Publication
    from vidd.model.talk import Talk


def notes_of(talk: Talk | None, steps: Iterable[StepRecord], publications: Iterable[Publication]) -> list[str]:
    """Sentences, each with what it is about: the talk's row, a step or a publication."""
    notes = [f"{talk.facts.get('row', 'the row')}: {one}" for one in _listed(talk.facts)] if talk else []
    for step in steps:
        left_out = step.outcome.facts.get("left_out")
        for one in left_out if isinstance(left_out, list) else ():
            notes += [f"{step.name}: {one.get('name')}: {one['why']}"] if isinstance(one, dict) and "why" in one else []
    for publication in publications:
        facts: Mapping[str, Any] = publication.receipt.facts if publication.receipt else {}
        notes += [f"{publication.name}: {note}" for note in _listed(facts)]
    return notes


def _listed(facts: Mapping[str, Any]) -> Iterator[str]:
    found = facts.get("notes")
    yield from (str(note) for note in found) if isinstance(found, list) else ()
