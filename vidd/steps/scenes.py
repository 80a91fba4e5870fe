"""Splits a video into its scenes: a list of their frame ranges, and a file for each.

Frames are numbered from 0 through the whole video. Scenes are `scene_000` and so on; a video without a cut is one scene.
"""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.files.disk_space import retry_if_full
from vidd.files.tree import tree_artifact
from vidd.media.ffmpeg.process import check_capabilities, encode
from vidd.media.ffmpeg.settings import Preset
from vidd.media.probe.client import probe
from vidd.media.scenes import args
from vidd.media.scenes.client import SceneReader, missing_detector
from vidd.media.verify.verify import inspect
from vidd.model.media import Artifact, Media, Outcome
from vidd.model.scenes import Scene, coverage_fault, snap_to_keyframes, split_scenes
from vidd.settings.marks import Role
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from vidd.media.scenes.args import SceneCuts
    from vidd.ports import StepContext, Tools


_INDEX = "scenes.json"


class Options(Base):
    """The settings of a step of kind `scenes`."""

    source: Annotated[str, Role()] = Field(
        "", description="Role of the file to split; unset: the talk where there is one, else the source."
    )
    detector: Literal["scdet", "adaptive"] = Field(
        "scdet", description="The detector of cuts: ffmpeg's scdet, or PySceneDetect's AdaptiveDetector (vidd[scenes])."
    )
    threshold: float | None = Field(
        None, gt=0, le=100, description="The change that makes a cut; unset: 10 for scdet, 3 for adaptive."
    )
    window: int = Field(5, ge=1, le=100, description="For adaptive: how many frames before and after are compared.")
    shortest: int = Field(10, ge=1, description="The least number of frames of a scene.")
    files: Literal["encode", "copy", "none"] = Field(
        "encode",
        description="encode splits exactly at the cuts; copy at the nearest keyframes, without loss; none makes the list alone.",
    )
    crf: int = Field(18, ge=0, le=51, description="Quality of the video for x264: lower is better and larger.")
    preset: Preset = Field("veryfast", description="How much time x264 takes to make the files smaller.")
    sound: bool = Field(False, description="Keep the first audio track.")


async def check(options: Options, tools: Tools) -> str:
    """Check ffmpeg's capabilities, and PySceneDetect where the settings need it."""
    sentence = await check_capabilities(tools.encoder)
    if options.detector == "adaptive" and find_spec("scenedetect") is None:
        raise missing_detector("scenedetect")
    return sentence


def roles(_options: Options) -> frozenset[str]:
    """The roles of what it makes."""
    return frozenset({"scenes"})


async def run(options: Options, context: StepContext) -> Outcome:
    """Make `scenes.json`, with the files in a tree of the role `scenes`, or alone where there are none."""
    role = options.source or ("talk" if "talk" in context.artifacts else "source")
    source, name = context.file(role), context.job.name
    media = context.artifacts[role].media or await probe(context.tools.encoder, source, name)
    splitter = _Splitter(options, context, source, media)
    async with context.slot():
        found = await splitter.detect()
        scenes = split_scenes(found.cuts, found.frames, options.shortest)
        if options.files == "copy":
            starts = await splitter.nearest_keyframes([scene.start for scene in scenes[1:]])
            scenes = split_scenes(starts, found.frames, 1)
        if (fault := coverage_fault(scenes, found.frames)) is not None:
            raise Refused(f"The scenes of {quoted(name)} do not fit together: {fault}.")
        artifact = await splitter.split(scenes)
    facts = {
        "scenes": len(scenes),
        "frames": found.frames,
        "detector": options.detector,
        "threshold": splitter.threshold,
    }
    return Outcome((artifact,), facts)


