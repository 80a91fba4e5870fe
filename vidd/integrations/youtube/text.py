"""Fits texts to YouTube's limits, with a note of what was changed (developers.google.com/youtube/v3/docs/videos#properties)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vidd.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

TITLE, DESCRIPTION, TAGS, PLAYLIST = 100, 5000, 500, 150
"""Limits: characters of a title, bytes of a description, characters of all tags, characters of a playlist's title."""

_ANGLES = str.maketrans("<>", "\u2039\u203a")


@dataclass
class TextFitter:
    """Changes texts that YouTube would not accept and notes what it changed; with `refuse` it raises instead."""

    refuse: bool = False
    notes: list[str] = field(default_factory=list)

    def _note(self, sentence: str, remedy: str) -> None:
        if self.refuse:
            raise Refused(f"{sentence}: {remedy}.")
        self.notes.append(f"{sentence}.")

    def _without_angles(self, text: str, what: str) -> str:
        if "<" in text or ">" in text:
            self._note(
                f"YouTube accepts no < or > in {what}, so vidd wrote \u2039 and \u203a instead", "write it without them"
            )
        return text.translate(_ANGLES)

    def title(self, text: str, most: int = TITLE, what: str = "the title") -> str:
        """One line of at most so many characters, shortened at a word."""
        flat = self._without_angles(" ".join(text.split()), what)
        if not flat:
            raise Refused(f"YouTube accepts no empty text as {what}: write one into the sheet.")
        if len(flat) > most:
            self._note(
                f"{what[0].upper()}{what[1:]} has {len(flat)} characters and was shortened to {most}", "shorten it"
            )
        return _cut(flat, most)

    def description(self, text: str, ending: str = "") -> str:
        """At most 5000 bytes, shortened at a word; `ending` is never shortened."""
        clean = self._without_angles(text.strip(), "the description")
        room = DESCRIPTION - len(ending.encode())
        if len(clean.encode(errors="replace")) > room:
            self._note(f"The description is longer than {DESCRIPTION} bytes and was shortened", "shorten it")
            most = len(clean.encode(errors="replace")[:room].decode(errors="ignore"))
            cut = _cut(clean, most - 2)
            clean = cut if len(cut.encode()) <= room else cut[:-1]
        return (clean + ending).strip()

    def tags(self, first: Iterable[str], more: Iterable[str] = ()) -> list[str]:
        """Tags without duplicates: all of `first`, then as many of `more` as there is room for."""
        chosen: list[str] = []
        dropped: list[str] = []
        for tag in [*first, *more]:
            flat = " ".join(tag.replace(",", " ").translate(str.maketrans("", "", '<>"')).split())
            if not flat or flat.casefold() in {other.casefold() for other in chosen}:
                continue
            if tags_length([*chosen, flat]) > TAGS:
                dropped.append(flat)
            else:
                chosen.append(flat)
        if dropped:
            self._note(
                f"YouTube accepts {TAGS} characters of tags, so vidd left out {', '.join(dropped)[:200]}",
                "drop some tags",
            )
        return chosen


def tags_length(tags: list[str]) -> int:
    """How many characters YouTube counts: with quotation marks around tags that have a space, and commas between tags."""
    return sum(len(tag) + 2 * (" " in tag) for tag in tags) + max(0, len(tags) - 1)


def _cut(text: str, most: int) -> str:
    """At most so many characters; a shortened text ends at a word with an ellipsis."""
    if len(text) <= most:
        return text
    head = text[: most - 1]
    at = head.rfind(" ") if text[most - 1] != " " else most - 1
    # A word longer than half the text is shortened itself.
    return (head[:at] if at > most // 2 else head).rstrip(" ,;:.-") + "…"
