"""The settings of a detector that is a user's program, and the progress of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from vidd.programs.options import ProgramOptions, Variable
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.ports import StepContext

_Template = Annotated[
    str, AfterValidator(check_template), MayName("asked", "answers", "tasks", "version", "directory", "attempt")
]


class Program(ProgramOptions):
    """Any program. It reads JSON lines from `asked`, one for each frame: task, index, picture, film; it writes to `answers`.

    It writes one line for each frame, also for one without boxes: task, index, boxes (x, y, w, h, label, confidence).
    """

    kind: Literal["program"]
    argv: tuple[_Template, ...] = Field(
        min_length=1, description="The program and its arguments; {{ asked }} and {{ answers }} are files."
    )
    prefix: tuple[_Template, ...] = Field((), description="Arguments before argv, such as conda run -n NAME.")
    directory: _Template = Field("", description="Its working directory, from the job's directory; unset: the job's.")
    environment: dict[Variable, _Template] = Field(
        {}, description="Its environment variables, besides PATH, HOME and the like."
    )
    stop: tuple[_Template, ...] = Field((), description="A command to run after the program was ended early.")

    @field_validator("argv")
    @classmethod
    def _names_answers(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not any("answers" in word for word in argv):
            raise ValueError("the program must be told where its answers go: name {{ answers }}")
        return argv


class AnswerProgress:
    """Counts the lines of the file that a program writes, and reports them as progress of the step."""

    def __init__(self, context: StepContext, path: Path, done: int, total: int) -> None:
        self._context, self._path, self._done, self._total = context, path, done, total
        self._read = 0

    def __call__(self) -> int:
        """Report the lines so far; returns their size in bytes."""
        if self._path.is_file():
            with self._path.open("rb") as file:
                file.seek(self._read)
                while chunk := file.read(1 << 20):
                    self._read += len(chunk)
                    self._done += chunk.count(b"\n")
            self._context.progress(float(min(self._done, self._total)), float(self._total), "frames", None)
        return self._read
