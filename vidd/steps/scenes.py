"""Part a video into its scenes: a list of the ranges of its pictures, and a file for each.

Pictures are numbered from 0 through the whole video. A scene is `scene_000` and so on; a video without a cut is one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.disk_space import retry_if_full
from vidd.files.tree import tree_artifact
from vidd.media.ffmpeg.process import check_capable, encode
from vidd.media.ffmpeg.settings import Preset
from vidd.media.probe.client import probe
from vidd.media.scenes import detect as told
from vidd.media.scenes.detect import Found
from vidd.media.verify.verify import inspect
from vidd.model.media import Artifact, Media, Outcome
from vidd.model.scenes import Scene, fault_of, scenes_of, snapped
from vidd.processes.worker_client import WorkerDied, ask_worker
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from vidd.ports import StepContext, Tools


_MEMORY = 8 << 30
_INDEX = "scenes.json"


class Options(Base):
    """The settings of a step of kind `scenes`."""

    source: str = Field(
        "", description="Role of the file to part; unset: the talk where there is one, else the source."
    )
    detector: Literal["scdet", "adaptive"] = Field(
        "scdet", description="Who looks for cuts: ffmpeg's scdet, or PySceneDetect's AdaptiveDetector (vidd[scenes])."
    )
    threshold: float | None = Field(
        None, gt=0, le=100, description="How much must change for a cut; unset: 10 for scdet, 3 for adaptive."
    )
    window: int = Field(5, ge=1, le=100, description="Of adaptive: how many pictures before and after are compared.")
    shortest: int = Field(10, ge=1, description="The least number of pictures of a scene.")
    files: Literal["encode", "copy", "none"] = Field(
        "encode",
        description="encode parts exactly at the cuts; copy at the nearest keyframes, without loss; none makes the list alone.",
    )
    crf: int = Field(18, ge=0, le=51, description="Quality of the picture for x264: lower is better and larger.")
    preset: Preset = Field("veryfast", description="How much time x264 takes to make the files smaller.")
    sound: bool = Field(False, description="Keep the first track of sound.")


async def check(options: Options, tools: Tools) -> str:
    """Ask ffmpeg whether it can do this, and whether PySceneDetect is there where it is wanted."""
    said = await check_capable(tools.encoder)
    if options.detector == "adaptive":
        from importlib.util import find_spec  # noqa: PLC0415

        if find_spec("scenedetect") is None:
            raise _no_detector("scenedetect")
    return said


async def run(options: Options, context: StepContext) -> Outcome:
    """Make `scenes.json`, with the files in a tree of the role `scenes`, or alone where there are none."""
    role = options.source or ("talk" if "talk" in context.artifacts else "source")
    source, name = context.file(role), context.job.name
    media = context.artifacts[role].media or await probe(context.tools.encoder, source, name)
    parting = _Parting(options, context, source, media)
    async with context.slot():
        found = await parting.look()
        scenes = scenes_of(found.cuts, found.frames, options.shortest)
        if options.files == "copy":
            scenes = scenes_of(await parting.keyframes([one.start for one in scenes[1:]]), found.frames, 1)
        if (fault := fault_of(scenes, found.frames)) is not None:
            raise Refused(f"The scenes of {quoted(name)} do not fit together: {fault}.")
        artifact = await parting.part(scenes)
    threshold = parting.threshold
    facts = {"scenes": len(scenes), "frames": found.frames, "detector": options.detector, "threshold": threshold}
    return Outcome((artifact,), facts)


class _Parting:
    """One video on its way into scenes."""

    def __init__(self, options: Options, context: StepContext, source: Path, media: Media) -> None:
        self._options, self._context, self._source, self._media = options, context, source, media
        self.threshold = options.threshold or (10.0 if options.detector == "scdet" else 3.0)

    async def look(self) -> Found:
        """How many pictures there are, and where scenes begin."""
        options, name = self._options, self._context.job.name
        if options.detector == "adaptive":
            said = await self._ask(
                "adaptive", threshold=self.threshold, window=options.window, shortest=options.shortest
            )
            return Found(int(said["frames"]), tuple(said["cuts"]))
        said_to = self._context.directory / ".scenes.txt"
        threads = self._context.tools.encoder.threads
        try:
            await self._ffmpeg(
                told.detection(self._source, said_to, threshold=self.threshold, threads=threads), said_to
            )
            return await in_thread(_read, said_to, name)
        finally:
            said_to.unlink(missing_ok=True)

    async def keyframes(self, cuts: list[int]) -> list[int]:
        """The keyframes nearest to these cuts."""
        return snapped(cuts, (await self._ask("keyframes"))["keyframes"])

    async def part(self, scenes: list[Scene]) -> Artifact:
        """Make the files, look at them, and put all of it in place."""
        directory, index = self._context.directory, json.dumps([one.to_json() for one in scenes], indent=1)
        if self._options.files == "none":
            path = directory / _INDEX
            with retry_if_full():
                path.write_text(index)
            return Artifact("scenes", _INDEX, path.stat().st_size, "application/json")
        final, part = directory / "scenes", directory / ".scenes.part"
        await in_thread(_clear, final, part)
        try:
            await self._make(part, scenes)
            with retry_if_full():
                (part / _INDEX).write_text(index)
            part.rename(final)
        finally:
            await in_thread(_clear, part)
        return await in_thread(tree_artifact, "scenes", directory, final.name)

    async def _make(self, part: Path, scenes: list[Scene]) -> None:
        options, threads = self._options, self._context.tools.encoder.threads
        part.mkdir()
        mp4 = options.files == "encode" or self._media.container.startswith("mov")
        suffix, container = ("mp4", "mp4") if mp4 else ("mkv", "matroska")
        pattern = f"{str(part).replace('%', '%%')}/%d.{suffix}"
        if options.files == "encode":
            argv = told.splitting(
                self._source, pattern, self._media, scenes,
                crf=options.crf, preset=options.preset, sound=options.sound, threads=threads,
            )  # fmt: skip
        else:
            argv = told.parting(
                self._source, pattern, scenes, sound=options.sound, container=container, threads=threads
            )
        await self._ffmpeg(argv, part / f"0.{suffix}")
        made = list(part.glob(f"*.{suffix}"))
        if len(made) != len(scenes):
            raise self._not_good(f"{len(made)} files were made of {len(scenes)} scenes")
        for scene in scenes:
            file = part / f"{scene.number}.{suffix}"
            await self._check(file, scene)
            place = part / scene.name / f"video.{suffix}"
            place.parent.mkdir()
            file.rename(place)

    async def _check(self, file: Path, scene: Scene) -> None:
        try:
            _, found = await inspect(self._context.tools.encoder, file, scene.name)
        except Refused as refused:
            raise self._not_good(refused.sentence.rstrip(".")) from None
        if found.pictures != scene.length:
            raise self._not_good(f"{scene.name} has {found.pictures} pictures, and should have {scene.length}")
        if found.damage:
            raise self._not_good(f"{scene.name} does not decode ({found.damage[0]})")

    def _not_good(self, why: str) -> Refused:
        what = 'set files = "encode" of the step' if self._options.files == "copy" else "send the file again, whole"
        return Refused(f"The scenes of {quoted(self._context.job.name)} did not come out well: {why}; {what}.")

    async def _ffmpeg(self, argv: list[str], output: Path) -> None:
        context = self._context
        await encode(
            context.tools.encoder, argv, output=output, duration=self._media.duration,
            progress=context.progress, observe=context.tools.observe, kind="scenes",
        )  # fmt: skip

    async def _ask(self, ask: str, **more: float) -> dict[str, Any]:
        """What the child says of the source."""
        encoder, name = self._context.tools.encoder, quoted(self._context.job.name)
        question, timeout = {"ask": ask, "path": str(self._source), **more}, max(600.0, 20 * self._media.duration)
        try:
            return await ask_worker(
                "vidd.media.scenes.worker", question, timeout=timeout, memory=_MEMORY, nice=encoder.nice
            )
        except WorkerDied as died:
            raise RetryLater(
                f"The scenes of {name} could not be found (exit {died.code}).",
                code=FaultCode.INTERRUPTED,
                said=died.stderr,
            ) from None
        except Refused as refused:
            if refused.code is FaultCode.NOT_INSTALLED:
                raise _no_detector(refused.sentence) from None
            why = refused.sentence.rstrip(".")
            raise Refused(f"The scenes of {name} could not be found ({why}): send the file again, whole.") from None


def _no_detector(module: str) -> Refused:
    return Refused(
        f'The detector adaptive needs {module}: install vidd[scenes], or set detector = "scdet" of the step.'
    )


def _read(path: Path, name: str) -> Found:
    return told.read_detection(path.read_text(errors="replace"), name)


def _clear(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
