"""ffmpeg arguments for audio tracks encoded in full: the talk's, with the intro's and outro's audio around it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from vidd.media.ffmpeg.args.common import AudioGraph, input_args

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.model.media import Audio

# ffmpeg's default layout for a number of channels, where only the number is known.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


class SurroundingAudio(NamedTuple):
    """WAV files with the audio before and after the talk, in the rate and layout of one track; None: nothing."""

    before: Path | None = None
    after: Path | None = None


NO_AUDIO = SurroundingAudio()


@dataclass(frozen=True, slots=True)
class FullTrack:
    """An audio track that is encoded in full: its number in the source, `samples` of it, at `rate` and with this layout.

    `filters` follow its fades; `around` is what comes before and after the talk.
    """

    number: int
    samples: int
    rate: int
    layout: str
    filters: tuple[str, ...] = ()
    around: SurroundingAudio = NO_AUDIO


def full_track(
    number: int, audio: Audio, samples: int, *, filters: Sequence[str] = (), around: SurroundingAudio
) -> FullTrack:
    """The track with this number in the source, of which the talk has so many samples."""
    layout = channel_layout(audio.layout, audio.channels)
    return FullTrack(number, samples, audio.rate, layout, tuple(filters), around)


def channel_layout(name: str, channels: int) -> str:
    """A track's channel layout for ffmpeg: the stream's own name, or the default for so many channels."""
    return name if name and "channels" not in name else _LAYOUTS.get(channels, f"{channels}c")


def mix_graph(tracks: Sequence[FullTrack], filters: Sequence[str], threads: int) -> AudioGraph:
    """The graph that makes these tracks; the recording is the first input. `filters` cut and fade the talk's audio."""
    inputs: list[str] = []
    chains: list[str] = []
    count = 1
    for place, track in enumerate(tracks):
        talk = f"[0:a:{track.number}]{','.join([*filters, *track.filters])}"
        row = [f"[talk{place}]"]
        for path, at in ((track.around.before, 0), (track.around.after, 2)):
            if path:
                inputs += input_args(path, threads, 0.0)
                row.insert(at, f"[{count}:a:0]")
                count += 1
        if len(row) == 1:
            chains.append(f"{talk}[out{place}]")
            continue
        alike = f"aformat=sample_rates={track.rate}:channel_layouts={track.layout}"
        # Audio that ends early is followed by silence, else what comes after the talk would come too early.
        size = f"apad=whole_len={track.samples},atrim=end_sample={track.samples}"
        chains.append(f"{talk},{alike},{size}[talk{place}]")
        chains.append(f"{''.join(row)}concat=n={len(row)}:v=0:a=1[out{place}]")
    maps = [word for place in range(len(tracks)) for word in ("-map", f"[out{place}]")]
    return AudioGraph(tuple(inputs), ("-filter_complex", ";".join(chains), *maps))
