"""Any recogniser that is a program: it gets a WAV file, and writes JSON with word times, WebVTT or SubRip beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.programs.options import ProgramOptions, Variable, call_of, check_program
from vidd.programs.program import call
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, fields_of
from vidd.transcription.formats import SUFFIXES, read

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.ports import Tools
    from vidd.transcription.engine import Request
    from vidd.transcription.transcript import Transcript

hears = True

_Template = Annotated[
    str,
    AfterValidator(check_template),
    MayName("audio", "file", "output", "language", "spoken", "directory", "attempt"),
]


class Options(ProgramOptions):
    """Any program. {{ audio }} is a WAV file of 16 kHz, mono; {{ output }} is the path of what it writes, without suffix.

    It writes .json (whisper.cpp's, Whisper's, Vosk's, or a list of word, start, end), .vtt, .srt or .txt; vidd takes
    the first of these.
    """

    kind: Literal["program"] = Field(description="Any program.")
    argv: tuple[_Template, ...] = Field(
        min_length=1,
        description="The program and its arguments; {{ audio }}, {{ output }} and {{ language }} are given.",
    )
    prefix: tuple[_Template, ...] = Field((), description="Arguments before argv, such as conda run -n NAME.")
    directory: _Template = Field("", description="Its working directory, from the job's directory; unset: the job's.")
    environment: dict[Variable, _Template] = Field(
        {}, description="Its environment variables, besides PATH, HOME and the like."
    )
    stop: tuple[_Template, ...] = Field((), description="A command to run after the program was ended early.")


async def transcribe(options: Options, request: Request) -> Transcript:
    """Run the program and read what it wrote."""
    context, output = request.context, request.audio.with_suffix("")
    # Some append the suffix to the whole name of the audio file, and some replace its own.
    results = [output.with_name(f"{name}{suffix}") for suffix in SUFFIXES for name in (output.name, request.audio.name)]
    for path in results:
        path.unlink(missing_ok=True)
    fields = fields_of(
        context.job,
        context.talk,
        context.facts,
        audio=str(request.audio),
        file=str(request.file),
        output=str(output),
        language=request.language,
        spoken=request.spoken,
        directory=str(context.directory),
        attempt=context.job.attempt + 1,
    )
    ran = await call(call_of(options, context, fields), context)
    result = next((path for path in results if path.is_file()), None)
    if result is None:
        names = ", ".join(f"{output.name}{suffix}" for suffix in SUFFIXES)
        raise Refused(
            f"The recogniser {quoted(str(ran['words'][0]))} ended well and wrote none of {names}: correct its arguments,"
            " which can name {{ output }}. Its log has the rest.",
            said="\n".join(ran["tail"]),
        )
    return await in_thread(_read, result, request.language)


def _read(path: Path, language: str) -> Transcript:
    return read(path.name, path.read_bytes(), language)


async def check(options: Options, tools: Tools) -> str:
    """Find the program."""
    return check_program(options, tools)
