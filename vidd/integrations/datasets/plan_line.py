"""A line of the plan of a data set, which the step writes and the publisher carries out: what becomes of one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidd.integrations.datasets.documents import COMPLETE


@dataclass(frozen=True, slots=True)
class PlanLine:
    """What becomes of `task`, or of the version's exports (None).

    `send` has (key, size, checksum) of the objects that are not in the bucket, `drop` the keys of objects to delete,
    `changes` those of the frames' documents. `join` says that the task's document does not name the version yet.
    `counts` are those of the task's images. Of a faulty task there is only `error`, the reason; of a task that is
    `removed` from the version, only `drop`.
    """

    task: str | None
    send: Sequence[Sequence[Any]] = ()
    drop: Sequence[str] = ()
    changes: Sequence[Any] = ()
    join: bool = False
    counts: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    removed: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; each kind of line has keys of its own."""
        if self.task is None:
            return {"whole": True, "send": self.send, "drop": self.drop}
        if self.error is not None:
            return {"task": self.task, "error": self.error}
        if self.removed:
            return {"task": self.task, "left": True, "drop": self.drop}
        return {
            "task": self.task,
            "counts": self.counts,
            "send": self.send,
            "drop": self.drop,
            "changes": self.changes,
            "join": self.join,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PlanLine:
        """From what `to_json` made."""
        more = {name: data[name] for name in ("send", "drop", "changes", "join", "counts", "error") if name in data}
        return cls(data.get("task"), removed=bool(data.get("left")), **more)

    def is_done(self, known: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether the line asks for nothing, by what the version's document says of its tasks (`known`)."""
        if self.send or self.drop or self.changes or self.join:
            return False
        if self.task is None:
            return True
        if self.error is not None or self.removed:
            return False
        status = known.get(self.task, {})
        wanted = {"state": COMPLETE, "error": "none", **self.counts}
        return all(status.get(name) == value for name, value in wanted.items())

    @property
    def totals(self) -> dict[str, int]:
        """What the task adds to the version's number of images and their size (bytes)."""
        if not self.counts:
            return {}
        augmented = self.counts.get("augmentationFileCounts", {}).values()
        return {
            "imageCount": self.counts["imageCount"] + sum(entry["count"] for entry in augmented),
            "size": self.counts["imageDataSize"] + sum(entry["size"] for entry in augmented),
        }
