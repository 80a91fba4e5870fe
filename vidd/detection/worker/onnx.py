"""Detects objects with a model in an ONNX file whose output is like YOLO's."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

from vidd.detection.worker.labels import configured_labels, label_of
from vidd.detection.worker.yolo import Floats, Layout, Letterbox, layout_of, letterbox, read_candidates, suppress
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.model.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.detection.settings import Network
    from vidd.detection.worker.frame_loader import Pixels

# The errors of onnxruntime have no common base but Exception.
_ERRORS = tuple(
    value
    for value in vars(onnxruntime_pybind11_state).values()
    if isinstance(value, type) and issubclass(value, Exception) and value is not Exception
)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
# onnxruntime gives no code for a lack of memory.
_NO_MEMORY = ("bad alloc", "allocate memory", "out of memory", "Failed to allocate")
_ERRORS_ONLY = 3


class OnnxDetector:
    """A model; its own labels and sizes are used where the settings name none."""

    def __init__(self, settings: Network, threads: int) -> None:
        self._settings, self._path = settings, settings.model
        if not self._path.is_file():
            raise Refused(f"There is no model {self._path}: put it there, or correct model.", code=FaultCode.NOT_FOUND)
        missing = sorted(set(settings.providers) - set(onnxruntime.get_available_providers()))
        if missing:
            raise Refused(
                f"onnxruntime has no {missing[0]} here, only {', '.join(onnxruntime.get_available_providers())}: correct"
                " providers, or install the package of onnxruntime that has it.",
                code=FaultCode.NOT_INSTALLED,
            )
        self._session = self._load(threads)
        self._input = self._session.get_inputs()[0]
        self._labels = self._read_labels()
        self._channels_last, self._size = self._input_format()
        batch = self._input.shape[0]
        self._fixed_batch = isinstance(batch, int)
        self.batch = batch if isinstance(batch, int) else settings.batch
        self._layout: Layout | None = None
        width, height = self._size
        self([np.zeros((height, width, 3), np.uint8)])
        layout = self._layout.name if self._layout else "?"
        self.about = f"{self._path.name}, {len(self._labels) or '?'} labels, {width}x{height}, read as {layout}"

    def __call__(self, frames: Sequence[Pixels]) -> list[list[Box]]:
        boxed = [letterbox(frame, *self._size) for frame in frames]
        outputs = self._run(self._tensor(boxed))
        if self._layout is None:
            self._layout = layout_of(outputs.shape, len(self._labels), self._settings.layout)
        if len(outputs) < len(frames):
            raise Refused(
                f"The model got {len(frames)} frames and answered for {len(outputs)}: set batch to 1.",
                code=FaultCode.BAD_SETTINGS,
            )
        return [
            self._boxes(output, letterboxed, frame)
            for output, letterboxed, frame in zip(outputs, boxed, frames, strict=False)
        ]

    def _boxes(self, output: Floats, letterboxed: Letterbox, frame: Pixels) -> list[Box]:
        settings, layout = self._settings, self._layout
        if layout is None:
            return []
        found = read_candidates(output, layout, settings.confidence)
        if layout.name != "end":
            found = suppress(found, settings.overlap, settings.most)
        scale = np.array([*self._size, *self._size], np.float32) if settings.relative else np.float32(1)
        corners = letterboxed.to_frame(np.asarray(found.corners * scale, np.float32))
        height, width = frame.shape[:2]
        boxes = []
        for (left, top, right, bottom), score, number in zip(
            corners.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True
        ):
            box = Box(left, top, right - left, bottom - top, label_of(self._labels, number), min(score, 1.0)).within(
                width, height
            )
            if box is not None and (not settings.only or box.label in settings.only):
                boxes.append(box)
        return boxes[: settings.most]

    def _tensor(self, frames: Sequence[Letterbox]) -> Any:
        kind = _TYPES[self._input.type]
        stack = np.stack([frame.pixels for frame in frames])
        if self._settings.colours == "bgr":
            stack = stack[..., ::-1]
        if not self._channels_last:
            stack = stack.transpose(0, 3, 1, 2)
        if self._fixed_batch and len(stack) < self.batch:
            stack = np.concatenate([stack, np.zeros((self.batch - len(stack), *stack.shape[1:]), stack.dtype)])
        if kind is not np.uint8:
            stack = (stack.astype(np.float32) / np.float32(self._settings.divisor)).astype(kind)
        return np.ascontiguousarray(stack)

    def _run(self, tensor: Any) -> Floats:
        try:
            outputs = self._session.run(
                [self._output_name()] if self._settings.output else None, {self._input.name: tensor}
            )
        except _ERRORS as error:
            raise _fault_of(f"The model {self._path.name} cannot be run", error) from None
        boxes = next((output for output in outputs if getattr(output, "ndim", 0) == 3), outputs[0])
        if not isinstance(boxes, np.ndarray) or boxes.dtype.kind != "f":
            raise Refused(f"The output of {self._path.name} holds no floating-point numbers: name another output.")
        return boxes.astype(np.float32)

    def _output_name(self) -> str:
        names = [output.name for output in self._session.get_outputs()]
        if self._settings.output not in names:
            raise Refused(
                f"{self._path.name} has no output {self._settings.output!r}, it has {', '.join(names)}.",
                code=FaultCode.BAD_SETTINGS,
            )
        return self._settings.output

    def _load(self, threads: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        try:
            return onnxruntime.InferenceSession(
                str(self._path), options, providers=[*self._settings.providers], enable_fallback=False
            )
        except _ERRORS as error:
            raise _fault_of(f"{self._path} is no model that onnxruntime can load", error) from None

    def _read_labels(self) -> list[str]:
        """The labels of the settings, or those in the model's metadata, where exporters of YOLO write a Python dict."""
        if (labels := configured_labels(self._settings)) is not None:
            return labels
        try:
            names = ast.literal_eval(self._session.get_modelmeta().custom_metadata_map.get("names", "{}"))
        except (ValueError, SyntaxError):
            return []
        values = [names[number] for number in sorted(names)] if isinstance(names, dict) else names
        return [str(value) for value in values] if isinstance(values, list) else []

    def _input_format(self) -> tuple[bool, tuple[int, int]]:
        """Whether colours are the last dimension, and width and height of the input."""
        shape, kind = self._input.shape, self._input.type
        if len(self._session.get_inputs()) != 1 or len(shape) != 4 or kind not in _TYPES:
            raise Refused(
                f"{self._path.name} does not take one frame of three colours: it is no detector of this kind."
            )
        channels_last = shape[3] == 3 and shape[1] != 3
        high, wide = (shape[1], shape[2]) if channels_last else (shape[2], shape[3])
        size = self._settings.size
        return channels_last, (wide if isinstance(wide, int) else size, high if isinstance(high, int) else size)


def _fault_of(sentence: str, error: Exception) -> RetryLater | Refused:
    text = " ".join(str(error).split())[:300]
    if any(words.lower() in text.lower() for words in _NO_MEMORY):
        return RetryLater(
            f"{sentence}: there is not enough memory ({text}). Free some, or set a smaller batch; vidd will retry.",
            code=FaultCode.INTERRUPTED,
        )
    return Refused(f"{sentence} ({text}): export it anew, or set another model.")
