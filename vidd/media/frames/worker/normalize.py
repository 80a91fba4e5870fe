"""Pictures as a person is to see them: upright, of one field's sharpness, with even sides, 8 bit 4:2:0. Never imported by the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from av.filter import Graph

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# By how much (clockwise) a picture must be turned.
_TURNS = {90: ("transpose=clock",), 180: ("hflip", "vflip"), 270: ("transpose=cclock",)}


class Upright:
    """Turns pictures of one recording into such of one size, that of the first (pixels)."""

    def __init__(self, *, deinterlace: bool) -> None:
        self._deinterlace = deinterlace
        self._graphs: dict[tuple[int | str, ...], Graph] = {}
        self.size: tuple[int, int] | None = None
        self.deinterlaced = 0

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """The picture, made ready."""
        fields = self._deinterlace and frame.interlaced_frame
        self.deinterlaced += fields
        turn = -frame.rotation % 360
        key = (frame.width, frame.height, frame.format.name, int(frame.color_range), turn)
        graph = self._graphs.get(key)
        if graph is None or fields:
            # What makes one picture of fields keeps it until it has seen the next, or that there is none.
            self._graphs.clear()
            graph = self._graph(frame, turn, fields=fields)
        graph.push(frame)
        if fields:
            graph.push(None)
        else:
            self._graphs[key] = graph
        made = cast("VideoFrame", graph.pull())
        if self.size is None:
            self.size = made.width, made.height
        return made

    def _graph(self, frame: VideoFrame, turn: int, *, fields: bool) -> Graph:
        # Of a picture by itself only the lines between those of one field can be guessed.
        words = ["estdif=mode=frame:deint=interlaced"] if fields else []
        words += _TURNS.get(turn, ())
        # A line less is no resampling, and boxes stay where they are.
        words += ["crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0:exact=1"]
        if self.size is not None:
            words.append(f"scale={self.size[0]}:{self.size[1]}")
        words += ["scale=out_range=tv", "format=yuv420p"]
        graph = Graph()
        last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
        for word in words:
            name, _, arguments = word.partition("=")
            made = graph.add(name, arguments or None)
            last.link_to(made)
            last = made
        sink = graph.add("buffersink")
        last.link_to(sink)
        graph.configure()
        return graph
