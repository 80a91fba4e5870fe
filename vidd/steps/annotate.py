"""Runs a detector on the sampled frames, whose boxes annotators start from.

Detectors are numbered, and the job names one (`auto_anno_version`; 0: none). A detector runs in a child, task by task, and
continues after the last complete task when it was killed; a program is asked again only for frames that it has not
answered.
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
from vidd.detection.program import AnswerProgress, Program
from vidd.detection.settings import Darknet, Faces, Network, People
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.digest import file_digest
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


_WORKER = "vidd.detection.worker.main"
_DIRECTORY, _FILE = ".annotate", "annotations.jsonl"
_FILE_OPTIONS = ("model", "config", "weights", "labels_file", "cascade")
_CHECK_LIMIT = 120.0

_Detector = Annotated[People | Faces | Network | Darknet | Program, Field(discriminator="kind")]


class Options(Base):
    """The settings of a step of kind `annotate`."""

    versions: dict[int, _Detector] = Field(
        min_length=1, description="The detectors by their versions, which count from 1."
    )
    version: int | None = Field(
        None, ge=0, description="The version to run; unset: that of the job's fact auto_anno_version, or none."
    )
    slot: Literal["encodes", "commands", "gpus"] = Field("encodes", description="Which of [limits] it counts for.")
    stall: Duration = Field(600.0, gt=0, description="How long a detector may take for a frame, or to start.")
    memory: Size = Field(Size(8 << 30), ge=1 << 30, description="The most bytes of address space of a detector.")

    @field_validator("versions")
    @classmethod
    def _count_from_one(cls, versions: dict[int, Any]) -> dict[int, Any]:
        if min(versions) < 1:
            raise ValueError("versions begin with 1: 0 means no annotation")
        return versions

    @model_validator(mode="after")
    def _version_exists(self) -> Options:
        if self.version and self.version not in self.versions:
            raise ValueError(f"there is no version {self.version} among the versions: name another, or add it")
        return self


def pool(options: Options) -> str:
    """The pool of which a run holds a slot."""
    return options.slot


async def check(options: Options, tools: Tools) -> str:
    """Find each version's program, or load its model and run it on a blank frame."""
    answers: dict[int, str] = {}
    own: dict[int, Any] = {}
    for version, detector in sorted(options.versions.items()):
        if isinstance(detector, Program):
            try:
                answers[version] = check_program(detector, tools).rstrip(".")
            except Refused as refused:
                raise Refused(f"Version {version} cannot be used. {refused.sentence}", code=refused.code) from None
        else:
            own[version] = _worker_settings(detector, tools)
    if own:
        answers |= await _check_own(own, options, tools)
    return "; ".join(f"{version}: {answers[version]}" for version in sorted(answers)) + "."


def roles(_options: Options) -> frozenset[str]:
    """The roles of what it makes."""
    return frozenset({"annotations"})


async def run(options: Options, context: StepContext) -> Outcome:
    """Make `annotations`: JSON lines of `vidd.model.boxes.FrameBoxes`, one for each frame with boxes, in the manifest's order."""
    version = _version(options, context)
    if version == 0:
        with retry_if_full():
            (context.directory / _FILE).write_bytes(b"")
        return _outcome(context, 0, {"annotated": 0, "boxes": 0, "unread": 0, "unreadable": []})
    if version not in options.versions:
        known = ", ".join(map(str, sorted(options.versions)))
        raise Refused(f"There is no version {version} of automatic annotation, only {known}: name another, or add it.")
    annotation = _Annotation(version, options, context)
    async with context.slot():
        made = await annotation.run()
    await in_thread(annotation.commit)
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
        "left_out": [{"name": name, "why": "the frame could not be read."} for name in made["unreadable"]],
    }
    return Outcome((Artifact("annotations", _FILE, size, "application/jsonl"),), facts)


