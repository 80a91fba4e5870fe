"""PocketSphinx, in a child: small and quick, with a model of English in its package; other models by path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from vidd.errors import FaultCode, Refused
from vidd.transcription.language import base_of
from vidd.transcription.recognition import WorkerOptions, recognise, require

if TYPE_CHECKING:
    from vidd.ports import Tools
    from vidd.transcription.engine import Request
    from vidd.transcription.transcript import Transcript

hears = True
_FILES = ("model", "dictionary", "language_model", "grammar")


class Options(WorkerOptions):
    """PocketSphinx: for clear speech with few words, such as announcements; Whisper understands far more."""

    kind: Literal["pocketsphinx"] = Field(description="The package pocketsphinx.")
    language: str = Field("en", description="The language of the models.")
    model: Path | None = Field(
        None, description="Directory of an acoustic model; unset: the one of the package, English."
    )
    dictionary: Path | None = Field(None, description="Pronunciation dictionary; unset: the package's.")
    language_model: Path | None = Field(None, description="Language model; unset: the package's.")
    grammar: Path | None = Field(None, description="A JSGF grammar of what may be said, in place of a language model.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Options:
        if self.grammar is not None and self.language_model is not None:
            raise ValueError("give grammar or language_model, not both")
        return self


async def transcribe(options: Options, request: Request) -> Transcript:
    """Transcribe speech in the models' language."""
    require("pocketsphinx", "captions-small")
    if {base_of(request.language), base_of(request.spoken)} != {base_of(options.language)}:
        raise Refused(
            f"PocketSphinx has models for {options.language} here and can transcribe nothing else; {request.language} is"
            f" asked for, of speech in {request.spoken}: give it other models, or use another engine.",
            code=FaultCode.BAD_SETTINGS,
        )
    return await recognise(
        options, request, {"ask": "pocketsphinx", **_paths(options, request.context.tools)}, "PocketSphinx"
    )


def _paths(options: Options, tools: Tools) -> dict[str, str]:
    paths = {name: tools.path(path) for name in _FILES if (path := getattr(options, name)) is not None}
    for name, path in paths.items():
        if not path.exists():
            raise Refused(f"There is no {path}: correct {name} of the engine.", code=FaultCode.BAD_SETTINGS)
    return {name: str(path) for name, path in paths.items()}


async def check(options: Options, tools: Tools) -> str:
    """Look for the package and the models; nothing is loaded."""
    require("pocketsphinx", "captions-small")
    _paths(options, tools)
    return f"PocketSphinx is installed, for {options.language}."
