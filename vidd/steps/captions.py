"""Makes captions of what is said: SubRip, WebVTT, plain text, and the times of the words, for each language wanted.

Recognisers are engines behind one contract (`vidd.transcription.engine`): any program, faster-whisper or PocketSphinx in a
child, or another system that is asked by SQS and answers later.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.disk_space import retry_if_full
from vidd.files.removal import remove
from vidd.media.probe.client import probe
from vidd.model.media import Artifact, Outcome
from vidd.settings.marks import Role
from vidd.settings.types import Options as Base
from vidd.transcription import faster_whisper, pocketsphinx, program, queue_job
from vidd.transcription.audio import extract, has_track, track_for
from vidd.transcription.engine import Engine, Request
from vidd.transcription.formats import srt, vtt, words_json
from vidd.transcription.language import language_tag, languages_in
from vidd.transcription.transcript import cues_of, paragraphs

if TYPE_CHECKING:
    from vidd.model.media import Media
    from vidd.ports import StepContext, Tools
    from vidd.transcription.transcript import Transcript

_ENGINES: Mapping[str, Engine] = {
    "faster_whisper": faster_whisper,
    "pocketsphinx": pocketsphinx,
    "program": program,
}
_DIRECTORY = ".captions"
_CONTENT_TYPES = {"srt": "application/x-subrip", "vtt": "text/vtt", "text": "text/plain", "words": "application/json"}
_SUFFIXES = {"srt": ".srt", "vtt": ".vtt", "text": ".txt", "words": ".json"}

_EngineOptions = Annotated[
    program.Options | faster_whisper.Options | pocketsphinx.Options | queue_job.Options, Field(discriminator="kind")
]


class Options(Base):
    """Settings of a step of kind `captions`."""

    engine: _EngineOptions = Field(description="The recogniser, by its kind.")
    source: Annotated[str, Role()] = Field(
        "", description="Role of the file; default: the talk if there is one, else the source."
    )
    languages: tuple[str, ...] = Field(
        (),
        description="The languages of all files, the spoken one first; unset: those that the talk's column names, such as"
        " `en, de`.",
    )
    column: str = Field(
        "language", description="The column of the programme with a talk's languages, the spoken one first."
    )
    language: str = Field("en", description="The language where nobody names one.")
    slot: Literal["captions", "gpus", "commands", "encodes"] = Field(
        "captions", description="The limit of [limits] of which a recogniser on this machine holds a slot."
    )


def roles(options: Options) -> frozenset[str] | None:
    """The roles of what it makes; None where the programme names the languages, or one is none, which the check refuses."""
    try:
        languages = languages_in(", ".join(options.languages))
    except Refused:
        return None
    return frozenset(f"{what}-{language}" for what in _SUFFIXES for language in languages) or None


def pool(options: Options) -> str:
    """The pool of which a run holds a slot."""
    return options.slot


async def check_here(options: Options, tools: Tools) -> None:
    """Find a recogniser that is on this machine."""
    if options.engine.kind in _ENGINES:
        await check(options, tools)


async def check(options: Options, tools: Tools) -> str:
    """Find the recogniser."""
    for language in (*options.languages, options.language):
        language_tag(language)
    return await _engine(options).check(options.engine, tools)


def _engine(options: Options) -> Engine:
    if options.engine.kind == "sqs":
        from vidd.integrations.aws import transcription_job  # noqa: PLC0415 - slow to import, and few need it

        return transcription_job
    return _ENGINES[options.engine.kind]


async def run(options: Options, context: StepContext) -> Outcome:
    """Make the artifacts `srt-<language>`, `vtt-<language>`, `text-<language>` and `words-<language>`."""
    source = context.file(options.source or ("talk" if "talk" in context.artifacts else "source"))
    languages = _languages(options, context)
    media = await probe(context.tools.encoder, source, context.job.name)
    track_for(media, languages[0], context.job.name)  # where there is no audio, nobody need be asked
    work = context.directory / _DIRECTORY
    work.mkdir(exist_ok=True)
    transcripts: dict[str, Transcript] = {}
    pending: RetryLater | None = None
    for language in languages:
        # Audio in a language of its own, such as an interpreter's, needs no translation.
        spoken = language if has_track(media, language) else languages[0]
        request = Request(context, work / f"audio.{language}.wav", media.duration, source, language, spoken)
        try:
            transcripts[language] = await _transcribe(options, request, media)
        except RetryLater as fault:
            if fault.code is not FaultCode.PENDING:
                raise
            pending = pending or fault  # the other languages are asked for at the same time
    if pending is not None:
        raise pending
    with retry_if_full():
        outcome = await in_thread(_write, options, context, transcripts)
    await in_thread(remove, work)
    return outcome


def _languages(options: Options, context: StepContext) -> tuple[str, ...]:
    wanted = ", ".join(options.languages) or _asked_in_programme(options, context)
    return languages_in(wanted) or (language_tag(options.language),)


def _asked_in_programme(options: Options, context: StepContext) -> str:
    """The text of the talk's column, from the programme or from the job of the talk whose file this is."""
    talk = (
        context.talk.facts if context.talk else context.job.facts.get("published", {}).get("talk", {}).get("facts", {})
    )
    known = {**talk.get("columns", {}), **{name: fact for name, fact in talk.items() if isinstance(fact, str)}}
    own = {name: fact for name, fact in context.job.facts.items() if isinstance(fact, str)}
    for name, text in {**own, **known}.items():
        if name.strip().casefold() == options.column.strip().casefold() and str(text).strip():
            return str(text)
    return ""


