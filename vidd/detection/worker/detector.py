"""What a detector is to whoever has frames, and which there are. Never imported by the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from vidd.detection.settings import Faces, Network, People

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.detection.worker.frame_loader import Pixels
    from vidd.model.boxes import Box


class Detector(Protocol):
    """Finds things on pictures. `batch` is how many it takes at once; `about` says in a few words what it is."""

    batch: int
    about: str

    def __call__(self, pictures: Sequence[Pixels]) -> list[list[Box]]:
        """The boxes on each, in pixels of the picture, the surest first."""


def detector_of(settings: Mapping[str, Any], threads: int) -> Detector:
    """The detector of these settings, ready; Refused with a sentence where it cannot be had."""
    match settings["kind"]:
        case "people":
            from vidd.detection.worker.opencv import Walkers  # noqa: PLC0415 - what is imported is what is needed

            return Walkers(People.model_validate(settings), threads)
        case "faces":
            from vidd.detection.worker.opencv import Cascade  # noqa: PLC0415

            return Cascade(Faces.model_validate(settings), threads)
        case _:
            from vidd.detection.worker.onnx import Model  # noqa: PLC0415

            return Model(Network.model_validate(settings), threads)
