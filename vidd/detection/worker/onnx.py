"""A detector in an ONNX file. Never imported by the daemon."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as said

from vidd.detection.worker.yolo import Fitted, Floats, Layout, candidates, fitted, layout_of, suppressed
from vidd.errors import Refused, RetryLater
from vidd.model.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.detection.settings import Network
    from vidd.detection.worker.frame_loader import Pixels

# They have no base of their own but Exception.
_FAULTS = tuple(
    value
    for value in vars(said).values()
    if isinstance(value, type) and issubclass(value, Exception) and value is not Exception
)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_NO_ROOM = ("bad alloc", "allocate memory", "out of memory", "Failed to allocate")
_ERRORS_ONLY = 3


class Model:
    """A model whose output is like YOLO's; what it says of itself (labels, sizes) is used where the settings leave it open."""

    def __init__(self, settings: Network, threads: int) -> None:
        self._settings, self._path = settings, settings.model
        if not self._path.is_file():
            raise Refused(f"There is no model {self._path}: put it there, or correct model.")
        missing = sorted(set(settings.providers) - set(onnxruntime.get_available_providers()))
        if missing:
            raise Refused(
                f"onnxruntime has no {missing[0]} here, only {', '.join(onnxruntime.get_available_providers())}."
            )
        self._session = self._loaded(threads)
        self._input = self._session.get_inputs()[0]
        self._labels = self._named()
        self._turned, self._size = self._form()
        fixed = self._input.shape[0]
        self.batch = fixed if isinstance(fixed, int) else settings.batch
        self._fixed = isinstance(fixed, int)
        self._layout: Layout | None = None
        width, height = self._size
        self([np.zeros((height, width, 3), np.uint8)])
        reads = self._layout.name if self._layout else "?"
        self.about = f"{self._path.name}, {len(self._labels) or '?'} labels, {width}x{height}, read as {reads}"

    def __call__(self, pictures: Sequence[Pixels]) -> list[list[Box]]:
        frames = [fitted(picture, *self._size) for picture in pictures]
        outputs = self._answers(self._tensor(frames))
        if self._layout is None:
            self._layout = layout_of(outputs.shape, len(self._labels), self._settings.layout)
        if len(outputs) < len(frames):
            raise Refused(f"It was shown {len(frames)} pictures and answers for {len(outputs)}: set batch to 1.")
        return [
            self._boxes(output, frame, picture)
            for output, frame, picture in zip(outputs, frames, pictures, strict=False)
        ]

    def _boxes(self, output: Floats, frame: Fitted, picture: Pixels) -> list[Box]:
        settings, layout = self._settings, self._layout
        if layout is None:
            return []
        found = candidates(output, layout, settings.confidence)
        if layout.name != "end":
            found = suppressed(found, settings.overlap, settings.most)
        scale = np.array([*self._size, *self._size], np.float32) if settings.relative else np.float32(1)
        corners = frame.back(np.asarray(found.corners * scale, np.float32))
        height, width = picture.shape[:2]
        boxes = []
        for (left, top, right, bottom), score, number in zip(
            corners.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True
        ):
            box = Box(left, top, right - left, bottom - top, self._label(number), min(score, 1.0)).within(width, height)
            if box is not None and (not settings.only or box.label in settings.only):
                boxes.append(box)
        return boxes[: settings.most]

    def _label(self, number: int) -> str:
        if not self._labels:
            return str(number)
        if not 0 <= number < len(self._labels):
            raise Refused(
                f"It found something of class {number}, and there are {len(self._labels)} labels: correct them."
            )
        return self._labels[number]

    def _tensor(self, frames: Sequence[Fitted]) -> Any:
        kind = _TYPES[self._input.type]
        stack = np.stack([frame.picture for frame in frames])
        if self._settings.colours == "bgr":
            stack = stack[..., ::-1]
        if not self._turned:
            stack = stack.transpose(0, 3, 1, 2)
        if self._fixed and len(stack) < self.batch:
            stack = np.concatenate([stack, np.zeros((self.batch - len(stack), *stack.shape[1:]), stack.dtype)])
        if kind is not np.uint8:
            stack = (stack.astype(np.float32) / np.float32(self._settings.divisor)).astype(kind)
        return np.ascontiguousarray(stack)

    def _answers(self, tensor: Any) -> Floats:
        try:
            answers = self._session.run([self._output()] if self._settings.output else None, {self._input.name: tensor})
        except _FAULTS as fault:
            raise _fate(f"The model {self._path.name} cannot be run", fault) from None
        boxes = next((answer for answer in answers if getattr(answer, "ndim", 0) == 3), answers[0])
        if not isinstance(boxes, np.ndarray) or boxes.dtype.kind != "f":
            raise Refused(f"The output of {self._path.name} holds no numbers with fractions: name another output.")
        return boxes.astype(np.float32)

    def _output(self) -> str:
        there = [output.name for output in self._session.get_outputs()]
        if self._settings.output not in there:
            raise Refused(f"{self._path.name} has no output {self._settings.output!r}, it has {', '.join(there)}.")
        return self._settings.output

    def _loaded(self, threads: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        try:
            return onnxruntime.InferenceSession(
                str(self._path), options, providers=[*self._settings.providers], enable_fallback=False
            )
        except _FAULTS as fault:
            raise _fate(f"{self._path} is no model that onnxruntime can load", fault) from None

    def _named(self) -> list[str]:
        """The labels by the settings, or else as exporters of YOLO write them into the model: a dict of Python's."""
        settings = self._settings
        if settings.labels_file is not None:
            try:
                lines = settings.labels_file.read_text().splitlines()
            except (OSError, ValueError) as error:
                raise Refused(f"The labels in {settings.labels_file} cannot be read: {error}.") from None
            return [line.strip() for line in lines if line.strip()]
        if settings.labels:
            return list(settings.labels)
        try:
            names = ast.literal_eval(self._session.get_modelmeta().custom_metadata_map.get("names", "{}"))
        except (ValueError, SyntaxError):
            return []
        values = [names[at] for at in sorted(names)] if isinstance(names, dict) else names
        return [str(value) for value in values] if isinstance(values, list) else []

    def _form(self) -> tuple[bool, tuple[int, int]]:
        """Whether colours come last, and width and height of its picture."""
        shape, kind = self._input.shape, self._input.type
        if len(self._session.get_inputs()) != 1 or len(shape) != 4 or kind not in _TYPES:
            raise Refused(
                f"{self._path.name} does not take one picture of three colours: it is no detector of this kind."
            )
        turned = shape[3] == 3 and shape[1] != 3
        high, wide = (shape[1], shape[2]) if turned else (shape[2], shape[3])
        size = self._settings.size
        return turned, (wide if isinstance(wide, int) else size, high if isinstance(high, int) else size)


def _fate(sentence: str, fault: Exception) -> RetryLater | Refused:
    words = " ".join(str(fault).split())[:300]
    if any(one.lower() in words.lower() for one in _NO_ROOM):
        return RetryLater(f"{sentence}: there was no memory for it ({words}).")
    return Refused(f"{sentence}: {words}.")