async def _transcribe(options: Options, request: Request, media: Media) -> Transcript:
    engine, context = _engine(options), request.context
    if not engine.hears:
        return await engine.transcribe(options.engine, request)
    async with context.slot():
        track = track_for(media, request.spoken, context.job.name)
        await extract(context, request.file, media, track, request.audio)
        return await engine.transcribe(options.engine, request)


def _write(options: Options, context: StepContext, transcripts: Mapping[str, Transcript]) -> Outcome:
    """Write the files of all languages. Raises Refused if nobody speaks: an empty file would hide that from everybody."""
    artifacts: list[Artifact] = []
    cues: dict[str, int] = {}
    words: dict[str, int] = {}
    for language, transcript in transcripts.items():
        texts = _texts(transcript, language, options.engine.kind)
        if not texts:
            raise Refused(
                f"No speech was recognised in {quoted(context.job.name)} ({language}), so there are no captions: listen"
                " whether anybody speaks, and whether the engine's language and model are right; then retry.",
            )
        cues[language], words[language] = texts.get("srt", "").count(" --> "), len(transcript.words)
        artifacts += [_write_file(context.directory, what, language, text) for what, text in texts.items()]
    title = context.job.facts.get("published", {}).get("facts", {}).get("title")
    facts: dict[str, Any] = {
        "cues": cues,
        "words": words,
        "languages": list(transcripts),
        "engine": options.engine.kind,
    }
    return Outcome(tuple(artifacts), facts | ({"title": title} if isinstance(title, str) else {}))


def _texts(transcript: Transcript, language: str, engine: str) -> dict[str, str]:
    """The contents of the files, by what they are; none where nothing was said. Without times there is the text alone."""
    if transcript.text:
        return {"text": transcript.text + "\n"}
    cues = cues_of(transcript)
    if not cues:
        return {}
    text = paragraphs(transcript.words) + "\n"
    return {"srt": srt(cues), "vtt": vtt(cues), "text": text, "words": words_json(transcript, language, engine)}


def _write_file(directory: Path, what: str, language: str, text: str) -> Artifact:
    path = directory / f"captions.{language}{_SUFFIXES[what]}"
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", errors="replace")
    part.replace(path)
    facts = {"language": language}
    return Artifact(f"{what}-{language}", path.name, path.stat().st_size, _CONTENT_TYPES[what], facts=facts)
