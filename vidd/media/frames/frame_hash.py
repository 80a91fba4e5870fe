"""The hash of a decoded frame, as `ffmpeg -f framehash -hash SHA160` has it of raw video. Never imported by the daemon."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


def frame_hash(frame: VideoFrame) -> str:
    """SHA-1 (hex) of a frame's samples, plane after plane without the padding that decoders leave at the ends of lines."""
    # Processors have instructions for SHA-1: with them it takes less than half of MD5's time, and without them no more.
    digest = hashlib.sha1(usedforsecurity=False)
    components = frame.format.components
    for number, plane in enumerate(frame.planes):
        own = [component for component in components if component.plane == number]
        sample_bytes = (max(component.bits for component in own) + 7) // 8 if own else 0
        width = plane.width * len(own) * sample_bytes if own else plane.line_size
        data = memoryview(plane)
        if width == plane.line_size:
            digest.update(data[: width * plane.height])
            continue
        for line in range(plane.height):
            begin = line * plane.line_size
            digest.update(data[begin : begin + width])
    return digest.hexdigest()
