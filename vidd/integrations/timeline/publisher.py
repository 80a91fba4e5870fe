"""Puts a timeline's video where the service shows it: all of its files at once, by one rename.

vidd copies the files (by clone or hard link where the file system can) into a directory beside the final one, describes them
in `video.json`, records the digest of all of them, and renames the directory. After a crash in between the directory itself
proves that it arrived.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused
from vidd.files.clone import copy_with_digest
from vidd.files.content_type import content_type
from vidd.files.disk_space import check_writable, disk_fault
from vidd.files.removal import remove
from vidd.files.tree_replacement import copy_tree, replace_tree, tree_contents
from vidd.integrations.timeline.videos import DESCRIPTION, Video, VideoFile, key_in, read_video, remove_video
from vidd.model.media import Artifact
from vidd.model.publication import Receipt
from vidd.ports import PublishContext, Tools
from vidd.settings.marks import Role
from vidd.settings.types import Options as Base
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from collections.abc import Mapping

_SLIDESHOW, _RENDITION, _POSTER, _MASTER = "slideshow-", "rendition-", "poster", "master.m3u8"
_FORMATS = {"mp4": "MP4", "webm": "WebM", "ogg": "Ogg", "av1": "AV1"}


class Options(Base):
    """Settings of a publisher of kind `display`."""

    directory: Path = Field(
        Path("display"), description="Where the videos are, as in the source timeline; from the state directory."
    )
    files: tuple[Annotated[str, Role()], ...] = Field(
        (), description="The roles to show; otherwise every video, the poster and the stream."
    )


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Put the files into the video's directory. Raises Refused where there is no video, RetryLater where the disk is full."""
    video, directory = _video_id(context), context.tools.path(options.directory)
    chosen = _choose(options, context)
    part = directory / f".{video}.part"
    total = sum(artifact.size for artifact in chosen)
    meter = ProgressMeter("display", "upload", progress=context.progress, observe=context.tools.observe, total=total)
    try:
        try:
            await in_thread(remove, part)
            await in_thread(_make_directory, part)
            described = [await _copy(artifact, context, part, meter) for artifact in chosen]
            shown = _describe(video, described, context)
            await in_thread((part / DESCRIPTION).write_text, json.dumps(shown.to_json(), ensure_ascii=False), "utf-8")
            contents = await in_thread(tree_contents, part)
            if contents is None:
                raise Refused(f"{part} was changed while vidd wrote it: leave it alone, then retry.")
            await context.checkpoint({"sha256": contents.sha256})
            await in_thread(replace_tree, part, directory / video)
        finally:
            await in_thread(remove, part)
    except OSError as error:
        raise disk_fault(error, f"writing {directory / video}") from error
    meter.report()
    return _receipt(context, directory / video, contents.sha256)


# The directory is replaced as a whole.
replace_files = publish


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """The receipt where the directory has the recorded files, each with its content; else None."""
    target = context.tools.path(options.directory) / _video_id(context)
    recorded = context.publication.token.get("sha256")
    found = await in_thread(tree_contents, target)
    return _receipt(context, target, found.sha256) if found is not None and found.sha256 == recorded else None


async def retract(options: Options, context: PublishContext) -> str:
    """Remove the video's directory."""
    video, directory = _video_id(context), context.tools.path(options.directory)
    shown = await in_thread(read_video, directory, video)
    if shown is None:
        return f"{directory / video} was removed before."
    try:
        await in_thread(remove_video, directory, video)
    except OSError as error:
        raise disk_fault(error, f"removing {directory / video}") from error
    return f"{directory / video} was removed."


async def check(options: Options, tools: Tools) -> str:
    """See whether the directory, or the one to make it in, can be written to."""
    directory = tools.path(options.directory)
    check_writable(directory)
    return f"{directory} can be written to"


def _make_directory(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)


def _video_id(context: PublishContext) -> str:
    video = str(context.job.facts.get("video_id") or "")
    if key_in(video) is None:
        raise Refused(
            "The job has no id of a video: this publisher is for jobs of a source of kind timeline.",
            code=FaultCode.BAD_SETTINGS,
        )
    return video


