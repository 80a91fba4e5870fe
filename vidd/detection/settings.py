"""The settings of the detectors that vidd brings, and of any ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from vidd.settings.types import Options


class People(Options):
    """People who stand or walk, by OpenCV's histogram of gradients; needs no file."""

    kind: Literal["people"]
    label: str = Field("person", min_length=1, max_length=200, description="What a box is called.")
    threshold: float = Field(0.0, description="The least distance from the detector's plane; more is more certain.")
    scale: float = Field(1.05, gt=1, le=4, description="How much smaller the picture gets from look to look.")
    stride: Literal[4, 8, 16] = Field(8, description="How far the window moves at once, in pixels.")
    largest: int = Field(
        960, ge=128, le=10_000, description="Pictures whose longer side has more pixels are looked at smaller."
    )
    overlap: float = Field(0.5, ge=0, le=1, description="Of two boxes that share more than this the better one stays.")


class Faces(Options):
    """Faces, or what another cascade of OpenCV's knows."""

    kind: Literal["faces"]
    label: str = Field("face", min_length=1, max_length=200, description="What a box is called.")
    cascade: str = Field(
        "haarcascade_frontalface_default.xml",
        min_length=1,
        description="A cascade that OpenCV brings, or a file; relative paths are from the state directory.",
    )
    scale: float = Field(1.1, gt=1, le=4, description="How much smaller the picture gets from look to look.")
    neighbours: int = Field(5, ge=0, le=100, description="How many looks must agree on a box.")
    smallest: int = Field(24, ge=8, le=4000, description="The least width of a box in pixels.")
    largest: int = Field(
        1920, ge=128, le=10_000, description="Pictures whose longer side has more pixels are looked at smaller."
    )


class Network(Options):
    """A detector in an ONNX file whose output is like YOLO's."""

    kind: Literal["onnx"]
    model: Path = Field(description="The ONNX file; relative paths are from the state directory.")
    labels: tuple[str, ...] = Field((), description="What its classes are called, in order; unset: as the model says.")
    labels_file: Path | None = Field(None, description="A text file of them instead, one a line.")
    only: tuple[str, ...] = Field((), description="Which labels are wanted; all where unset.")
    layout: Literal["auto", "v5", "v8", "end"] = Field(
        "auto",
        description="v5: rows of box, certainty and classes; v8: columns of box and classes; end: boxes that are final.",
    )
    output: str = Field("", description="Which of its outputs; the first of three dimensions where unset.")
    relative: bool = Field(False, description="Its boxes are in parts of the picture, not in pixels.")
    size: int = Field(640, ge=32, le=4096, multiple_of=32, description="Side of its picture, where it leaves it open.")
    batch: int = Field(1, ge=1, le=256, description="How many pictures at once, where it leaves it open.")
    colours: Literal["rgb", "bgr"] = Field("rgb", description="The order of its colours.")
    divisor: float = Field(255.0, gt=0, description="What samples of 0 to 255 are divided by.")
    confidence: float = Field(0.25, ge=0, le=1, description="Boxes of less are dropped.")
    overlap: float = Field(
        0.45, ge=0, le=1, description="Of two boxes of a label that share more than this the better one stays."
    )
    most: int = Field(300, ge=1, le=10_000, description="The most boxes on a frame.")
    providers: tuple[str, ...] = Field(
        ("CPUExecutionProvider",), min_length=1, description="What onnxruntime may run it on, the best first."
    )

    @model_validator(mode="after")
    def _known(self) -> Network:
        if self.labels and (unknown := [one for one in self.only if one not in self.labels]):
            raise ValueError(f"only names {unknown[0]!r}, which is none of the labels")
        return self
