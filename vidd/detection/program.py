"""A detector that is any program: what it is told in the settings, and how far its answers are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from vidd.programs.options import ProgramOptions, Variable
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.ports import StepContext

_Word = Annotated[
    str, AfterValidator(check_template), MayName("asked", "answers", "tasks", "version", "directory", "attempt")
]


class Program(ProgramOptions):
    """Any program. It reads JSON lines from `asked`, one for each frame: task, index, picture, film; it writes to `answers`.

    An answer is one line a frame, also where there is nothing on it: task, index, boxes (x, y, w, h, label, confidence).
    """

    kind: Literal["program"]
    argv: tuple[_Word, ...] = Field(min_length=1, description="The program and its words; asked and answers are files.")
    prefix: tuple[_Word, ...] = Field((), description="Words before argv, such as conda run -n NAME.")
    directory: _Word = Field("", description="Where it runs, from the job's directory; unset: there.")
    environment: dict[Variable, _Word] = Field({}, description="Variables for it, besides PATH, HOME and the like.")
    stop: tuple[_Word, ...] = Field((), description="A command after one that was ended early.")

    @field_validator("argv")
    @classmethod
    def _told_where(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not any("answers" in word for word in argv):
            raise ValueError("the program must be told where its answers go: name {{ answers }}")
        return argv


class Growing:
    """How many lines there are in the file that a program writes, read as it grows."""

    def __init__(self, context: StepContext, path: Path, done: int, total: int) -> None:
        self._context, self._path, self._done, self._total = context, path, done, total
        self._read = 0

    def __call__(self) -> int:
        """Tell of the lines there are now; how many bytes they have."""
        if self._path.is_file():
            with self._path.open("rb") as file:
                file.seek(self._read)
                while chunk := file.read(1 << 20):
                    self._read += len(chunk)
                    self._done += chunk.count(b"\n")
            self._context.progress(float(min(self._done, self._total)), float(self._total), "frames", None)
        return self._read
