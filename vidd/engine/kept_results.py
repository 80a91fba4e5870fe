"""Keeps the results of published jobs for a time, so that a rework can start from them, be compared, and be undone.

Each edition of a job's results has a directory `<job>/<edition>` with the job's files and a record of the steps and
settings that made them. The directory is renamed into place last, so it is complete or missing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from filecmp import cmp
from pathlib import Path
from typing import Any

from vidd.files.disk_space import FULL, retry_if_full
from vidd.files.removal import remove
from vidd.files.tree import list_files
from vidd.model.media import Artifact, StepRecord
from vidd.model.serialization import outcome_from_json, outcome_to_json, time_from_text, time_to_text

_RECORD, _FILES = "record.json", "files"
_MAX_NAMES = 50


@dataclass(frozen=True)
class Edition:
    """The kept results of one edition. `directory` holds the files as the job had them; `until` is when they may go."""

    number: int
    directory: Path
    until: datetime
    settings: Mapping[str, Any]
    steps: Sequence[StepRecord]

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The artifacts by role; of two steps that made a role, the later one's."""
        return {artifact.role: artifact for record in self.steps for artifact in record.outcome.artifacts}


class KeptResults:
    """The kept editions, in the directory `root`. Every method blocks; the engine calls them in threads."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(
        self,
        job_id: str,
        number: int,
        source: Path,
        *,
        until: datetime,
        settings: Mapping[str, Any],
        steps: Sequence[StepRecord],
        without: Iterable[str],
    ) -> None:
        """Move a job's directory `source` here, except for the paths `without`. An edition that is kept already stays.

        Raises RetryLater if the disk is full.
        """
        final = self.root / job_id / str(number)
        if final.exists() or not source.is_dir():
            return
        part = final.with_name(f".{number}.part")
        with retry_if_full():
            remove(part)
            part.mkdir(parents=True)
            record = {
                "until": time_to_text(until),
                "settings": dict(settings),
                "steps": [
                    {
                        "name": step.name,
                        "kind": step.kind,
                        "fingerprint": step.fingerprint,
                        "seconds": step.seconds,
                        "ended": time_to_text(step.ended) if step.ended else None,
                        "outcome": outcome_to_json(step.outcome),
                    }
                    for step in steps
                ],
            }
            (part / _RECORD).write_text(json.dumps(record))
            for path in without:
                remove(source / path)
            source.rename(part / _FILES)
            part.rename(final)

    def editions(self, job_id: str) -> list[Edition]:
        """The kept editions of a job, the oldest first."""
        found = [path for path in (self.root / job_id).glob("[0-9]*") if path.is_dir()]
        return [self._read(job_id, path) for path in sorted(found, key=lambda path: int(path.name))]

    def edition(self, job_id: str, number: int) -> Edition | None:
        """The kept edition of a job with this number; None without one."""
        path = self.root / job_id / str(number)
        return self._read(job_id, path) if path.is_dir() else None

    def _read(self, job_id: str, path: Path) -> Edition:
        record = json.loads((path / _RECORD).read_text())
        steps = [
            StepRecord(
                job_id,
                step["name"],
                step["kind"],
                step["fingerprint"],
                outcome_from_json(step["outcome"]),
                step["seconds"],
                time_from_text(step["ended"]) if step.get("ended") else None,
            )
            for step in record["steps"]
        ]
        return Edition(int(path.name), path / _FILES, time_from_text(record["until"]), record["settings"], steps)

    def restore(self, edition: Edition, target: Path) -> None:
        """Copy the kept files into the job's directory `target`; replaces every top-level entry of the same name.

        Raises RetryLater if the disk is full.
        """
        with retry_if_full():
            for path in edition.directory.iterdir():
                remove(target / path.name)
                if path.is_dir() and not path.is_symlink():
                    shutil.copytree(path, target / path.name, symlinks=True, copy_function=_copy)
                else:
                    _copy(path, target / path.name)

    def record_published(self, job_id: str, number: int, trees: Mapping[str, Collection[str]]) -> None:
        """Record the files of trees (paths by role) that this edition is about to publish.

        If the edition fails, the next one must know them.
        """
        (self.root / job_id / f"{number}.json").write_text(json.dumps({role: sorted(trees[role]) for role in trees}))

    def published_since(self, job_id: str, number: int) -> dict[str, set[str]]:
        """The files of trees (paths by role) that this edition published, or that a later one may have published."""
        edition = self.edition(job_id, number)
        found = tree_files(edition.directory, edition.artifacts) if edition is not None else {}
        for path in (self.root / job_id).glob("*.json"):
            if int(path.stem) > number:
                for role, paths in json.loads(path.read_text()).items():
                    found.setdefault(role, set()).update(paths)
        return found

    def sweep(self, now: datetime, alive: Collection[str]) -> None:
        """Remove the editions whose time has passed, except of the jobs in `alive`."""
        for job in self.root.iterdir() if self.root.is_dir() else ():
            if job.name in alive:
                continue
            for path in job.glob("[0-9]*"):
                if path.is_dir() and self._read(job.name, path).until <= now:
                    remove(path)
            if not any(path.is_dir() and path.name.isdigit() for path in job.iterdir()):
                remove(job)


def compare_results(old: Edition, directory: Path, artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """Compare two editions byte for byte: the numbers of added, changed, removed and unchanged files, and their paths.

    The source does not count as a result, nor does an artifact whose fact `copy` says that it holds what others hold. At most
    50 paths of each sort are listed.
    """
    before = _files(old.directory, old.artifacts)
    after = _files(directory, artifacts)
    names = {
        "added": sorted(after.keys() - before.keys()),
        "changed": sorted(
            name for name in after.keys() & before.keys() if not cmp(before[name], after[name], shallow=False)
        ),
        "removed": sorted(before.keys() - after.keys()),
    }
    counts = {what: len(found) for what, found in names.items()}
    same = len(after) - counts["added"] - counts["changed"]
    return {**counts, "unchanged": same, "files": {what: found[:_MAX_NAMES] for what, found in names.items()}}


def tree_files(directory: Path, artifacts: Mapping[str, Artifact]) -> dict[str, set[str]]:
    """The files of each tree that exists in `directory`: paths below the tree, by role."""
    trees = {role: directory / artifact.path for role, artifact in artifacts.items() if artifact.tree is not None}
    return {role: {leaf.path for leaf in list_files(path)} for role, path in trees.items() if path.is_dir()}


def _files(directory: Path, artifacts: Mapping[str, Artifact]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for artifact in [
        artifact for role, artifact in artifacts.items() if role != "source" and "copy" not in artifact.facts
    ]:
        path = directory / artifact.path
        if artifact.tree is not None and path.is_dir():
            found |= {f"{artifact.path}/{leaf.path}": path / leaf.path for leaf in list_files(path)}
        elif path.is_file():
            found[artifact.path] = path
    return found


def _copy(source: str | Path, target: str | Path) -> None:
    """Copy a file; it shares the blocks if the file system can do that (copy_file_range(2))."""
    if os.path.islink(source):  # noqa: PTH114 - shutil hands over texts
        shutil.copy2(source, target, follow_symlinks=False)
        return
    with open(source, "rb") as reading, open(target, "wb") as writing:  # noqa: PTH123 - as above
        try:
            while os.copy_file_range(reading.fileno(), writing.fileno(), 1 << 30):
                pass
        except OSError as error:
            if error.errno in FULL:
                raise
            reading.seek(0)
            writing.seek(0)
            writing.truncate()
            shutil.copyfileobj(reading, writing, 1 << 20)
    shutil.copystat(source, target)
