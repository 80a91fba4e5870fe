"""Makes foreign texts, such as file names, safe for sentences, logs and terminals."""

from __future__ import annotations


def printable(text: str, longest: int | None = None) -> str:
    """The text with control characters, direction marks and stray bytes as escapes, cut in the middle if longer than `longest`."""
    shown = text if text.isprintable() else _escaped(text)
    if longest is None or len(shown) <= longest:
        return shown
    return f"{shown[: longest - 40]}...{shown[-37:]}"


def quoted(text: str, longest: int = 160) -> str:
    """`printable` in quotation marks, for names in sentences."""
    return f"'{printable(text, longest)}'"


def _escaped(text: str) -> str:
    clean = text.encode("utf-8", "backslashreplace").decode()
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in clean
    )


def size_in_words(size: float) -> str:
    """A number of bytes for people: 12 MiB, 1.5 GiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
