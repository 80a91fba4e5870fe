"""The hash of a decoded picture, as `ffmpeg -f framehash -hash SHA160` has it of raw video. Never imported by the daemon."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


def picture_hash(frame: VideoFrame) -> str:
    """SHA-1 (hex) of a picture's samples, plane after plane without the padding that decoders leave at lines' ends."""
    # Processors have instructions for it: with them it takes less than half of what MD5 takes, and without them no more.
    digest = hashlib.sha1(usedforsecurity=False)
    components = frame.format.components
    for number, plane in enumerate(frame.planes):
        own = [one for one in components if one.plane == number]
        width = plane.width * len(own) * ((max(one.bits for one in own) + 7) // 8) if own else plane.line_size
        data = memoryview(plane)
        if width == plane.line_size:
            digest.update(data[: width * plane.height])
            continue
        for line in range(plane.height):
            begin = line * plane.line_size
            digest.update(data[begin : begin + width])
    return digest.hexdigest()
