"""The nouns as plain JSON types and back, for stores and for the API."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vidd.model.media import Artifact, Media, Outcome, Tree
from vidd.model.publication import Receipt
from vidd.model.talk import Speaker, Talk

if TYPE_CHECKING:
    from collections.abc import Mapping


def stamp(at: datetime) -> str:
    """A time as text that sorts like the time itself."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def unstamp(text: str) -> datetime:
    """The opposite of `stamp`."""
    return datetime.fromisoformat(text)


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """A step's outcome."""
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
    }


def outcome_from_json(data: Mapping[str, Any]) -> Outcome:
    """The opposite of `outcome_to_json`."""
    return Outcome(
        facts=data["facts"],
        artifacts=tuple(_artifact_from_json(artifact) for artifact in data["artifacts"]),
    )


def _artifact_from_json(data: Mapping[str, Any]) -> Artifact:
    media, tree = data["media"], data.get("tree")
    parts = {"media": Media.from_json(media) if media else None, "tree": Tree(**tree) if tree else None}
    return Artifact(**{**data, **parts})


def receipt_to_json(receipt: Receipt) -> dict[str, Any]:
    """A receipt."""
    return {"url": receipt.url, "facts": dict(receipt.facts)}


def receipt_from_json(data: Mapping[str, Any]) -> Receipt:
    """The opposite of `receipt_to_json`."""
    return Receipt(url=data["url"], facts=data["facts"])


def talk_to_json(talk: Talk) -> dict[str, Any]:
    """A talk with its speakers."""
    return asdict(talk)


def talk_from_json(data: Mapping[str, Any]) -> Talk:
    """The opposite of `talk_to_json`."""
    speakers = tuple(Speaker(**speaker) for speaker in data["speakers"])
    return Talk(**{**data, "speakers": speakers, "keywords": tuple(data.get("keywords", ()))})
