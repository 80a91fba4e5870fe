"""Finds the e-mail addresses of speakers in a sheet, by their names.

The same name counts, whatever its case, spaces, accents and academic titles; else the only similar name, which vidd shows.
vidd never guesses: where two rows or two speakers could be meant, the speaker gets no mail, and the notice says what to do.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher, get_close_matches

from pydantic import Field

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.integrations.sheet.options import SheetOptions
from vidd.integrations.sheet.table import Grid, Names, describe_headings, fold, layouts
from vidd.model.email_address import parse_address, split_addresses
from vidd.model.talk import Speaker, Talk
from vidd.settings.types import Options as Base

_SIMILAR = 0.9
_DISTANCE = 0.1
_NEAR = 0.6
_MOST_NEAR = 3
_MOST_LISTED = 20
_TITLES = frozenset(
    {
        "dr",
        "prof",
        "professor",
        "mr",
        "mrs",
        "ms",
        "miss",
        "mx",
        "sir",
        "dame",
        "phd",
        "md",
        "msc",
        "bsc",
        "dipl",
        "ing",
    }
)
# Letters that do not decompose into a letter and an accent.
_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "\N{LATIN SMALL LETTER DOTLESS I}": "i"}
)


class Columns(Base):
    """The headings of the sheet of addresses; each is one name, or several accepted ones."""

    name: Names = Field(("full name", "name", "speaker", "speaker name"), description="The person's name.")
    email: Names = Field(
        ("email", "e-mail", "email address", "e-mail address"),
        description="The address; of several, the others get a copy. A row without one is a person who gets no mail.",
    )
    cc: Names = Field(("cc",), description="Addresses that get a copy of the person's mail.")


class AddressOptions(SheetOptions):
    """The settings of the sheet of addresses."""

    columns: Columns = Field(Columns(), description="The headings, where they are not the usual ones.")


@dataclass(frozen=True, slots=True)
class _Person:
    """A row of the sheet. `unusable` are texts of the row that are no addresses."""

    name: str
    row: str
    addresses: tuple[str, ...]
    copies: tuple[str, ...]
    unusable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Match:
    """What the sheet says of a name: `person`, or why there is none. `similar` says that the name is not the same."""

    person: _Person | None = None
    why: str = ""
    similar: bool = False


@dataclass(frozen=True, slots=True)
class Completed:
    """Talks with the addresses of their speakers.

    similar: the names that vidd took for a speaker's, by the speaker's.
    missing: the speakers for whom vidd found no address.
    unusable: the texts that are no addresses.
    """

    talks: tuple[Talk, ...]
    found: int
    similar: Mapping[str, str]
    missing: tuple[str, ...]
    unusable: tuple[str, ...]

    @property
    def sentence(self) -> str | None:
        """What a person should look at; None where there is nothing."""
        parts = []
        if self.similar:
            pairs = [f"{quoted(name)} is taken for {quoted(other)}" for name, other in self.similar.items()]
            parts.append(f"Speakers by a similar name: {_listed(pairs)}.")
        if self.missing:
            parts.append(f"Without an address: {_listed([quoted(name) for name in self.missing])}.")
        if self.unusable:
            parts.append(f"No e-mail addresses: {_listed([quoted(text) for text in self.unusable])}.")
        return " ".join(parts) or None


class Directory:
    """The people of a sheet of addresses, as they were read."""

    def __init__(self, people: Sequence[_Person], book: str) -> None:
        self._book = book
        self._by_name: dict[str, list[_Person]] = {}
        self._by_key: dict[str, list[_Person]] = {}
        for person in people:
            self._by_name.setdefault(person.name, []).append(person)
            self._by_key.setdefault(_key(person.name), []).append(person)

    def complete(self, talks: Sequence[Talk]) -> Completed:
        """The talks, in which every speaker has an address whom the programme gives none and this sheet does."""
        wanted = {speaker.name for talk in talks for speaker in talk.speakers if _is_wanted(talk, speaker)}
        named = {_key(speaker.name) for talk in talks for speaker in talk.speakers}
        matches = self._matches(wanted, named)
        people = {name: match.person for name, match in matches.items() if match.person}
        return Completed(
            tuple(_with_addresses(talk, matches) for talk in talks),
            sum(bool(person.addresses) for person in people.values()),
            {name: person.name for name, person in people.items() if matches[name].similar},
            tuple(name for name, match in matches.items() if match.why),
            tuple(text for person in people.values() for text in person.unusable),
        )

    def _matches(self, wanted: set[str], named: set[str]) -> dict[str, _Match]:
        """What the sheet says of each name. `named` are the keys of all speakers: who has a row gives it to nobody else."""
        free = [key for key in self._by_key if key not in named]
        candidates = {name: _similar(name, free) for name in sorted(wanted) if _key(name) not in self._by_key}
        rivals = Counter(found[0] for found in candidates.values() if len(found) == 1)
        matches = {}
        for name in sorted(wanted):
            if name not in candidates:
                matches[name] = self._choose(name, self._by_name.get(name) or self._by_key[_key(name)])
            elif len(candidates[name]) == 1 and rivals[candidates[name][0]] == 1:
                matches[name] = replace(self._choose(name, self._by_key[candidates[name][0]]), similar=True)
            else:
                matches[name] = _Match(why=self._why_missing(name))
        return matches

    def _choose(self, name: str, rows: Sequence[_Person]) -> _Match:
        """The person of rows that have the same name: all must say the same."""
        telling = [person for person in rows if person.addresses or person.unusable] or rows[:1]
        if len({(person.addresses, person.copies) for person in telling}) == 1:
            return _Match(telling[0])
        places = " and ".join(person.row for person in telling)
        return _Match(
            why=f"{quoted(name)} is in {self._book} with several addresses ({places}), and vidd does not guess who is meant: "
            "leave one of the rows, or add a remark in brackets to the name in the others, then retry."
        )

    def _why_missing(self, name: str) -> str:
        near = get_close_matches(_key(name), self._by_key, n=_MOST_NEAR, cutoff=_NEAR)
        names = " and ".join(quoted(self._by_key[key][0].name) for key in near)
        shown = f"; near are {names}, and vidd does not guess" if near else ""
        return (
            f"{self._book} has no address of {quoted(name)}{shown}: correct the name or add a row (without an address for "
            "somebody who gets no mail), then retry."
        )


def read_directory(grids: Sequence[Grid], columns: Columns, book: str) -> Directory:
    """The people of every tab that has both headings. Raises Refused, naming the headings found, where no tab has."""
    people: list[_Person] = []
    headed = False
    for layout in layouts(grids, columns.name):
        name_column, email_column = layout.column(columns.name), layout.column(columns.email)
        if name_column is None or email_column is None:
            continue
        headed, copy_column = True, layout.column(columns.cc)
        for row in layout.below():
            name = " ".join(unicodedata.normalize("NFC", layout.grid.text(row, name_column)).split())
            if name:
                where = f"row {row} of the tab {layout.grid.tab!r}" if layout.grid.tab else f"row {row}"
                copies = "" if copy_column is None else layout.grid.text(row, copy_column)
                people.append(_person(name, where, layout.grid.text(row, email_column), copies))
    if not headed:
        raise Refused(_why_not_headed(grids, columns, book))
    return Directory(people, book)


def _person(name: str, row: str, addresses: str, copies: str) -> _Person:
    first, unusable = _parsed(addresses)
    others, more = _parsed(copies)
    return _Person(name, row, first[:1], (*first[1:], *others), (*unusable, *more))


def _parsed(cell: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The addresses in a cell, and the texts that are none."""
    texts = split_addresses(cell)
    parsed = [parse_address(text) for text in texts]
    addresses = tuple(found[1] for found in parsed if found)
    return addresses, tuple(text[:80] for text, found in zip(texts, parsed, strict=True) if not found)


