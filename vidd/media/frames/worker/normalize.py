"""Normalizes frames: upright, deinterlaced, of one size with even sides, 8-bit 4:2:0. Never imported by the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from av.filter import Graph

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# The filters for a rotation (degrees, clockwise).
_ROTATIONS = {90: ("transpose=clock",), 180: ("hflip", "vflip"), 270: ("transpose=cclock",)}


class Normalizer:
    """Normalizes the frames of one recording to the size of the first one (`size`, pixels)."""

    def __init__(self, *, deinterlace: bool) -> None:
        self._deinterlace = deinterlace
        self._graphs: dict[tuple[int | str, ...], Graph] = {}
        self.size: tuple[int, int] | None = None
        self.deinterlaced = 0

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """The frame, normalized."""
        fields = self._deinterlace and frame.interlaced_frame
        self.deinterlaced += fields
        rotation = -frame.rotation % 360
        key = (frame.width, frame.height, frame.format.name, int(frame.color_range), rotation)
        graph = self._graphs.get(key)
        if graph is None or fields:
            # The deinterlacer holds a frame back until it gets the next one, or the end of the stream.
            self._graphs.clear()
            graph = self._graph(frame, rotation, fields=fields)
        graph.push(frame)
        if fields:
            graph.push(None)
        else:
            self._graphs[key] = graph
        normalized = cast("VideoFrame", graph.pull())
        if self.size is None:
            self.size = normalized.width, normalized.height
        return normalized

    def _graph(self, frame: VideoFrame, rotation: int, *, fields: bool) -> Graph:
        # In a single frame only the lines between those of one field can be interpolated.
        filters = ["estdif=mode=frame:deint=interlaced"] if fields else []
        filters += _ROTATIONS.get(rotation, ())
        # A line less is no resampling, and boxes stay where they are.
        filters += ["crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0:exact=1"]
        if self.size is not None:
            filters.append(f"scale={self.size[0]}:{self.size[1]}")
        filters += ["scale=out_range=tv", "format=yuv420p"]
        graph = Graph()
        last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
        for description in filters:
            name, _, arguments = description.partition("=")
            context = graph.add(name, arguments or None)
            last.link_to(context)
            last = context
        sink = graph.add("buffersink")
        last.link_to(sink)
        graph.configure()
        return graph
