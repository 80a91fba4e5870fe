"""Has a child read the pictures and the audio of a slideshow (`vidd.media.slideshow.worker.main`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.processes.worker_client import ask_worker, retry_if_died, run_worker

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.ports import Encoder, StepContext

_WORKER = "vidd.media.slideshow.worker.main"
_MEMORY = 8 << 30
# Seconds that one picture, and all packets of an audio file, may take.
_QUIET, _AUDIO_TIMEOUT = 300.0, 120.0


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """A request for the frames of a slideshow; its fields are the keys of the worker's JSON.

    `path` is the directory of pictures, `name` what the operator knows it by. The frames go to `frames` and the first
    picture to the JPEG file `poster`. `size` is the frame's in pixels, None for that of most pictures, `background` the
    colour (#rrggbb) beside and behind pictures. The others are those of `Timing`.
    """

    path: str
    name: str
    frames: str
    poster: str
    size: tuple[int, int] | None
    background: str
    seconds: float
    fps: int
    crossfade: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """The frames that are ready to be encoded: how many `slides`, `width` and `height`, and files that are no pictures."""

    slides: int
    width: int
    height: int
    others: int


async def prepare_pictures(request: PictureRequest, context: StepContext) -> Prepared:
    """Read all pictures and write each once, fitted to the frame; Refused, by name, where one is missing or damaged.

    RetryLater where the child died.
    """
    order = {"ask": "prepare", "request": asdict(request)}
    memory = context.tools.encoder.memory or _MEMORY
    with retry_if_died(f"reading the pictures of {quoted(request.name)}"):
        return Prepared(**await run_worker(_WORKER, order, context, quiet=_QUIET, memory=memory, unit="pictures"))


async def audio_duration(encoder: Encoder, path: Path, what: str) -> float:
    """Seconds of the first audio track of a file; Refused, with a sentence that begins with `what`, where it has none."""
    question: dict[str, Any] = {"ask": "audio", "path": str(path), "what": what}
    with retry_if_died(f"reading the {what}"):
        answer = await ask_worker(_WORKER, question, timeout=_AUDIO_TIMEOUT, memory=encoder.memory or _MEMORY)
    return float(answer["duration"])
