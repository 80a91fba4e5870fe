"""Words as YouTube takes them (developers.google.com/youtube/v3/docs/videos#properties): mended, with a note of what was changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

TITLE, DESCRIPTION, TAGS, PLAYLIST = 100, 5000, 500, 150
"""The most: characters of a title, bytes of a description, characters of all tags, characters of a playlist's title."""

_ANGLES = str.maketrans("<>", "\u2039\u203a")


@dataclass
class Mending:
    """Mends texts and notes what it did; with `refuse` it raises instead."""

    refuse: bool = False

    def __post_init__(self) -> None:
        """Begin without notes."""
        self.notes: list[str] = []

    def _note(self, sentence: str, remedy: str) -> None:
        if self.refuse:
            raise Refused(f"{sentence}: {remedy}.")
        self.notes.append(f"{sentence}.")

    def _without_angles(self, text: str, what: str) -> str:
        if "<" in text or ">" in text:
            self._note(f"YouTube takes no < or > in {what}, so \u2039 and \u203a stand there", "write it without them")
        return text.translate(_ANGLES)

    def title(self, text: str, most: int = TITLE, what: str = "the title") -> str:
        """One line of so many characters, cut at a word."""
        flat = self._without_angles(" ".join(text.split()), what)
        if not flat:
            raise Refused(f"YouTube takes no empty text as {what}: write one into the sheet.")
        if len(flat) > most:
            self._note(
                f"{what[0].upper()}{what[1:]} has {len(flat)} characters and was shortened to {most}", "shorten it"
            )
        return _cut(flat, most)

    def description(self, text: str, ending: str = "") -> str:
        """5000 bytes at most, cut at a word, `ending` kept."""
        clean = self._without_angles(text.strip(), "the description")
        room = DESCRIPTION - len(ending.encode())
        if len(clean.encode(errors="replace")) > room:
            self._note(f"The description is longer than {DESCRIPTION} bytes and was shortened", "shorten it")
            most = len(clean.encode(errors="replace")[:room].decode(errors="ignore"))
            cut = _cut(clean, most - 2)
            clean = cut if len(cut.encode()) <= room else cut[:-1]
        return (clean + ending).strip()

    def tags(self, first: Iterable[str], more: Iterable[str] = ()) -> list[str]:
        """Each once, `first` in any case, then as many as there is room for."""
        kept: list[str] = []
        dropped: list[str] = []
        for tag in [*first, *more]:
            flat = " ".join(tag.replace(",", " ").translate(str.maketrans("", "", '<>"')).split())
            if not flat or flat.casefold() in {one.casefold() for one in kept}:
                continue
            if counted([*kept, flat]) > TAGS:
                dropped.append(flat)
            else:
                kept.append(flat)
        if dropped:
            self._note(
                f"YouTube takes {TAGS} characters of tags, so {', '.join(dropped)[:200]} did not go along",
                "drop some tags",
            )
        return kept


def counted(tags: list[str]) -> int:
    """How many characters tags are to YouTube: with quotation marks around those with a space, and commas between."""
    return sum(len(tag) + 2 * (" " in tag) for tag in tags) + max(0, len(tags) - 1)


def _cut(text: str, most: int) -> str:
    """At most so many characters, ending at a word with an ellipsis where something was left out."""
    if len(text) <= most:
        return text
    head = text[: most - 1]
    at = head.rfind(" ") if text[most - 1] != " " else most - 1
    # A word as long as half the text is cut itself.
    return (head[:at] if at > most // 2 else head).rstrip(" ,;:.-") + "…"
