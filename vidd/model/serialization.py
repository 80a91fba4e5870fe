"""Converts times, outcomes, receipts and talks to plain JSON types and back, for stores and the API."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vidd.model.media import Artifact, Media, Outcome, Tree
from vidd.model.publication import Receipt
from vidd.model.talk import Speaker, Talk

if TYPE_CHECKING:
    from collections.abc import Mapping


def time_to_text(at: datetime) -> str:
    """A time in UTC as ISO 8601 text with microseconds, which sorts by time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def time_from_text(text: str) -> datetime:
    """The time that `time_to_text` wrote."""
    return datetime.fromisoformat(text)


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """A step's outcome as plain JSON types."""
    return {
        "facts": dict(outcome.facts),
        "artifacts": [
            {
                **asdict(artifact),
                "media": artifact.media.to_json() if artifact.media else None,
                "facts": dict(artifact.facts),
            }
            for artifact in outcome.artifacts
        ],
        **({"left": dict(outcome.left)} if outcome.left else {}),
    }


def outcome_from_json(data: Mapping[str, Any]) -> Outcome:
    """The outcome that `outcome_to_json` wrote."""
    return Outcome(
        facts=data["facts"],
        artifacts=tuple(_artifact_from_json(artifact) for artifact in data["artifacts"]),
        left=data.get("left", {}),
    )


def _artifact_from_json(data: Mapping[str, Any]) -> Artifact:
    media, tree = data["media"], data.get("tree")
    parts = {"media": Media.from_json(media) if media else None, "tree": Tree(**tree) if tree else None}
    return Artifact(**{**data, **parts})


def receipt_to_json(receipt: Receipt) -> dict[str, Any]:
    """A receipt as plain JSON types."""
    return {"url": receipt.url, "facts": dict(receipt.facts)}


def receipt_from_json(data: Mapping[str, Any]) -> Receipt:
    """The receipt that `receipt_to_json` wrote."""
    return Receipt(url=data["url"], facts=data["facts"])


def talk_to_json(talk: Talk) -> dict[str, Any]:
    """A talk with its speakers as plain JSON types."""
    return asdict(talk)


def talk_from_json(data: Mapping[str, Any]) -> Talk:
    """The talk that `talk_to_json` wrote."""
    speakers = tuple(Speaker(**{**speaker, "cc": tuple(speaker.get("cc", ()))}) for speaker in data["speakers"])
    return Talk(**{**data, "speakers": speakers, "keywords": tuple(data.get("keywords", ()))})