def _choose(options: Options, context: PublishContext) -> list[Artifact]:
    """The artifacts to show. Raises Refused where no video is among them."""
    chosen = context.choose(options.files, trees=True)
    if not options.files:
        chosen = [artifact for artifact in chosen if artifact.role != "source" and _is_shown(artifact, context)]
    if not any(artifact.tree is not None or _is_video(artifact) for artifact in chosen):
        raise Refused(
            "There is no video to show: the pipeline needs a step that makes one, such as slideshow.",
            code=FaultCode.BAD_SETTINGS,
        )
    return chosen


def _is_shown(artifact: Artifact, context: PublishContext) -> bool:
    if artifact.tree is not None:
        return (context.directory / artifact.path / _MASTER).is_file()
    return _is_video(artifact) or artifact.role == _POSTER


def _is_video(artifact: Artifact) -> bool:
    return content_type(artifact.path).startswith("video/")


async def _copy(artifact: Artifact, context: PublishContext, part: Path, meter: ProgressMeter) -> VideoFile:
    """Copy an artifact into the directory `part`; returns what is to be known of it."""
    source, name = context.directory / artifact.path, _name(artifact, _video_id(context))
    if artifact.tree is None:
        await copy_with_digest(source, part / name, meter.add)
    else:
        await copy_tree(source, part / name, meter.add)
        name = f"{name}/{_MASTER}"
    video = artifact.media.video[0] if artifact.media and artifact.media.video else None
    width, height = video.display_size if video else (None, None)
    return VideoFile(
        name=name,
        role=artifact.role,
        # A step that names the codecs, too, keeps browsers from a file of which they would play the audio alone.
        type=str(artifact.facts.get("type") or content_type(name)),
        size=artifact.size,
        label=_label(artifact, width, height),
        width=width,
        height=height,
        duration=artifact.media.duration if artifact.media else None,
    )


def _name(artifact: Artifact, video: str) -> str:
    """A file's name: of the format where that says all, else of the role."""
    suffix = PurePosixPath(artifact.path).suffix if artifact.tree is None else ""
    short = artifact.role.removeprefix(_SLIDESHOW).removeprefix(_RENDITION)
    tail = "" if f".{short}" == suffix or artifact.role == _POSTER else f"-{short}"
    return f"{video}{tail}{suffix}"


def _label(artifact: Artifact, width: int | None, height: int | None) -> str:
    short = artifact.role.removeprefix(_SLIDESHOW).removeprefix(_RENDITION)
    size = f", {width} × {height}" if width and height else ""  # noqa: RUF001 - the sign of multiplication
    return f"{_FORMATS.get(short, short)}{size}"


def _describe(video: str, files: Sequence[VideoFile], context: PublishContext) -> Video:
    facts = {**context.job.facts, **context.facts}
    notes = facts.get("notes")
    return Video(
        id=video,
        job=context.job.id,
        user=str(facts.get("user") or ""),
        network=str(facts.get("network") or ""),
        files=tuple(_in_order_of_trial([file for file in files if file.role != _POSTER], str(facts.get("format")))),
        poster=next((file.name for file in files if file.role == _POSTER), None),
        notes=tuple(map(str, notes)) if isinstance(notes, list | tuple) else (),
    )


def _in_order_of_trial(files: Sequence[VideoFile], asked: str) -> list[VideoFile]:
    """The files as a player should try them: the format that was asked for first, and Ogg last, which few browsers play."""
    last = f"{_SLIDESHOW}ogg"
    return sorted(files, key=lambda file: (file.role == last, file.role != f"{_SLIDESHOW}{asked}"))


def _receipt(context: PublishContext, target: Path, digest: str) -> Receipt:
    origin = str(context.job.facts.get("origin") or "")
    facts: Mapping[str, Any] = {"path": str(target), "sha256": digest}
    return Receipt(f"{origin}/display/{_video_id(context)}", facts)
