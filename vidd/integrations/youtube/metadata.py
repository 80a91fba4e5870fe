"""Bringing a video's words up to date without undoing what a person set at YouTube.

An update replaces a part as a whole, so what is there goes along. A field is written only where what vidd wants changed
since vidd wrote it; a tag that vidd did not write stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.integrations.youtube.text import Mending

if TYPE_CHECKING:
    from collections.abc import Mapping

_SNIPPET = ("title", "description", "tags", "categoryId", "defaultLanguage", "defaultAudioLanguage")
_STATUS = ("privacyStatus", "license", "embeddable", "publicStatsViewable", "selfDeclaredMadeForKids")


def merged_snippet(
    current: Mapping[str, Any], written: Mapping[str, Any], wanted: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The snippet to write; None where nothing differs. `written` and `wanted` have title, description and tags."""
    kept = {name: current[name] for name in _SNIPPET if name in current}
    made = dict(kept)
    for name in ("title", "description"):
        if wanted[name] != written.get(name):
            made[name] = wanted[name]
    if wanted["tags"] != written.get("tags"):
        ours = {str(tag).casefold() for tag in written.get("tags", [])}
        foreign = [tag for tag in current.get("tags", []) if str(tag).casefold() not in ours]
        made["tags"] = Mending().tags(wanted["tags"], foreign)
    return None if made == kept else made


def with_privacy(current: Mapping[str, Any], privacy: str, publish_at: str | None = None) -> dict[str, Any]:
    """The status to write for this privacy."""
    kept = {name: current[name] for name in _STATUS if name in current}
    return {**kept, "privacyStatus": privacy, **({"publishAt": publish_at} if publish_at else {})}
