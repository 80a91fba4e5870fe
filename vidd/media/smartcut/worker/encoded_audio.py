"""Takes an audio track that was encoded whole from its file, for the muxer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer

    from vidd.media.bitstream.packet import Packet


class EncodedAudio:
    """Track `number` of a file, unchanged."""

    def __init__(self, path: Path, number: int, language: str | None) -> None:
        self._path, self._number, self._language = path, number, language

    def open(self, stack: ExitStack, out: OutputContainer) -> Iterator[tuple[float, Packet]]:
        """Add the track to the result; its packets, each with the time it is decoded (seconds)."""
        container: InputContainer = stack.enter_context(av.open(str(self._path)))
        stream: AudioStream = container.streams.audio[self._number]
        track = out.add_stream_from_template(stream, opaque=True)
        track.metadata.clear()
        if self._language:
            track.metadata["language"] = self._language

        def packets() -> Iterator[tuple[float, Packet]]:
            for packet in container.demux(stream):
                if packet.size and packet.dts is not None:
                    packet.stream = track
                    yield float(packet.dts * packet.time_base), packet

        return packets()
