"""Checks the segments of an encode, and finds keyframes to resume from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import av.logging

from vidd.media.probe.worker.reader import open_media, video_streams

if TYPE_CHECKING:
    from pathlib import Path

# Seconds before a time to look for keyframes, and how many are enough.
_BACK = (15.0, 60.0, 300.0)
_ENOUGH = 3


def segment(path: Path, name: str) -> dict[str, Any]:
    """What a segment holds.

    The number of `frames`, when the `first` and the `last` are shown (ticks, `scale` a second; 0 if the clock
    is no whole number of ticks a second), and what is wrong with it (`fault`, empty if nothing is).
    """
    with open_media(path, name) as container, av.logging.Capture(local=False) as logs:
        stream = video_streams(container)[0]
        times: list[int] = []
        fault = ""
        for packet in container.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            if not times and not (packet.is_keyframe and packet.decode() + stream.codec_context.decode(None)):
                fault = "its first frame does not decode by itself"
            times.append(packet.pts)
        if not times:
            fault = "it holds no frame"
        complaints = [text.strip() for level, _, text in logs if level <= av.logging.ERROR]
        time_base = stream.time_base
        return {
            "frames": len(times),
            "first": min(times, default=0),
            "last": max(times, default=0),
            "scale": time_base.denominator if time_base and time_base.numerator == 1 else 0,
            "fault": fault or "; ".join(complaints[:1]),
        }


def keyframes(path: Path, name: str, before: float) -> list[float]:
    """Some of the last keyframes shown before a time, as seconds from the file's start, in order."""
    with open_media(path, name) as container:
        stream = video_streams(container)[0]
        begin = (container.start_time or 0) / av.time_base
        found: list[float] = []
        for back in _BACK:
            container.seek(int((begin + max(0.0, before - back)) * av.time_base), backward=True)
            found = []
            for packet in container.demux(stream):
                time = packet.pts if packet.pts is not None else packet.dts
                if time is None:
                    continue
                seconds = float(time * packet.time_base) - begin
                if seconds >= before:
                    break
                if packet.is_keyframe:
                    found.append(seconds)
            if len(found) >= _ENOUGH or before <= back:
                break
        return sorted(found)
