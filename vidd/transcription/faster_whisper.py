"""Whisper by the package faster-whisper, in a child, with a model that lies on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from vidd.errors import FaultCode, Refused
from vidd.transcription.language import base_of
from vidd.transcription.recognition import WorkerOptions, recognise, require

if TYPE_CHECKING:
    from vidd.ports import Tools
    from vidd.transcription.engine import Request
    from vidd.transcription.transcript import Transcript

hears = True


class Options(WorkerOptions):
    """Whisper by faster-whisper, on a GPU where there is one. It translates into English, and into nothing else."""

    kind: Literal["faster_whisper"] = Field(description="The package faster-whisper.")
    model: Path = Field(
        description="Directory of a model for CTranslate2, with its model.bin; relative paths are from the state"
        " directory. vidd downloads none."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where it computes.")
    compute_type: str = Field("default", description="The type that it computes with, such as int8 or float16.")
    beam_size: int = Field(5, ge=1, le=20, description="How many hypotheses it follows.")
    vad: bool = Field(True, description="Leave out what is no speech; otherwise it may hear words in silence.")
    prompt: str | None = Field(None, description="Words it should know, such as names of speakers and products.")


async def transcribe(options: Options, request: Request) -> Transcript:
    """Transcribe what is spoken, or translate it into English."""
    require("faster_whisper", "captions")
    spoken, wanted = base_of(request.spoken), base_of(request.language)
    if wanted not in {spoken, "en"}:
        raise Refused(
            f"faster-whisper cannot translate {request.spoken} into {request.language}, only into English: ask for that,"
            " or use another engine.",
            code=FaultCode.BAD_SETTINGS,
        )
    orders = {
        "ask": "faster_whisper",
        "model": str(_model(options, request.context.tools)),
        "device": options.device,
        "compute_type": options.compute_type,
        "beam_size": options.beam_size,
        "vad": options.vad,
        "prompt": options.prompt,
        "language": spoken,
        "task": "transcribe" if wanted == spoken else "translate",
    }
    return await recognise(options, request, orders, "faster-whisper")


def _model(options: Options, tools: Tools) -> Path:
    path = tools.path(options.model)
    if not (path / "model.bin").is_file():
        raise Refused(
            f"There is no model in {path}: put a Whisper model for CTranslate2 there, or correct model of the engine.",
            code=FaultCode.BAD_SETTINGS,
        )
    return path


async def check(options: Options, tools: Tools) -> str:
    """Look for the package and the model; nothing is loaded."""
    require("faster_whisper", "captions")
    return f"faster-whisper is installed, and the model is in {_model(options, tools)}."
