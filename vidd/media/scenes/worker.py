"""Looks at a foreign video for its scenes, in a child of its own: `python -m vidd.media.scenes.worker WHAT FILE …`.

`keyframes` says which pictures are keyframes, by their numbers as they are shown. `adaptive` asks PySceneDetect.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vidd.errors import Fault


def keyframes(path: str) -> dict[str, Any]:
    """The numbers of the keyframes, and how many pictures there are."""
    from vidd.media.probe.worker.reader import opened, picture_streams  # noqa: PLC0415 - only the child opens media

    with opened(Path(path), Path(path).name) as container:
        packets = [
            (packet.pts if packet.pts is not None else packet.dts, packet.is_keyframe)
            for packet in container.demux(picture_streams(container)[0])
            if packet.size and not packet.is_discard
        ]
    packets.sort(key=lambda one: one[0] or 0)
    return {"frames": len(packets), "keyframes": [at for at, (_, key) in enumerate(packets) if key]}


def adaptive(path: str, threshold: str, window: str, shortest: str) -> dict[str, Any]:
    """Where scenes begin by PySceneDetect's AdaptiveDetector: the change of a picture against those around it."""
    from scenedetect import AdaptiveDetector, SceneManager, open_video  # noqa: PLC0415 - an extra

    video = open_video(path, backend="pyav")
    manager = SceneManager()
    manager.add_detector(
        AdaptiveDetector(adaptive_threshold=float(threshold), window_width=int(window), min_scene_len=int(shortest))
    )
    frames = manager.detect_scenes(video)
    cuts = [start.frame_num for start, _ in manager.get_scene_list()][1:]
    return {"frames": int(frames), "cuts": cuts}


def main(what: str, *words: str) -> int:
    """Say the answer as one line of JSON; what cannot be read is an `error`."""
    questions: dict[str, Callable[..., dict[str, Any]]] = {"keyframes": keyframes, "adaptive": adaptive}
    try:
        said = questions[what](*words)
    except Fault as fault:
        said = {"error": fault.sentence}
    except (OSError, ValueError, RuntimeError) as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    except ModuleNotFoundError as error:
        said = {"missing": str(error.name)}
    print(json.dumps(said))  # noqa: T201 - this is the program's answer
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
