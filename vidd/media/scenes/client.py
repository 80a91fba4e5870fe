"""Asks a child (`vidd.media.scenes.worker`) about the scenes of a video."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused
from vidd.media.scenes.args import SceneCuts
from vidd.processes.worker_client import ask_worker, retry_if_died

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.ports import Encoder

_WORKER = "vidd.media.scenes.worker"
_MEMORY = 8 << 30
# Seconds that a question may take: a start, and so many for each second of video.
_START, _PACE = 600.0, 20.0


class SceneReader:
    """Answers questions about one video. `name` is what the operator knows it by, `duration` its length in seconds."""

    def __init__(self, encoder: Encoder, path: Path, name: str, duration: float) -> None:
        self._encoder, self._path, self._name = encoder, path, name
        self._timeout = max(_START, _PACE * duration)

    async def keyframes(self) -> list[int]:
        """The numbers of the keyframes among the frames as they are shown."""
        numbers: list[int] = (await self._ask("keyframes"))["keyframes"]
        return numbers

    async def adaptive_cuts(self, threshold: float, window: int, shortest: int) -> SceneCuts:
        """The cuts that PySceneDetect's AdaptiveDetector finds; Refused where PySceneDetect is missing."""
        answer = await self._ask("adaptive", threshold=threshold, window=window, shortest=shortest)
        return SceneCuts(int(answer["frames"]), tuple(answer["cuts"]))

    async def _ask(self, ask: str, **more: float) -> dict[str, Any]:
        question, name = {"ask": ask, "path": os.fspath(self._path), **more}, quoted(self._name)
        nice = self._encoder.nice
        try:
            with retry_if_died(f"finding the scenes of {name}"):
                return await ask_worker(_WORKER, question, timeout=self._timeout, memory=_MEMORY, nice=nice)
        except Refused as refused:
            if refused.code is FaultCode.NOT_INSTALLED:
                raise missing_detector(refused.sentence) from None
            why = refused.sentence.rstrip(".")
            raise Refused(f"The scenes of {name} could not be found ({why}): send the file again, whole.") from None


def missing_detector(module: str) -> Refused:
    """The fault of the detector `adaptive` without its Python package."""
    return Refused(
        f'The detector adaptive needs {module}: install vidd[scenes], or set detector = "scdet" on the step.',
        code=FaultCode.NOT_INSTALLED,
    )