class _Annotation:
    """One job's frames, and the detector that runs on them."""

    def __init__(self, version: int, options: Options, context: StepContext) -> None:
        self._version, self._options, self._context = version, options, context
        self._detector = options.versions[version]
        self._directory = context.directory / _DIRECTORY
        self._tree, self._manifest = context.tree("tasks"), context.file("manifest")
        self._list = context.file("task_list")

    async def run(self) -> dict[str, Any]:
        """Run the detector; returns the totals of frames and boxes."""
        await in_thread(prepare_directory, self._directory, await in_thread(self._fingerprint))
        if isinstance(self._detector, Program):
            return await self._run_program(self._detector)
        detector = _worker_settings(self._detector, self._context.tools)
        return await self._run_worker("detect", detector=detector, threads=self._context.tools.encoder.threads)

    def commit(self) -> None:
        """Move the file of annotations to its place."""
        with retry_if_full():
            (self._directory / _FILE).replace(self._context.directory / _FILE)
            shutil.rmtree(self._directory)

    async def _run_program(self, program: Program) -> dict[str, Any]:
        asked, answers = self._directory / "asked.jsonl", self._directory / "answers" / "1.jsonl"
        frames = await self._run_worker("ask", asked=str(asked))
        if frames["left"]:
            answered = frames["frames"] - frames["left"]
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
            progress = AnswerProgress(self._context, answers, answered, frames["frames"])
            await call(call_of(program, self._context, fields, progress), self._context)
            progress()
        return await self._run_worker("collect")

    async def _run_worker(self, ask: str, **more: Any) -> dict[str, Any]:
        orders = {
            "ask": ask,
            "directory": str(self._directory),
            "tree": str(self._tree),
            "manifest": str(self._manifest),
            "list": str(self._list),
            **more,
        }
        try:
            return await run_worker(
                _WORKER, orders, self._context, quiet=self._options.stall, memory=int(self._options.memory)
            )
        except Refused:
            await in_thread(partial(shutil.rmtree, self._directory, ignore_errors=True))
            raise
        except Hung:
            raise RetryLater(
                f"Version {self._version} of automatic annotation made no progress for {self._options.stall:g} s, so vidd"
                " ended it: if that was too early, raise stall of the step.",
                code=FaultCode.STALLED,
            ) from None
        except WorkerDied as died:
            detector = f"version {self._version} of automatic annotation"
            raise _death_fault(died, detector, quoted(self._context.job.name)) from None

    def _fingerprint(self) -> str:
        """A digest of everything that the boxes depend on."""
        artifacts = self._context.artifacts
        tree = artifacts["tasks"].tree
        known: list[Any] = [
            self._version,
            self._detector.model_dump(mode="json"),
            file_digest(self._manifest),
            tree.digest if tree else None,
        ]
        if not isinstance(self._detector, Program):
            settings = _worker_settings(self._detector, self._context.tools)
            files = [Path(settings[name]) for name in _FILE_OPTIONS if settings.get(name)]
            known += [[path.stat().st_size, path.stat().st_mtime_ns] for path in files if path.is_file()]
        return hashlib.blake2b(json.dumps(known).encode(), digest_size=16).hexdigest()


async def _check_own(own: dict[int, Any], options: Options, tools: Tools) -> dict[int, str]:
    needed = {"cv2"} | ({"onnxruntime"} if any(settings["kind"] == "onnx" for settings in own.values()) else set())
    missing = sorted(name for name in needed if find_spec(name) is None)
    if missing:
        raise Refused(
            f"The detectors need {' and '.join(missing)}: install vidd[annotate].", code=FaultCode.NOT_INSTALLED
        )
    question = {"ask": "check", "detectors": own, "threads": tools.encoder.threads}
    try:
        answer = await ask_worker(_WORKER, question, timeout=_CHECK_LIMIT, memory=int(options.memory))
    except WorkerDied as died:
        raise _death_fault(died, "one of the detectors", "a blank frame") from None
    return {int(version): about for version, about in answer["found"].items()}


def _worker_settings(detector: People | Faces | Network | Darknet, tools: Tools) -> dict[str, Any]:
    """A detector's settings for the worker, with absolute paths."""
    settings = detector.model_dump(mode="json")
    for name in _FILE_OPTIONS:
        # The name of a cascade that OpenCV ships is no path.
        if settings.get(name) and (name != "cascade" or tools.path(settings[name]).is_file()):
            settings[name] = str(tools.path(settings[name]))
    return settings


def _death_fault(died: WorkerDied, detector: str, frames: str) -> RetryLater | Refused:
    """The fault of a worker that died instead of answering."""
    reason = f"exit {died.code}"
    if died.killed:
        return RetryLater(
            f"The child of {detector} was killed while it ran on {frames} ({reason}); vidd will retry.",
            code=FaultCode.INTERRUPTED,
            said=died.stderr,
        )
    if last := died.stderr.rpartition("\n")[2][:300]:
        reason = f"{reason}: {last}"
    subject = f"{detector[0].upper()}{detector[1:]}"
    return Refused(f"{subject} crashes on {frames} ({reason}): use another detector.", said=died.stderr)