def _why_not_headed(grids: Sequence[Grid], columns: Columns, book: str) -> str:
    found = [fold(cell) for grid in grids for row in grid.rows[:10] for cell in row if cell.strip()]
    sentences = []
    for names in (columns.name, columns.email):
        if not {fold(name) for name in names} & set(found):
            near = next((match[0] for name in names if (match := get_close_matches(fold(name), found, n=1))), None)
            sentences.append(f"{names[0]!r}" + (f" (is {near!r} meant to be it?)" if near else ""))
    missing = " and ".join(sentences) or f"{columns.name[0]!r} and {columns.email[0]!r} in one tab"
    return (
        f"The sheet of addresses {book} has no column {missing}; the headings found are {describe_headings(grids)}: correct "
        "the heading, or name yours under `addresses.columns`."
    )


def _listed(texts: Sequence[str]) -> str:
    more = [f"{len(texts) - _MOST_LISTED} more"] if len(texts) > _MOST_LISTED else []
    return ", ".join([*texts[:_MOST_LISTED], *more])


def _is_wanted(talk: Talk, speaker: Speaker) -> bool:
    return bool(speaker.name) and speaker.email is None and not talk.excluded


def _with_addresses(talk: Talk, matches: Mapping[str, _Match]) -> Talk:
    speakers: list[Speaker] = []
    notes: list[str] = []
    unreachable: dict[str, str] = {}
    for speaker in talk.speakers:
        match = matches[speaker.name] if _is_wanted(talk, speaker) else _Match()
        person = match.person
        if match.why:
            unreachable[speaker.name] = match.why
        if person is None:
            speakers.append(speaker)
            continue
        speakers.append(replace(speaker, email=next(iter(person.addresses), None), cc=person.copies))
        if match.similar:
            notes.append(
                f"{quoted(speaker.name)} is taken for {quoted(person.name)} of the addresses ({person.row}), the only "
                "similar name; if that is somebody else, add a row of the speaker's own name"
            )
        for text in person.unusable:
            unreachable[text] = (
                f"{quoted(text)} in {person.row} of the addresses is no e-mail address: correct it, then retry."
            )
    facts = {**talk.facts, "notes": [*talk.facts.get("notes", ()), *notes], "unreachable": unreachable}
    return replace(talk, speakers=tuple(speakers), facts=facts)


def _key(name: str) -> str:
    """A name without case, accents, punctuation, remarks in brackets and titles; by it two names are the same."""
    text = re.sub(r"\([^()]*\)|\[[^\[\]]*\]", " ", name)
    letters = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    words = re.findall(r"\w+", re.sub(r"['\u2019`]|\bph\.?\s?d\b", "", plain))
    return " ".join([word for word in words if word not in _TITLES] or words) or fold(name)


def _similar(name: str, keys: Sequence[str]) -> list[str]:
    """The keys that may be this name: one that is near and stands alone; several that are near; none."""
    key = _key(name)
    scores = {other: score for other in keys if (score := _score(key, other)) >= _SIMILAR - _DISTANCE}
    best = max(scores.values(), default=0.0)
    return [other for other, score in scores.items() if score > best - _DISTANCE] if best >= _SIMILAR else []


def _score(key: str, other: str) -> float:
    """How much alike two keys are, 0 to 1, in this order of their words or in any."""
    pairs = {(key, other), (" ".join(sorted(key.split())), " ".join(sorted(other.split())))}
    matchers = [SequenceMatcher(None, *pair, autojunk=False) for pair in pairs]
    return max(
        matcher.ratio() if matcher.real_quick_ratio() >= _NEAR and matcher.quick_ratio() >= _NEAR else 0.0
        for matcher in matchers
    )
