"""Packs finished renditions as an HLS ladder (RFC 8216bis) in CMAF segments, without another encode.

Each rendition's video is a media playlist, each audio track another: so audio is there once, not once a rendition, and a
player that changes the rendition does not touch it. Segments begin at the keyframes that all renditions have in common.
The rates in the master playlist are measured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.ffmpeg import parse
from vidd.media.ffmpeg.args.common import global_args
from vidd.media.ffmpeg.process import encode
from vidd.processes import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.media.ffmpeg.hooks import StepHooks
    from vidd.model.media import Audio, Media
    from vidd.ports import Encoder

SEGMENT_SECONDS = 6.0
MASTER = "master.m3u8"
_PLAYLIST, _INIT, _SEGMENT = "index.m3u8", "init.mp4", "%05d.m4s"
_GROUP = "audio"
# The AudioSpecificConfig's first byte, in the descriptors as ffmpeg writes them (ISO/IEC 14496-1, 7.2.6).
_AUDIO_CONFIG = re.compile(rb"\x04\x80\x80\x80.\x40.{12}\x05\x80\x80\x80.(.)", re.DOTALL)
_EXTINF = re.compile(r"#EXTINF:([\d.]+),[^\n]*\n([^#\n]+)")


@dataclass(frozen=True, slots=True)
class Variant:
    """A finished rendition to pack: its name is that of its directory."""

    name: str
    path: Path
    media: Media
    audio_bitrate: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A media segment: seconds and bytes."""

    seconds: float
    size: int


@dataclass(frozen=True, slots=True)
class Track:
    """A media playlist, where it is below the master's directory, its segments, and the codec by RFC 6381."""

    address: str
    segments: tuple[Segment, ...]
    codec: str

    @property
    def seconds(self) -> float:
        """How long it is."""
        return sum(segment.seconds for segment in self.segments)

    @property
    def average(self) -> int:
        """Bits per second of all segments together."""
        return round(8 * sum(segment.size for segment in self.segments) / self.seconds)

    @property
    def peak(self) -> int:
        """The highest bit rate of neighbouring segments that last from half to one and a half times the target duration."""
        target = max(1, *(round(segment.seconds) for segment in self.segments))
        rates = [0.0]
        for first in range(len(self.segments)):
            seconds, size = 0.0, 0
            for segment in self.segments[first:]:
                seconds, size = seconds + segment.seconds, size + segment.size
                if seconds > 1.5 * target:
                    break
                if seconds >= 0.5 * target:
                    rates.append(8 * size / seconds)
        return max(round(max(rates)), self.average)


async def pack(encoder: Encoder, variants: Sequence[Variant], directory: Path, hooks: StepHooks, name: str) -> int:
    """Write the ladder into the empty `directory`; how many segments each rendition has.

    Faults as `process.encode`; Refused where what was written is not all of the renditions. `name` is what the operator
    knows the source by.
    """
    best = max(variants, key=lambda variant: variant.audio_bitrate)
    tracks = [f"{_GROUP}-{number}" for number, _ in enumerate(best.media.audio, 1)]
    names = [*(variant.name for variant in variants), *tracks]
    for below in names:
        (directory / below).mkdir()
    async with hooks.slot():
        await encode(
            encoder,
            _args(variants, best, directory, encoder.threads),
            output=[directory / below / _PLAYLIST for below in names],
            duration=best.media.duration,
            observe=hooks.observe,
            kind="transcode",
        )
        for below, media in zip(names, [variant.media for variant in variants], strict=False):
            await _check_frames(encoder, directory / below / _PLAYLIST, media, name)
    found = [_read_track(directory, below) for below in names]
    videos, audios = found[: len(variants)], found[len(variants) :]
    _check_times(videos, variants, name)
    (directory / MASTER).write_text(master_playlist(variants, videos, audios, best.media.audio))
    return len(videos[0].segments)


def _args(variants: Sequence[Variant], best: Variant, directory: Path, threads: int) -> list[str]:
    inputs = [word for variant in variants for word in ("-i", f"file:{variant.path}")]
    args = [*global_args(), *inputs]
    for number, variant in enumerate(variants):
        args += ["-map", f"{number}:v:0", *_muxer_args(directory / variant.name, threads)]
    for number, _ in enumerate(best.media.audio):
        args += ["-map", f"{variants.index(best)}:a:{number}"]
        args += _muxer_args(directory / f"{_GROUP}-{number + 1}", threads)
    return args