class _Splitter:
    """Splits one video into its scenes."""

    def __init__(self, options: Options, context: StepContext, source: Path, media: Media) -> None:
        self._options, self._context, self._source, self._media = options, context, source, media
        self.threshold = options.threshold or (10.0 if options.detector == "scdet" else 3.0)
        self._reader = SceneReader(context.tools.encoder, source, context.job.name, media.duration)

    async def detect(self) -> SceneCuts:
        """How many frames there are, and where scenes begin."""
        options, name = self._options, self._context.job.name
        if options.detector == "adaptive":
            return await self._reader.adaptive_cuts(self.threshold, options.window, options.shortest)
        output = self._context.directory / ".scenes.txt"
        threads = self._context.tools.encoder.threads
        try:
            argv = args.detection_args(self._source, output, threshold=self.threshold, threads=threads)
            await self._ffmpeg(argv, output)
            return await in_thread(_read_detection, output, name)
        finally:
            output.unlink(missing_ok=True)

    async def nearest_keyframes(self, cuts: list[int]) -> list[int]:
        """The keyframes nearest to these cuts."""
        return snap_to_keyframes(cuts, await self._reader.keyframes())

    async def split(self, scenes: list[Scene]) -> Artifact:
        """Make the files, check them, and put all of them in place."""
        directory, index = self._context.directory, json.dumps([scene.to_json() for scene in scenes], indent=1)
        if self._options.files == "none":
            path = directory / _INDEX
            with retry_if_full():
                path.write_text(index)
            return Artifact("scenes", _INDEX, path.stat().st_size, "application/json")
        final, part = directory / "scenes", directory / ".scenes.part"
        await in_thread(_remove, final, part)
        try:
            await self._make_files(part, scenes)
            with retry_if_full():
                (part / _INDEX).write_text(index)
            part.rename(final)
        finally:
            await in_thread(_remove, part)
        return await in_thread(tree_artifact, "scenes", directory, final.name)

    async def _make_files(self, part: Path, scenes: list[Scene]) -> None:
        options, threads = self._options, self._context.tools.encoder.threads
        part.mkdir()
        mp4 = options.files == "encode" or self._media.container.startswith("mov")
        suffix, container = ("mp4", "mp4") if mp4 else ("mkv", "matroska")
        pattern = f"{str(part).replace('%', '%%')}/%d.{suffix}"
        if options.files == "encode":
            argv = args.encode_args(
                self._source, pattern, self._media, scenes,
                crf=options.crf, preset=options.preset, audio=options.sound, threads=threads,
            )  # fmt: skip
        else:
            argv = args.copy_args(
                self._source, pattern, scenes, audio=options.sound, container=container, threads=threads
            )
        await self._ffmpeg(argv, part / f"0.{suffix}")
        made = list(part.glob(f"*.{suffix}"))
        if len(made) != len(scenes):
            raise self._failed(f"there are {len(made)} files for {len(scenes)} scenes")
        for scene in scenes:
            file = part / f"{scene.number}.{suffix}"
            await self._check(file, scene)
            path = part / scene.name / f"video.{suffix}"
            path.parent.mkdir()
            file.rename(path)

    async def _check(self, file: Path, scene: Scene) -> None:
        try:
            _, found = await inspect(self._context.tools.encoder, file, scene.name)
        except Refused as refused:
            raise self._failed(refused.sentence.rstrip(".")) from None
        if found.pictures != scene.length:
            raise self._failed(f"{scene.name} has {found.pictures} frames instead of {scene.length}")
        if found.damage:
            raise self._failed(f"{scene.name} does not decode ({found.damage[0]})")

    def _failed(self, why: str) -> Refused:
        remedy = 'set files = "encode" on the step' if self._options.files == "copy" else "send the file again, whole"
        return Refused(f"The scenes of {quoted(self._context.job.name)} failed their check: {why}; {remedy}.")

    async def _ffmpeg(self, argv: list[str], output: Path) -> None:
        context = self._context
        await encode(
            context.tools.encoder, argv, output=output, duration=self._media.duration,
            progress=context.progress, observe=context.tools.observe, kind="scenes",
        )  # fmt: skip


def _read_detection(path: Path, name: str) -> SceneCuts:
    return args.read_detection(path.read_text(errors="replace"), name)


def _remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
