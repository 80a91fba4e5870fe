"""Makes a video of a tree of pictures, in several formats: so many seconds a picture, with crossfade, music and voice.

The pictures are decoded once, for all formats. Each format is checked before it counts; after a kill, formats that were
finished are not made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused
from vidd.files.atomic import commit, temporary_path
from vidd.files.disk_space import retry_if_full
from vidd.files.tree import is_unchanged, list_files
from vidd.media.ffmpeg.process import capabilities, check_capabilities, encode, version_text
from vidd.media.ffmpeg.settings import Colour, Level
from vidd.media.slideshow.args import FORMATS, FormatName, SlideshowEncode, Soundtrack
from vidd.media.slideshow.client import PictureRequest, Prepared, audio_duration, prepare_pictures
from vidd.media.slideshow.timing import Timing
from vidd.media.verify.verify import Expected, verify
from vidd.model.media import Artifact, Media, Outcome
from vidd.processes.worker_client import prepare_directory
from vidd.settings.marks import Role
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.ports import Encoder, StepContext, Tools

_WORK, _FRAMES, _POSTER, _PREPARED = ".slideshow", "frames.nut", "poster.jpg", "prepared.json"
_FILTERS = (
    "framerate", "setparams", "aformat", "volume", "apad", "asplit", "agate", "sidechaincompress", "amix", "alimiter",
)  # fmt: skip
_SHORTEST_MUSIC, _LONGEST = 1.0, 24 * 3600.0


class Options(Base):
    """The settings of a step of kind `slideshow`."""

    source: Annotated[str, Role()] = Field(
        "cards", min_length=1, description="Role of the directory of pictures; their order is that of their names."
    )
    seconds: Duration = Field(
        3.0, gt=0, le=3600, allow_inf_nan=False,
        description="How long each picture is shown; the job's fact seconds, where it has one, counts instead.",
    )  # fmt: skip
    formats: tuple[FormatName, ...] = Field(
        ("mp4",), min_length=1,
        description="What to make: mp4 (H.264), webm (VP9), ogg (Theora), av1 (AV1 in MP4); the job's fact formats, where it has one, counts instead.",
    )  # fmt: skip
    crossfade: Duration = Field(
        0.0, ge=0, le=60, allow_inf_nan=False,
        description="How long a picture turns into the next one, at the end of its time; the whole gets no longer.",
    )  # fmt: skip
    fps: int = Field(30, ge=1, le=120, description="Frames per second.")
    size: str = Field(
        "", pattern=r"^([1-9]\d{1,3}x[1-9]\d{1,3})?$",
        description="Width and height of the video, such as 1280x720; unset: the size that most of the pictures have.",
    )  # fmt: skip
    background: Colour = Field("#000000", description="Colour of the bars beside a picture of another shape.")
    music: str = Field("", description="An audio file to play, again and again where it is shorter than the video.")
    music_gain: Level = Field(0.0, ge=-60, le=20, description="How much louder the music is made, such as -6 dB.")
    music_fade: Duration = Field(
        2.0, ge=0, le=60, allow_inf_nan=False, description="How long the music fades in, and out at the end."
    )
    voice: Annotated[str, Role()] = Field(
        "", description="Role of a file whose audio is spoken over the pictures; unset: nobody speaks."
    )
    ducking: Level = Field(
        12.0,
        ge=0,
        le=60,
        description="By how many dB the music is quieter while the voice speaks; 0 dB for not at all.",
    )

    @field_validator("size")
    @classmethod
    def _even(cls, size: str) -> str:
        if size and any(int(side) % 2 or not 16 <= int(side) <= 8192 for side in size.split("x")):
            raise ValueError(f"{size!r} does not fit: both sides are even, and from 16 to 8192 pixels")
        return size

    @model_validator(mode="after")
    def _frames_fit(self) -> Self:
        if self.seconds * self.fps < 1:
            raise ValueError(f"a slide of {self.seconds:g} s is shorter than a frame at {self.fps} frames a second")
        if self.crossfade > self.seconds:
            raise ValueError(f"the crossfade ({self.crossfade:g} s) is longer than a slide ({self.seconds:g} s)")
        return self


async def check(options: Options, tools: Tools) -> str:
    """Check ffmpeg's encoders and filters for these formats, and the music."""
    sentence = await check_capabilities(tools.encoder)
    await _encoders(tools.encoder, options.formats)
    if options.music:
        await _music(options, tools)
    return sentence


def roles(_options: Options) -> frozenset[str]:
    """The roles of what it may make: a job may ask for any format."""
    return frozenset({"poster", *(f"slideshow-{name}" for name in FORMATS)})


