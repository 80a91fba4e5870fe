"""Finds keyframes and scene cuts of a video, in a child: `python -m vidd.media.scenes.worker`.

`keyframes` lists the keyframes by their numbers as they are shown; `adaptive` runs PySceneDetect.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.errors import FaultCode, Refused
from vidd.media.probe.worker.reader import open_media, video_streams
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from vidd.processes.worker import Progress


def keyframes(path: str) -> dict[str, Any]:
    """The numbers of the keyframes, and how many frames there are."""
    with open_media(Path(path), Path(path).name) as container:
        packets = [
            (packet.pts if packet.pts is not None else packet.dts, packet.is_keyframe)
            for packet in container.demux(video_streams(container)[0])
            if packet.size and not packet.is_discard
        ]
    packets.sort(key=lambda packet: packet[0] or 0)
    return {"frames": len(packets), "keyframes": [at for at, (_, key) in enumerate(packets) if key]}


def adaptive(path: str, threshold: float, window: int, shortest: int) -> dict[str, Any]:
    """The cuts by PySceneDetect's AdaptiveDetector: the change of a frame against those around it."""
    from scenedetect import AdaptiveDetector, SceneManager, open_video  # noqa: PLC0415 - an extra

    video = open_video(path, backend="pyav")
    manager = SceneManager()
    manager.add_detector(AdaptiveDetector(adaptive_threshold=threshold, window_width=window, min_scene_len=shortest))
    frames = manager.detect_scenes(video)
    cuts = [start.frame_num for start, _ in manager.get_scene_list()][1:]
    return {"frames": int(frames), "cuts": cuts}


def _keyframes(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    return keyframes(question["path"])


def _adaptive(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    try:
        return adaptive(question["path"], question["threshold"], question["window"], question["shortest"])
    except ModuleNotFoundError as error:
        raise Refused(str(error.name), code=FaultCode.NOT_INSTALLED) from None
    except (OSError, ValueError, RuntimeError) as error:
        raise Refused(f"{type(error).__name__}: {error}") from None


if __name__ == "__main__":
    serve({"keyframes": _keyframes, "adaptive": _adaptive})