def _muxer_args(directory: Path, threads: int) -> list[str]:
    return [
        *(("-threads", str(threads)) if threads else ()),
        *("-c", "copy"),
        # Else frames that are decoded before they are shown, and AAC's priming, would move video and audio apart.
        *("-avoid_negative_ts", "disabled"),
        *("-f", "hls", "-hls_time", f"{SEGMENT_SECONDS:g}", "-hls_playlist_type", "vod"),
        *("-hls_flags", "independent_segments"),
        *("-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", _INIT),
        *("-hls_segment_filename", f"file:{str(directory).replace('%', '%%')}/{_SEGMENT}"),
        f"file:{directory / _PLAYLIST}",
    ]


async def _check_frames(encoder: Encoder, playlist: Path, media: Media, name: str) -> None:
    """Have ffmpeg read a media playlist to its end, and count its frames."""
    blocks, frames = parse.ProgressBlocks(), 0

    def on_line(line: str) -> None:
        nonlocal frames
        if (block := blocks.feed(line)) and block.frame is not None:
            frames = block.frame

    limits = run.Limits(quiet=encoder.stall, nice=encoder.nice, memory=encoder.memory)
    reading = ["-protocol_whitelist", "file", "-i", f"file:{playlist}", "-map", "0:v", "-c", "copy", "-f", "null", "-"]
    ended = await run.run([encoder.path, *global_args(), *reading], on_line=on_line, limits=limits)
    wanted = media.video[0].frames
    if ended.code or ended.stderr.strip() or (wanted is not None and frames != wanted):
        why = parse.reason(ended.stderr) if ended.stderr.strip() else f"{frames} of {wanted} frames"
        raise Refused(f"The HLS playlist of {quoted(name)} cannot be read as it was written ({why}): check ffmpeg.")


def _check_times(videos: Sequence[Track], variants: Sequence[Variant], name: str) -> None:
    """Refused where a rendition is shorter than its file, or its segments begin elsewhere than those of the first."""
    slowest = min(variant.media.video[0].rate or 25 for variant in variants)
    starts = [list(accumulate(segment.seconds for segment in video.segments))[:-1] for video in videos]
    for video, variant, begins in zip(videos, variants, starts, strict=True):
        length = variant.media.video[0].duration or variant.media.duration
        apart = [abs(mine - first) for mine, first in zip(begins, starts[0], strict=False)]
        if abs(video.seconds - length) > 1 / slowest + 0.001 or len(begins) != len(starts[0]):
            raise Refused(
                f"The HLS playlist {variant.name} of {quoted(name)} is {video.seconds:.2f} s long in {len(video.segments)}"
                f" segments, the rendition {length:.2f} s in {len(videos[0].segments)}: check ffmpeg."
            )
        if max(apart, default=0.0) > 1 / slowest + 0.001:
            raise Refused(f"The HLS segments of {quoted(name)} begin at different times: check ffmpeg.")


def _read_track(directory: Path, below: str) -> Track:
    folder = directory / below
    segments = [
        Segment(float(seconds), (folder / file).stat().st_size)
        for seconds, file in _EXTINF.findall((folder / _PLAYLIST).read_text())
    ]
    return Track(f"{below}/{_PLAYLIST}", tuple(segments), codec_of((folder / _INIT).read_bytes()))


def codec_of(init: bytes) -> str:
    """The codec of an initialization segment that vidd made, as RFC 6381 writes it."""
    at = init.find(b"avcC")
    if at >= 0:
        return f"avc1.{init[at + 5 : at + 8].hex()}"
    found = _AUDIO_CONFIG.search(init)
    return f"mp4a.40.{found[1][0] >> 3}" if found else "mp4a.40.2"


def master_playlist(
    variants: Sequence[Variant], videos: Sequence[Track], audios: Sequence[Track], tracks: Sequence[Audio]
) -> str:
    """The text of the master playlist; the first variant is what a player begins with."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for number, (audio, track) in enumerate(zip(audios, tracks, strict=True), 1):
        language = f'LANGUAGE="{track.language}",' if track.language else ""
        default = "DEFAULT=YES," if number == 1 else ""
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{_GROUP}",NAME="Audio {number}",{language}{default}AUTOSELECT=YES,'
            f'CHANNELS="{track.channels}",URI="{audio.address}"'
        )
    peak, average = (max((getattr(audio, rate) for audio in audios), default=0) for rate in ("peak", "average"))
    spoken = list(dict.fromkeys(audio.codec for audio in audios))
    for variant, video in zip(variants, videos, strict=True):
        shown = variant.media.video[0]
        lines += [
            f"#EXT-X-STREAM-INF:BANDWIDTH={video.peak + peak},AVERAGE-BANDWIDTH={video.average + average},"
            f'CODECS="{",".join([video.codec, *spoken])}",'
            f"RESOLUTION={shown.display_size[0]}x{shown.display_size[1]},FRAME-RATE={shown.rate:.3f}"
            + (f',AUDIO="{_GROUP}"' if audios else ""),
            video.address,
        ]
    return "\n".join(lines) + "\n"
