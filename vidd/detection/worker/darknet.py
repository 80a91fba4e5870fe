"""Detects objects with a Darknet model (YOLOv2 to YOLOv4), which OpenCV reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from vidd.detection.worker.labels import configured_labels, label_of
from vidd.errors import FaultCode, Refused
from vidd.model.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.detection.settings import Darknet
    from vidd.detection.worker.frame_loader import Pixels

_BOX_COLUMNS = 5  # middle, width, height, objectness
_NO_MEMORY = -4  # OpenCV's StsNoMem


class DarknetDetector:
    """A model that sees each frame stretched to the size of its input, as Darknet trains it."""

    batch = 1

    def __init__(self, settings: Darknet, threads: int) -> None:
        cv2.setNumThreads(threads or -1)
        self._settings = settings
        for name, path in (("config", settings.config), ("weights", settings.weights)):
            if not path.is_file():
                raise Refused(f"There is no file {path}: put it there, or correct {name}.", code=FaultCode.NOT_FOUND)
        net = self._load()
        self._check_weights(net)
        self._choose_device(net)
        width, height = self._input_size()
        self._labels = configured_labels(settings) or []
        self._check_classes(net, width, height)
        self._model = cv2.dnn.DetectionModel(net)
        self._model.setInputParams(size=(width, height), scale=1 / 255)
        self([np.zeros((height, width, 3), np.uint8)])
        self.about = f"{settings.weights.name}, {len(self._labels) or '?'} labels, {width}x{height}"

    def __call__(self, frames: Sequence[Pixels]) -> list[list[Box]]:
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame: Pixels) -> list[Box]:
        settings = self._settings
        try:
            classes, scores, sides = self._model.detect(frame, settings.confidence, settings.overlap)
        except cv2.error as error:
            raise self._fault("cannot be run", error) from None
        height, width = frame.shape[:2]
        rows = zip(np.ravel(classes), np.ravel(scores), np.reshape(sides, (-1, 4)), strict=True)
        boxes = []
        for number, score, (x, y, w, h) in sorted(rows, key=lambda row: -row[1]):
            label = label_of(self._labels, int(number))
            box = Box(float(x), float(y), float(w), float(h), label, min(float(score), 1.0)).within(width, height)
            if box is not None and (not settings.only or label in settings.only):
                boxes.append(box)
        return boxes[: settings.most]

    def _load(self) -> Any:
        try:
            return cv2.dnn.readNetFromDarknet(str(self._settings.config), str(self._settings.weights))
        except cv2.error as error:
            raise self._fault("cannot be read", error) from None

    def _check_weights(self, net: Any) -> None:
        """Refused where the weights are not as many as the layers want: OpenCV fills what is missing with anything."""
        layers = [net.getLayer(net.getLayerId(name)) for name in net.getLayerNames()]
        # What a Region layer holds, its anchors, comes from the .cfg file.
        wanted = 4 * sum(int(np.size(blob)) for layer in layers if layer.type != "Region" for blob in layer.blobs)
        with self._settings.weights.open("rb") as file:
            major, minor, _ = np.frombuffer(file.read(12), "<i4")
        # Since version 0.2 the number of images that were seen has eight bytes.
        header = 20 if major * 10 + minor >= 2 else 16
        if (size := self._settings.weights.stat().st_size) != header + wanted:
            raise Refused(
                f"{self._settings.weights.name} has {size} bytes, and {self._settings.config.name} describes a model of"
                f" {header + wanted}: copy both again, of one training.",
            )

    def _choose_device(self, net: Any) -> None:
        if self._settings.device == "cpu":
            net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
            return
        if not cv2.cuda.getCudaEnabledDeviceCount():
            raise Refused(
                'OpenCV finds no CUDA device: set device = "cpu", or install an OpenCV that was built with CUDA.',
                code=FaultCode.NOT_INSTALLED,
            )
        net.setPreferableBackend(cv2.dnn.DNN_BACKEND_CUDA)
        net.setPreferableTarget(cv2.dnn.DNN_TARGET_CUDA)

    def _input_size(self) -> tuple[int, int]:
        text = self._settings.config.read_text(errors="replace")
        width, height = (re.search(rf"^\s*{side}\s*=\s*(\d+)", text, re.MULTILINE) for side in ("width", "height"))
        return (
            int(width[1]) if width else self._settings.width,
            int(height[1]) if height else self._settings.height,
        )

    def _check_classes(self, net: Any, width: int, height: int) -> None:
        """Refused where the output holds no boxes, or there are more or fewer labels than classes."""
        try:
            net.setInput(cv2.dnn.blobFromImage(np.zeros((height, width, 3), np.uint8)))
            outputs = net.forward(net.getUnconnectedOutLayersNames())
        except cv2.error as error:
            raise self._fault("cannot be run", error) from None
        kinds = {net.getLayer(int(number)).type for number in net.getUnconnectedOutLayers()}
        if kinds != {"Region"}:
            raise Refused(f"{self._settings.config.name} ends in no [yolo] or [region] layer: it is no detector.")
        classes = outputs[0].shape[-1] - _BOX_COLUMNS
        if self._labels and len(self._labels) != classes:
            raise Refused(
                f"{self._settings.config.name} has {classes} classes, and there are {len(self._labels)} labels: correct them.",
                code=FaultCode.BAD_SETTINGS,
            )

    def _fault(self, what: str, error: Exception) -> Refused:
        if getattr(error, "code", None) == _NO_MEMORY:
            raise MemoryError from error
        reason = " ".join(str(error).split())[:300]
        names = f"{self._settings.config.name} with {self._settings.weights.name}"
        return Refused(f"The model {names} {what} ({reason}): correct config and weights.")