async def run(options: Options, context: StepContext) -> Outcome:
    """Make `slideshow.mp4` and so on, and `poster.jpg`, the first picture."""
    wanted = _wanted(options, context)
    work = _Slideshow(wanted, context, await _encoders(context.tools.encoder, wanted.formats))
    try:
        async with context.slot():
            return await work.run()
    except Refused:
        await in_thread(partial(shutil.rmtree, work.directory, ignore_errors=True))
        raise


def _wanted(options: Options, context: StepContext) -> Options:
    """The options, with what the job itself asks for. Refused where that does not fit."""
    facts = context.job.facts
    asked = {name: facts[name] for name in ("seconds", "formats") if facts.get(name) is not None}
    if not asked:
        return options
    seconds = asked.get("seconds", options.seconds)
    # Who asks for short slides knows nothing of the crossfade in the settings.
    crossfade = min(options.crossfade, seconds) if isinstance(seconds, float | int) else options.crossfade
    try:
        return Options.model_validate({**options.model_dump(), "crossfade": crossfade, **asked})
    except ValidationError as error:
        reason = error.errors()[0]
        where = ".".join(str(part) for part in reason["loc"]) or "seconds"
        raise Refused(
            f"The job asks for slides that cannot be made ({where}: {reason['msg']}): submit it again with"
            f" seconds above 0, and formats of {', '.join(get_args(FormatName))}."
        ) from None


async def _encoders(encoder: Encoder, formats: Sequence[FormatName]) -> dict[FormatName, str]:
    """The encoder of each format. Refused where ffmpeg has none, or lacks a filter."""
    found = await capabilities(encoder)
    chosen: dict[FormatName, str] = {}
    missing = [f"filter {name}" for name in _FILTERS if name not in found.filters]
    for name, form in FORMATS.items():
        if name not in formats:
            continue
        usable = [candidate for candidate in form.encoders if candidate in found.encoders]
        if usable:
            chosen[name] = usable[0]
        else:
            missing.append(f"encoder for {name} ({' or '.join(form.encoders)})")
        if form.audio_encoder not in found.encoders:
            missing.append(f"encoder for the audio of {name} ({form.audio_encoder})")
    if missing:
        raise Refused(
            f"{encoder.path} has no {', no '.join(missing)}: leave the format out, or set [ffmpeg] path to one that has it.",
            code=FaultCode.NOT_INSTALLED,
        )
    return chosen


async def _music(options: Options, tools: Tools) -> Path:
    path = tools.path(options.music)
    if await audio_duration(tools.encoder, path, "music") < _SHORTEST_MUSIC:
        raise Refused(f"The music {quoted(path.name)} is shorter than a second: name another file.")
    return path


