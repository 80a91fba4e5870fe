"""Copies the packets of an AAC track, and encodes those under the fades and under the clips around the talk.

A packet decodes to the half of its own window and the half of the one before, so its audio is right only where both
were encoded from the same audio on the same grid of 1024 samples. So the edges are encoded on the source's grid, and
the packet beside a seam reaches over it, where the gain of the fade is 1. The audio of clips before and after the talk
is encoded together with the edges, so that there is one grid from the beginning to the end:

    result_begin        copy_from                copy_to        result_end
         |   encoded        |   copied packets       |   encoded    |
         | clip | fade-in   |         talk           | fade-out | clip

The encode before the copied packets goes on for two packets more, and the one after them begins two packets earlier,
because an encoder needs the audio around a packet.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.filter import Graph

from vidd.media.bitstream import aac
from vidd.media.bitstream.aac import SAMPLES_PER_PACKET
from vidd.media.ffmpeg.args.common import format_seconds
from vidd.media.probe.worker.reader import open_media
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.media.smartcut.worker import pcm
from vidd.media.smartcut.worker.aac_grid import Grid, packets_near, place_of, ticks_of

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from av.container import OutputContainer

    from vidd.media.bitstream.packet import Packet
    from vidd.media.ffmpeg.args.common import Cut

_SKIP_MANUAL = 1 << 29
_FEWEST_COPIED = 8
_MOST_BITS = 576_000


class SeamedAudio:
    """One track. `start` is where the cut starts on the file's clock (seconds, exact).

    `around` are files (WAV, of the track's rate and channels) with the audio of the clips before and after the cut, or None.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        track: int,
        start: Fraction,
        cut: Cut,
        *,
        language: str | None,
        bits: int,
        around: tuple[Path | None, Path | None] = (None, None),
    ) -> None:
        self._path, self._name, self._track, self._cut, self._language = path, name, track, cut, language
        self._start = start
        self.grid, self._layout, self._bits = self._read_track(bits)
        grid = self.grid
        rate, silent = grid.format.rate, pcm.silence(grid.format.channels)
        self._before, self._after = (pcm.read(file) if file else silent for file in around)
        if any(len(samples.planes) != grid.format.channels for samples in (self._before, self._after)):
            raise SmartCutUnavailable("The audio of the clips around the talk has other channels than the talk.")
        self._begin, self._end = round(start * rate), round(self._exact_end() * rate)
        if grid.first > self._begin + SAMPLES_PER_PACKET:
            # Players that pass over edit lists would play it too early.
            raise SmartCutUnavailable("The audio begins later than the video, so silence is put before it.")
        self._place_seams()

    def _place_seams(self) -> None:
        """Find which packets the result has, and which of them are copied; all are places of the grid, the ends excluded."""
        grid, before, after = self.grid, self._before.count, self._after.count
        fade = round(self._cut.fade * grid.format.rate)
        talk_begin = max(grid.first, grid.before(self._begin))
        talk_end = min(grid.beyond, grid.after(self._end))
        # The encoder's first packet is decoded to what comes before the first sample.
        self._result_begin = (grid.before(self._begin - before) if before else talk_begin) - SAMPLES_PER_PACKET
        self._result_end = grid.after(self._end + after) if after else talk_end
        copy_from, copy_to = talk_begin - SAMPLES_PER_PACKET, talk_end
        if fade:
            copy_from = grid.after(self._begin + fade)
            copy_to = grid.before(self._end - fade - SAMPLES_PER_PACKET)
        # The packet before the first that is copied, and the last, reach a packet further and must be of the talk alone.
        if before:
            copy_from = max(copy_from, grid.after(self._begin) + SAMPLES_PER_PACKET)
        else:
            copy_from = max(copy_from, talk_begin - SAMPLES_PER_PACKET)
        if after:
            copy_to = min(copy_to, grid.before(self._end - SAMPLES_PER_PACKET), grid.beyond)
        else:
            copy_to = min(copy_to, talk_end)
        if copy_to - copy_from < _FEWEST_COPIED * SAMPLES_PER_PACKET:
            raise SmartCutUnavailable("Between the fades there is too little audio to copy.")
        self._copy_from, self._copy_to = copy_from, copy_to

    def open(self, stack: ExitStack, out: OutputContainer) -> Iterator[tuple[float, Packet]]:
        """Add the track to the result; its packets, each with the time it is decoded (seconds)."""
        container = stack.enter_context(open_media(self._path, self._name))
        stream = container.streams.audio[self._track]
        track = out.add_stream_from_template(stream, opaque=True)
        track.codec_context.codec_tag = "mp4a"
        if not track.codec_context.extradata:
            track.codec_context.extradata = self.grid.format.header
        track.time_base = Fraction(1, self.grid.format.rate)
        track.metadata.clear()
        if self._language:
            track.metadata["language"] = self._language
        return self._mux(track)

    def _mux(self, track: Any) -> Iterator[tuple[float, Packet]]:
        rate = self.grid.format.rate
        for place, data in self._result_packets():
            packet = av.Packet(data)
            packet.stream, packet.time_base = track, Fraction(1, rate)
            packet.pts = packet.dts = place - self._begin + self._before.count
            packet.duration = min(SAMPLES_PER_PACKET, self._end + self._after.count - place)
            packet.is_keyframe = True
            yield packet.pts / rate, packet

    def _result_packets(self) -> Iterator[tuple[int, bytes]]:
        """The packets of the result by their place."""
        begin, end = self._result_begin, self._result_end
        if self._copy_from > begin:
            samples = begin + SAMPLES_PER_PACKET, self._copy_from + 2 * SAMPLES_PER_PACKET
            yield from self._encode(*samples, first=begin, beyond=self._copy_from)
        for place, packet in self._packets(self._copy_from, self._copy_to):
            yield place, aac.without_header(bytes(packet))
        if self._copy_to < end:
            samples = self._copy_to - 2 * SAMPLES_PER_PACKET, end + SAMPLES_PER_PACKET
            yield from self._encode(*samples, first=self._copy_to, beyond=end)

    def _encode(self, low: int, high: int, *, first: int, beyond: int) -> Iterator[tuple[int, bytes]]:
        """Encode the audio from `low` to `high`; of the packets made, those from `first` to before `beyond`."""
        rate = self.grid.format.rate
        encoder: Any = av.CodecContext.create("aac", "w")
        encoder.sample_rate, encoder.layout, encoder.format = rate, self._layout, "fltp"
        encoder.time_base = Fraction(1, rate)
        encoder.bit_rate = self._bits
        place = low - SAMPLES_PER_PACKET  # the first packet is decoded to what comes before the first sample
        for frame in (*self._frames(low, high), None):
            for packet in encoder.encode(frame):
                if first <= place < beyond:
                    yield place, bytes(packet)
                place += SAMPLES_PER_PACKET

    def _frames(self, low: int, high: int) -> Iterator[Any]:
        """The audio from `low` to `high`, a packet's worth at a time: the talk, and the clips around it."""
        talk_begin = max(low, self.grid.first, self.grid.before(self._begin))
        talk_end = min(high, self.grid.beyond)
        talk = self._fade(talk_begin, talk_end) if talk_begin < talk_end else iter(())
        silent = [bytes(4 * SAMPLES_PER_PACKET)] * self.grid.format.channels
        place, planes = next(talk, (high, silent))
        for at in range(low, high, SAMPLES_PER_PACKET):
            while place < at:
                place, planes = next(talk, (high, silent))
            frame = av.AudioFrame(format="fltp", layout=self._layout, samples=SAMPLES_PER_PACKET, align=1)
            frame.sample_rate, frame.pts, frame.time_base = (
                self.grid.format.rate,
                at,
                Fraction(1, self.grid.format.rate),
            )
            for plane, data in zip(frame.planes, self._with_clips(at, planes if place == at else silent), strict=True):
                plane.update(data)
            yield frame

    def _with_clips(self, at: int, planes: list[bytes]) -> list[bytes]:
        """The samples from place `at` on, with those of the clips in the place of what surrounds the talk in the source."""
        before, after = self._before, self._after
        if before.count and at < self._begin:
            count = min(SAMPLES_PER_PACKET, self._begin - at)
            shift = before.count - self._begin
            clip = before.between(at + shift, at + shift + count)
            planes = [samples + plane[4 * count :] for samples, plane in zip(clip, planes, strict=True)]
        if after.count and at + SAMPLES_PER_PACKET > self._end:
            count = min(SAMPLES_PER_PACKET, at + SAMPLES_PER_PACKET - self._end)
            beyond = at + SAMPLES_PER_PACKET - self._end
            clip = after.between(beyond - count, beyond)
            planes = [
                plane[: 4 * (SAMPLES_PER_PACKET - count)] + samples for samples, plane in zip(clip, planes, strict=True)
            ]
        return planes

    def _fade(self, low: int, high: int) -> Iterator[tuple[int, list[bytes]]]:
        """The talk's own audio with its fades: each packet's place, and the samples of its channels."""
        graph: Graph | None = None
        for at, frame in self._decode(low, high):
            graph = graph or self._fade_graph(frame)
            frame.pts, frame.time_base = at - self._begin, Fraction(1, self.grid.format.rate)
            graph.push(frame)
            faded: Any = graph.pull()
            yield at, [bytes(plane)[: 4 * SAMPLES_PER_PACKET] for plane in faded.planes]

    def _fade_graph(self, frame: Any) -> Graph:
        graph, cut = Graph(), self._cut
        length, last = format_seconds(cut.fade), format_seconds(cut.length - cut.fade)
        fades = (f"t=in:st=0:d={length}", f"t=out:st={last}:d={length}") if cut.fade > 0 else ()
        source = graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=Fraction(1, frame.sample_rate),
        )
        graph.link_nodes(
            source,
            *(graph.add("afade", fade) for fade in fades),
            graph.add("aformat", "sample_fmts=fltp"),
            graph.add("abuffersink"),
        ).configure()
        return graph

    def _decode(self, low: int, high: int) -> Iterator[tuple[int, Any]]:
        """The audio of the packets from `low` to before `high`, a packet's worth at a time."""
        with open_media(self._path, self._name) as container:
            context: Any = container.streams.audio[self._track].codec_context
            context.flags2 |= _SKIP_MANUAL  # a frame for each packet, so that places can be counted
            for place, packet in self._packets(low - 2 * SAMPLES_PER_PACKET, high, container):
                frames = packet.decode()
                if len(frames) != 1 or frames[0].samples != SAMPLES_PER_PACKET:
                    raise SmartCutUnavailable("The audio packets do not hold 1024 samples each.")
                if place >= low:
                    yield place, frames[0]

    def _packets(self, low: int, high: int, source: Any = None) -> Iterator[tuple[int, Packet]]:
        """The packets from place `low` to before `high`."""
        if source is None:
            with open_media(self._path, self._name) as container:
                yield from self._packets(low, high, container)
            return
        stream = source.streams.audio[self._track]
        ticks, first = ticks_of(stream, self.grid.format.rate), self.grid.first
        for packet in packets_near(source, stream, Fraction(low, self.grid.format.rate)):
            place = (
                first
                + (place_of(packet, ticks) - first + SAMPLES_PER_PACKET // 2) // SAMPLES_PER_PACKET * SAMPLES_PER_PACKET
            )
            if place >= high:
                return
            if place >= low:
                yield place, packet

    def _exact_end(self) -> Fraction:
        return self._start + Fraction(format_seconds(self._cut.length))

    def _read_track(self, bits: int) -> tuple[Grid, str, int]:
        """The grid of the track, its channel layout, and the bits a second for the encoder: its own, or `bits` if more."""
        with open_media(self._path, self._name) as container:
            stream = container.streams.audio[self._track]
            context = stream.codec_context
            if context is None or context.name != "aac":
                raise SmartCutUnavailable("The audio is not AAC.")
            # An edge that has been encoded twice needs no fewer bits than what is copied beside it.
            bits = min(max(context.bit_rate or 0, bits), _MOST_BITS)
            kind = aac.format_of_header(context.extradata or b"")
            rate = context.sample_rate
            ticks, beyond = ticks_of(stream, rate), int(self._exact_end() * rate) + SAMPLES_PER_PACKET
            # Times in whole milliseconds, or of another clock, are rounded by a tick; over hours it must not add up.
            slack = 0 if ticks == (1, 1) else 3 + ticks[0] // ticks[1]
            first = total = count = 0
            for packet in packets_near(container, stream, self._start - Fraction(1, 10)):
                at = place_of(packet, ticks)
                if not count:
                    first, kind = at, kind or aac.format_of_packet(bytes(packet))
                if at >= beyond:
                    break
                off = at - first - count * SAMPLES_PER_PACKET
                if packet.is_corrupt or not -slack <= off <= slack:
                    raise SmartCutUnavailable("The audio has a hole or runs unevenly.")
                total += off
                count += 1
            if kind is None or kind.rate != rate or kind.channels != context.channels:
                raise SmartCutUnavailable("The audio is not plain AAC.")
            if not count:
                raise SmartCutUnavailable("The cut holds no audio.")
            origin = first + round(Fraction(total) / count)
            return Grid(kind, origin, origin + count * SAMPLES_PER_PACKET), context.layout.name, bits
