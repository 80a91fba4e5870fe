"""The interface of a detector, and the one place that makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from vidd.detection.settings import Darknet, Faces, Network, People

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.detection.worker.frame_loader import Pixels
    from vidd.model.boxes import Box


class Detector(Protocol):
    """Finds objects on frames. `batch` is how many frames it takes at once; `about` describes it in a few words."""

    batch: int
    about: str

    def __call__(self, frames: Sequence[Pixels]) -> list[list[Box]]:
        """The boxes on each frame, in its pixels, the most confident first."""


def make_detector(settings: Mapping[str, Any], threads: int) -> Detector:
    """The detector of these settings, ready to run. Refused where it cannot be loaded."""
    # Each needs a library that the others do without.
    match settings["kind"]:
        case "people":
            from vidd.detection.worker.opencv import PeopleDetector  # noqa: PLC0415

            return PeopleDetector(People.model_validate(settings), threads)
        case "faces":
            from vidd.detection.worker.opencv import CascadeDetector  # noqa: PLC0415

            return CascadeDetector(Faces.model_validate(settings), threads)
        case "darknet":
            from vidd.detection.worker.darknet import DarknetDetector  # noqa: PLC0415

            return DarknetDetector(Darknet.model_validate(settings), threads)
        case _:
            from vidd.detection.worker.onnx import OnnxDetector  # noqa: PLC0415

            return OnnxDetector(Network.model_validate(settings), threads)