class _Slideshow:
    """One slideshow in the making. What is finished lies in `directory` until all is."""

    def __init__(self, options: Options, context: StepContext, encoders: dict[FormatName, str]) -> None:
        self._options, self._context, self._encoders = options, context, encoders
        self._encoder, self._name = context.tools.encoder, context.job.name
        self._tree = context.tree(options.source)
        self.directory = context.directory / _WORK

    async def run(self) -> Outcome:
        options, context = self._options, self._context
        if not await in_thread(is_unchanged, self._tree, context.artifacts[options.source]):
            raise Refused(
                f"The files of {quoted(options.source)} are not those that the step before this one left: submit the job again."
            )
        soundtrack = await self._soundtrack()
        await in_thread(prepare_directory, self.directory, await self._fingerprint(soundtrack))
        prepared = await self._prepare()
        timing = self._timing(prepared.slides)
        await self._check_length(timing, soundtrack)
        frames = SlideshowEncode(self.directory / _FRAMES, timing, prepared.height, soundtrack, self._encoder.threads)
        made = [await self._make(name, frames, prepared, done) for done, name in enumerate(self._encoders)]
        return await self._publish(made, prepared, timing)

    def _timing(self, slides: int) -> Timing:
        return Timing(slides, self._options.seconds, self._options.fps, self._options.crossfade)

    async def _soundtrack(self) -> Soundtrack | None:
        options, context = self._options, self._context
        music = await _music(options, context.tools) if options.music else None
        voice = context.file(options.voice) if options.voice else None
        if music is None and voice is None:
            return None
        return Soundtrack(music, voice, options.music_gain, options.music_fade, options.ducking)

    async def _fingerprint(self, soundtrack: Soundtrack | None) -> str:
        """A digest of all that determines the files."""
        files = [self._tree / leaf.path for leaf in await in_thread(list_files, self._tree)]
        if soundtrack is not None:
            files += [path for path in (soundtrack.music, soundtrack.voice) if path is not None]
        identities = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        options = self._options.model_dump(mode="json", exclude={"formats"})
        text = json.dumps([await version_text(self._encoder), options, identities])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    async def _prepare(self) -> Prepared:
        """Have all pictures read and written as frames, unless an earlier run did."""
        record, frames = self.directory / _PREPARED, self.directory / _FRAMES
        poster = self.directory / _POSTER
        if record.exists() and poster.exists():
            return Prepared(**json.loads(record.read_text()))
        options = self._options
        size = [int(side) for side in options.size.split("x")] if options.size else None
        request = PictureRequest(
            path=str(self._tree),
            name=options.source,
            frames=str(frames),
            poster=str(poster),
            size=(size[0], size[1]) if size else None,
            background=options.background,
            seconds=options.seconds,
            fps=options.fps,
            crossfade=options.crossfade,
        )
        prepared = await prepare_pictures(request, self._context)
        await in_thread(_write, record, asdict(prepared))
        return prepared

    async def _check_length(self, timing: Timing, soundtrack: Soundtrack | None) -> None:
        if timing.duration > _LONGEST:
            raise Refused(
                f"{timing.slides} pictures of {self._options.seconds:g} s each last longer than a day: show them shorter."
            )
        if soundtrack is None or soundtrack.voice is None:
            return
        spoken = await audio_duration(self._encoder, soundtrack.voice, "voice")
        if spoken > timing.duration + float(1 / timing.fps):
            raise Refused(
                f"The voice speaks for {spoken:.2f} s and the {timing.slides} pictures last {timing.duration:.2f} s: show each"
                f" for {spoken / timing.slides:.2f} s or longer, so that nobody is cut off."
            )

    async def _make(self, name: FormatName, frames: SlideshowEncode, prepared: Prepared, done: int) -> Artifact:
        """One format, encoded and checked, unless an earlier run did that."""
        form = FORMATS[name]
        timing = form.timing(frames.timing)
        final = self.directory / form.file
        record = final.with_name(f"{form.file}.json")
        if not (record.exists() and final.exists()):
            part = temporary_path(final)
            try:
                complaints = await self._encode(name, frames, part, done)
                expected = Expected(
                    duration=timing.duration,
                    total=timing.duration,
                    width=prepared.width,
                    height=prepared.height,
                    tracks=0 if frames.soundtrack is None else 1,
                    rate=float(timing.fps),
                    codec=form.codec,
                    frames=timing.frames,
                    audio_ends=() if frames.soundtrack is None else (timing.duration,),
                )
                media, found = await verify(self._encoder, part, expected, self._name, complaints)
                part.rename(final)
            finally:
                part.unlink(missing_ok=True)
            # That a picture stands still, or is black, is as somebody made it.
            text = {"media": media.to_json(), "check": replace(found, frozen=(), black=()).to_json()}
            await in_thread(_write, record, text)
        known = json.loads(record.read_text())
        media = Media.from_json(known["media"])
        facts = {"check": known["check"], "type": form.media_type(audio=frames.soundtrack is not None)}
        return Artifact(f"slideshow-{name}", form.file, media.size, form.content_type, media, facts)

    async def _encode(self, name: FormatName, frames: SlideshowEncode, part: Path, done: int) -> str:
        """Run ffmpeg; what it printed. Progress is that of all formats together."""
        context, duration = self._context, frames.timing.duration
        total = duration * len(self._encoders)

        def progress(seconds: float, _: float | None, unit: str, speed: float | None) -> None:
            context.progress(done * duration + seconds, total, unit, speed)

        ended = await encode(
            self._encoder, frames.args(name, self._encoders[name], part), output=part, duration=duration,
            progress=progress, observe=context.tools.observe, kind="slideshow",
        )  # fmt: skip
        # SVT-AV1 tells its settings there, whatever ffmpeg is asked to print.
        return "\n".join(line for line in ended.stderr.splitlines() if not line.startswith("Svt["))

    async def _publish(self, made: Sequence[Artifact], prepared: Prepared, timing: Timing) -> Outcome:
        """Move all files into place."""
        directory = self._context.directory
        kept = {artifact.path for artifact in made}
        for form in FORMATS.values():
            if form.file not in kept:
                (directory / form.file).unlink(missing_ok=True)
        for path in [*kept, _POSTER]:
            await commit(self.directory / path, directory / path)
        await in_thread(partial(shutil.rmtree, self.directory))
        size = {"width": prepared.width, "height": prepared.height}
        poster = Artifact("poster", _POSTER, (directory / _POSTER).stat().st_size, "image/jpeg", facts=size)
        others = f"{prepared.others} are no pictures by their names."
        facts: dict[str, Any] = {
            "slides": timing.slides,
            "duration": timing.duration,
            "frames": timing.frames,
            "formats": list(self._encoders),
            "left_out": [{"name": "files", "why": others}] if prepared.others else [],
        }
        return Outcome((*made, poster), facts)


def _write(path: Path, content: dict[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    with retry_if_full():
        part.write_text(json.dumps(content))
        part.replace(path)
