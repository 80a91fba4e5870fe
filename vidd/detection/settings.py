"""The settings of vidd's own detectors, and of any ONNX or Darknet model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from vidd.settings.types import Options


class People(Options):
    """People who stand or walk, by OpenCV's histogram of oriented gradients; needs no file."""

    kind: Literal["people"]
    label: str = Field("person", min_length=1, max_length=200, description="The label of its boxes.")
    threshold: float = Field(
        0.0, description="The least distance from the classifier's hyperplane; more gives fewer and surer boxes."
    )
    scale: float = Field(1.05, gt=1, le=4, description="The factor between two levels of the image pyramid.")
    stride: Literal[4, 8, 16] = Field(8, description="The step of the detection window, in pixels.")
    largest: int = Field(
        960, ge=128, le=10_000, description="Frames whose longer side has more pixels are scaled down to this."
    )
    overlap: float = Field(
        0.5, ge=0, le=1, description="Of two boxes that overlap by more than this, the better one stays."
    )


class Faces(Options):
    """Faces, or what another Haar cascade finds, by OpenCV."""

    kind: Literal["faces"]
    label: str = Field("face", min_length=1, max_length=200, description="The label of its boxes.")
    cascade: str = Field(
        "haarcascade_frontalface_default.xml",
        min_length=1,
        description="A cascade that OpenCV ships, or a file; relative paths are from the state directory.",
    )
    scale: float = Field(1.1, gt=1, le=4, description="The factor between two levels of the image pyramid.")
    neighbours: int = Field(5, ge=0, le=100, description="How many neighbouring detections a box needs.")
    smallest: int = Field(24, ge=8, le=4000, description="The least width of a box in pixels.")
    largest: int = Field(
        1920, ge=128, le=10_000, description="Frames whose longer side has more pixels are scaled down to this."
    )


class _Labelled(Options):
    """What all networks share: the labels of their classes, and which boxes stay."""

    labels: tuple[str, ...] = Field((), description="The labels of its classes, in order; unset: those in the model.")
    labels_file: Path | None = Field(None, description="A text file with the labels instead, one a line.")
    only: tuple[str, ...] = Field((), description="The labels to keep; unset: all.")
    confidence: float = Field(0.25, ge=0, le=1, description="Boxes with less confidence are dropped.")
    overlap: float = Field(
        0.45, ge=0, le=1, description="Of two boxes of a label that overlap by more than this, the better one stays."
    )
    most: int = Field(300, ge=1, le=10_000, description="The most boxes on a frame.")

    @model_validator(mode="after")
    def _only_known_labels(self) -> Self:
        if self.labels and (unknown := [label for label in self.only if label not in self.labels]):
            raise ValueError(f"only names {unknown[0]!r}, which is none of the labels")
        return self


class Network(_Labelled):
    """A detector in an ONNX file whose output is like YOLO's."""

    kind: Literal["onnx"]
    model: Path = Field(description="The ONNX file; relative paths are from the state directory.")
    layout: Literal["auto", "v5", "v8", "end"] = Field(
        "auto",
        description="v5: rows of box, objectness and classes; v8: columns of box and classes; end: final boxes.",
    )
    output: str = Field("", description="The name of the output; unset: the first one with three dimensions.")
    relative: bool = Field(False, description="The model's boxes are relative to its input, not in pixels.")
    size: int = Field(
        640,
        ge=32,
        le=4096,
        multiple_of=32,
        description="Side of the model's input in pixels, where the model does not fix it.",
    )
    batch: int = Field(1, ge=1, le=256, description="Frames per call, where the model does not fix it.")
    colours: Literal["rgb", "bgr"] = Field("rgb", description="The order of the colours that the model takes.")
    divisor: float = Field(255.0, gt=0, description="The number that samples of 0 to 255 are divided by.")
    providers: tuple[str, ...] = Field(
        ("CPUExecutionProvider",),
        min_length=1,
        description="The execution providers of onnxruntime, the preferred first.",
    )


class Darknet(_Labelled):
    """A Darknet model (YOLOv2 to YOLOv4) in its configuration and its weights, by OpenCV."""

    kind: Literal["darknet"]
    config: Path = Field(description="The .cfg file; relative paths are from the state directory.")
    weights: Path = Field(description="The .weights file; relative paths are from the state directory.")
    width: int = Field(
        416, ge=32, le=4096, description="Width of the model's input in pixels, where the .cfg file has none."
    )
    height: int = Field(
        416, ge=32, le=4096, description="Height of the model's input in pixels, where the .cfg file has none."
    )
    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="Where the model runs; cuda needs an OpenCV that was built with CUDA."
    )
