"""Look at the sampled frames with a detector: boxes for annotators to begin with.

Detectors are numbered, and the job says which one it wants (`auto_anno_version`; 0: none). Whichever it is runs in a child,
task by task, and goes on after the last whole task when it was killed; a program is asked again only for frames that it
has not answered for.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from vidd.aio.shield import in_thread
from vidd.detection.program import Growing, Program
from vidd.detection.settings import Faces, Network, People
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.disk_space import retry_if_full
from vidd.model.media import Artifact, Outcome
from vidd.processes.run import Hung
from vidd.processes.worker_client import WorkerDied, ask_worker, prepare_directory, run_worker
from vidd.programs.options import call_of, check_program
from vidd.programs.program import call
from vidd.settings.templates import fields_of
from vidd.settings.types import Duration, Size
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.ports import StepContext, Tools


_MODULE = "vidd.detection.worker.main"
_ROOM, _FILE = ".annotate", "annotations.jsonl"
_FILES = ("model", "labels_file", "cascade")
_PATIENCE = 120.0

_Detector = Annotated[People | Faces | Network | Program, Field(discriminator="kind")]


class Options(Base):
    """The settings of a step of kind `annotate`."""

    versions: dict[int, _Detector] = Field(min_length=1, description="The detectors, by their versions, from 1 on.")
    version: int | None = Field(
        None, ge=0, description="Which one; unset: what the job's fact auto_anno_version says, and without it none."
    )
    slot: Literal["encodes", "commands", "gpus"] = Field(
        "encodes", description="Which of [limits] it takes a place of."
    )
    stall: Duration = Field(600.0, gt=0, description="How long a detector may take for one frame, or to get ready.")
    memory: Size = Field(Size(8 << 30), ge=1 << 30, description="Bytes of address space that it may have.")

    @field_validator("versions")
    @classmethod
    def _from_one(cls, versions: dict[int, Any]) -> dict[int, Any]:
        if min(versions) < 1:
            raise ValueError("versions begin with 1: 0 stands for no annotation")
        return versions

    @model_validator(mode="after")
    def _is_there(self) -> Options:
        if self.version and self.version not in self.versions:
            raise ValueError(f"there is no version {self.version} among the versions: name another, or add it")
        return self


def pool(options: Options) -> str:
    """The pool of which a run holds a slot."""
    return options.slot


async def check(options: Options, tools: Tools) -> str:
    """Whether each version's program is there, or its model can be loaded and answers for a blank picture."""
    said: dict[int, str] = {}
    own: dict[int, Any] = {}
    for version, detector in sorted(options.versions.items()):
        if isinstance(detector, Program):
            try:
                said[version] = check_running(detector, tools).rstrip(".")
            except Refused as refused:
                raise Refused(f"Version {version} cannot be used. {refused.sentence}") from None
        else:
            own[version] = _settings(detector, tools)
    if own:
        said |= await _checked(own, options, tools)
    return "; ".join(f"{version}: {said[version]}" for version in sorted(said)) + "."


async def run(options: Options, context: StepContext) -> Outcome:
    """Make `annotations`, JSON lines of `vidd.model.boxes.Seen`, one for each frame with boxes, in the manifest's order."""
    version = _version(options, context)
    if version == 0:
        with retry_if_full():
            (context.directory / _FILE).write_bytes(b"")
        return _outcome(context, 0, {"annotated": 0, "boxes": 0, "unread": 0, "unreadable": []})
    if version not in options.versions:
        known = ", ".join(map(str, sorted(options.versions)))
        raise Refused(f"There is no version {version} of automatic annotation, only {known}: name another, or add it.")
    looking = _Looking(version, options, context)
    async with context.slot():
        made = await looking.run()
    await in_thread(looking.put)
    return _outcome(context, version, made)


def _version(options: Options, context: StepContext) -> int:
    wanted = options.version if options.version is not None else context.job.facts.get("auto_anno_version", 0)
    if isinstance(wanted, bool) or not str(wanted).strip().isascii() or not str(wanted).strip().isdigit():
        raise Refused(f"{wanted!r} is no version of automatic annotation: it is a whole number, and 0 is none.")
    return int(wanted)


def _outcome(context: StepContext, version: int, made: Mapping[str, Any]) -> Outcome:
    size = (context.directory / _FILE).stat().st_size
    facts = {
        "annotator": version,
        "annotated": made["annotated"],
        "boxes": made["boxes"],
        "unread": made["unread"],
        "left_out": [{"name": one, "why": "the frame could not be read."} for one in made["unreadable"]],
    }
    return Outcome((Artifact("annotations", _FILE, size, "application/jsonl"),), facts)


