"""The contract of a recogniser: what its module has, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vidd.ports import StepContext, Tools
from vidd.transcription.transcript import Transcript


@dataclass(frozen=True)
class Request:
    """One language of one file.

    audio: its audio as WAV, 16 kHz, mono, whose time 0 is that of the file; only for an engine that `hears`.
    seconds: how long that is.
    file: the file itself.
    language: the language wanted. spoken: the one that is spoken; where they differ, a translation is wanted.
    """

    context: StepContext
    audio: Path
    seconds: float
    file: Path
    language: str
    spoken: str


class Engine(Protocol):
    """The module of an engine. `Options`, in the step's table `engine`, has a `kind` that names it.

    hears: whether vidd takes the audio out of the file for it, and holds a slot while it works.
    """

    hears: bool

    async def transcribe(self, options: Any, request: Request, /) -> Transcript:
        """What was said, with times from the file's start; without words where nobody speaks.

        Raises Refused where it cannot be done like this, RetryLater where it may succeed later, also while another
        system still works on it. A run that is cancelled or killed and run again gives the same.
        """

    async def check(self, options: Any, tools: Tools, /) -> str:
        """Look whether it could work now; returns a sentence, raises a Fault with what is missing."""