class _Looking:
    """One job's frames on their way past a detector."""

    def __init__(self, version: int, options: Options, context: StepContext) -> None:
        self._version, self._options, self._context = version, options, context
        self._detector = options.versions[version]
        self._room = context.directory / _ROOM
        self._tree, self._manifest = context.tree("tasks"), context.file("manifest")
        self._list = context.file("task_list")

    async def run(self) -> dict[str, Any]:
        """What was seen, in numbers."""
        await in_thread(prepare_directory, self._room, await in_thread(self._fingerprint))
        if isinstance(self._detector, Program):
            return await self._program(self._detector)
        detector = _settings(self._detector, self._context.tools)
        return await self._order("detect", detector=detector, threads=self._context.tools.encoder.threads)

    def put(self) -> None:
        """Give the file its name."""
        with retry_if_full():
            (self._room / _FILE).replace(self._context.directory / _FILE)
            shutil.rmtree(self._room)

    async def _program(self, program: Program) -> dict[str, Any]:
        asked, answers = self._room / "asked.jsonl", self._room / "answers" / "1.jsonl"
        there = await self._order("ask", asked=str(asked))
        if there["left"]:
            answered = there["frames"] - there["left"]
            fields = fields_of(
                self._context.job,
                self._context.talk,
                self._context.facts,
                asked=str(asked),
                answers=str(answers),
                tasks=str(self._tree),
                version=self._version,
                directory=str(self._context.directory),
                attempt=self._context.job.attempt + 1,
            )
            growing = Growing(self._context, answers, answered, there["frames"])
            await call(call_of(program, self._context, fields, growing), self._context)
            growing()
        return await self._order("gather")

    async def _order(self, do: str, **more: Any) -> dict[str, Any]:
        orders = {
            "ask": do,
            "room": str(self._room),
            "tree": str(self._tree),
            "manifest": str(self._manifest),
            "list": str(self._list),
            **more,
        }
        try:
            return await run_worker(
                _MODULE, orders, self._context, quiet=self._options.stall, memory=int(self._options.memory)
            )
        except Refused:
            await in_thread(partial(shutil.rmtree, self._room, ignore_errors=True))
            raise
        except Hung:
            raise RetryLater(
                f"Version {self._version} of automatic annotation made no progress for {self._options.stall:g} s and was"
                " ended: if that was too early, raise stall of the step."
            ) from None
        except WorkerDied as died:
            raise _dead(
                died, f"version {self._version} of automatic annotation", quoted(self._context.job.name)
            ) from None

    def _fingerprint(self) -> str:
        """What stands for all that decides which boxes there are."""
        artifacts = self._context.artifacts
        tree = artifacts["tasks"].tree
        with self._manifest.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        known: list[Any] = [
            self._version,
            self._detector.model_dump(mode="json"),
            digest,
            tree.digest if tree else None,
        ]
        if not isinstance(self._detector, Program):
            settings = _settings(self._detector, self._context.tools)
            files = [Path(settings[name]) for name in _FILES if settings.get(name)]
            known += [[path.stat().st_size, path.stat().st_mtime_ns] for path in files if path.is_file()]
        return hashlib.blake2b(json.dumps(known).encode(), digest_size=16).hexdigest()


async def _checked(own: dict[int, Any], options: Options, tools: Tools) -> dict[int, str]:
    needed = {"cv2"} | ({"onnxruntime"} if any(value["kind"] == "onnx" for value in own.values()) else set())
    missing = sorted(name for name in needed if find_spec(name) is None)
    if missing:
        raise Refused(f"The detectors need {' and '.join(missing)}: install vidd[annotate].")
    question = {"ask": "check", "detectors": own, "threads": tools.encoder.threads}
    try:
        found = (await ask_worker(_MODULE, question, timeout=_PATIENCE, memory=int(options.memory)))["found"]
    except WorkerDied as died:
        raise _dead(died, "one of the detectors", "a blank picture") from None
    return {int(version): about for version, about in found.items()}


def _settings(detector: People | Faces | Network, tools: Tools) -> dict[str, Any]:
    """A detector's settings for the child, its paths whole."""
    settings = detector.model_dump(mode="json")
    for name in _FILES:
        # OpenCV knows cascades of its own by their names.
        if settings.get(name) and (name != "cascade" or tools.path(settings[name]).is_file()):
            settings[name] = str(tools.path(settings[name]))
    return settings


def _dead(died: WorkerDied, detector: str, what: str) -> RetryLater | Refused:
    why = f"exit {died.code}"
    if died.killed:
        return RetryLater(
            f"The child with {detector} was killed while it looked at {what} ({why}).",
            code=FaultCode.INTERRUPTED,
            said=died.stderr,
        )
    if last := died.stderr.rpartition("\n")[2][:300]:
        why = f"{why}: {last}"
    return Refused(f"{detector[0].upper()}{detector[1:]} crashes over {what} ({why}): use another.", said=died.stderr)
