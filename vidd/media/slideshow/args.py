"""ffmpeg argument lists for slideshows, without the program's name. Pure.

The first input has the frames that `vidd.media.slideshow.worker` wrote, which are repeated or blended into `fps` frames a
second. The same frames and audio go into each format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vidd.media.ffmpeg.args.common import FILL_GAPS, format_seconds, global_args, input_args

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.media.slideshow.timing import Timing

FormatName = Literal["mp4", "webm", "ogg", "av1"]
"""The formats by name; AV1 is in MP4."""
_RATE = 48_000
# Seconds from one keyframe to the next at most, for slides that last longer.
_MOST_BETWEEN_KEYFRAMES = 10
# Below this height players take colours without a mark for BT.601, from it on for BT.709.
_HD_HEIGHT = 720
# What is louder than -48 dBFS is speech. As a key it is raised by 36 dB and limited, so that however loud it is it lies far
# above the compressor's threshold.
_SPEECH = "agate=threshold=0.004:range=0:attack=5:release=100,alimiter=level_in=64:limit=1:level=0"
# Far above, a compressor is as good as done long before its attack is over: it takes 10 ms, and a second to let go.
_COMPRESSOR = "threshold=0.002:ratio=20:attack=2000:release=400"


@dataclass(frozen=True, slots=True)
class Format:
    """A format of slideshows: its file, its content type, and its codecs as vidd finds them in a file.

    `encoders` are ffmpeg's encoders of the video, the first that there is is used; `audio_encoder` is that of the audio.
    With a `still_rate` there are no more frames a second than that, each of them is a keyframe, and none is a blend.
    """

    file: str
    content_type: str
    codec: str
    encoders: tuple[str, ...]
    audio_encoder: str
    container: str
    still_rate: int | None = None

    def media_type(self, *, audio: bool) -> str:
        """The content type, with codecs where a browser could take the container for one that it plays.

        Chromium plays the Vorbis in Ogg and shows nothing: it gave up Theora.
        """
        if self.container != "ogg":
            return self.content_type
        return f'{self.content_type}; codecs="{self.codec}{", vorbis" if audio else ""}"'

    def timing(self, timing: Timing) -> Timing:
        """The timing of a slideshow in this format."""
        return timing if self.still_rate is None else timing.at_most(self.still_rate)


# In the order in which a page should offer them. Where a frame repeats the one before, libtheora writes an empty packet, which
# ffmpeg and players built on it take for the end.
FORMATS: dict[FormatName, Format] = {
    "mp4": Format("slideshow.mp4", "video/mp4", "h264", ("libx264",), "aac", "mp4"),
    "webm": Format("slideshow.webm", "video/webm", "vp9", ("libvpx-vp9",), "libopus", "webm"),
    "av1": Format("slideshow-av1.mp4", "video/mp4", "av1", ("libsvtav1", "libaom-av1"), "aac", "mp4"),
    "ogg": Format("slideshow.ogg", "video/ogg", "theora", ("libtheora",), "libvorbis", "ogg", still_rate=1),
}


# Nearly all bits are in the keyframes, and what follows repeats them: the fast presets lose nothing, and looking ahead or
# predicting from later frames gains nothing.
_VIDEO_ARGS = {
    # Without its macroblock tree x264 is deterministic, and a file that is made again after a kill is the same.
    "libx264": (
        *("-preset", "superfast", "-profile:v", "high", "-crf", "20", "-sc_threshold", "0"),
        *("-x264-params", "mbtree=0:rc-lookahead=0:bframes=0"),
    ),
    # Blocks that differ by less than the threshold are not encoded again.
    "libvpx-vp9": (
        *("-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-crf", "24", "-b:v", "0"),
        *("-static-thresh", "1000", "-aq-mode", "0", "-tile-columns", "2"),
    ),
    "libtheora": ("-q:v", "8"),
    "libsvtav1": ("-preset", "10", "-crf", "26", "-svtav1-params", "pred-struct=1"),
    "libaom-av1": ("-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-crf", "26", "-b:v", "0"),
}
_AUDIO_ARGS = {"aac": ("-b:a", "160k"), "libopus": ("-b:a", "128k"), "libvorbis": ("-q:a", "5")}


@dataclass(frozen=True, slots=True)
class Soundtrack:
    """The audio of a slideshow: `music` is looped, and ducked by `ducking` dB while the `voice` speaks; either may be missing.

    `gain` (dB) is applied to the music, which fades in and out over `fade` seconds.
    """

    music: Path | None = None
    voice: Path | None = None
    gain: float = 0.0
    fade: float = 0.0
    ducking: float = 0.0


@dataclass(frozen=True, slots=True)
class SlideshowEncode:
    """An encode of the `frames` that were prepared, `height` pixels high, with a soundtrack where there is any."""

    frames: Path
    timing: Timing
    height: int
    soundtrack: Soundtrack | None
    threads: int = 0

    def args(self, name: FormatName, encoder: str, output: Path) -> list[str]:
        """The arguments that make one format with this video encoder."""
        form, timing = FORMATS[name], FORMATS[name].timing(self.timing)
        return [
            *global_args(),
            *input_args(self.frames, self.threads, 0.0),
            *self._audio_inputs(),
            *("-filter_complex", ";".join([self._video_graph(name, timing), *self._audio_graph()])),
            *("-map", "[video]", "-c:v", encoder, *_VIDEO_ARGS[encoder]),
            *_keyframe_args(name, timing),
            *("-fps_mode:v", "passthrough"),
            *(
                ("-map", "[audio]", "-c:a", form.audio_encoder, *_AUDIO_ARGS[form.audio_encoder])
                if self.soundtrack
                else ()
            ),
            *(("-threads", str(self.threads)) if self.threads else ()),
            # No random serial numbers, so that a file that is made again is the same.
            *("-map_metadata", "-1", "-fflags", "+bitexact"),
            *(("-movflags", "+faststart") if form.container == "mp4" else ()),
            *("-f", form.container, f"file:{output}"),
        ]

    def _video_graph(self, name: FormatName, timing: Timing) -> str:
        fps, frames = timing.fps, timing.frames
        colours = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
        if name == "ogg" and self.height < _HD_HEIGHT:
            # Theora cannot say what its colours are.
            colours = "scale=in_color_matrix=bt709:out_color_matrix=bt601:in_range=tv:out_range=tv"
        # Scene detection would leave out the blends, and blends of a frame with itself are that frame.
        rate = f"framerate=fps={fps}:interp_start=0:interp_end=255:flags=0" if timing.fades else f"fps={fps}"
        return f"[0:V:0]{colours},{rate},trim=end_frame={frames},format=yuv420p[video]"

    def _audio_inputs(self) -> list[str]:
        track = self.soundtrack
        if track is None:
            return []
        music = ["-stream_loop", "-1", *input_args(track.music, self.threads, 0.0)] if track.music else []
        return [*music, *(input_args(track.voice, self.threads, 0.0) if track.voice else ())]

    def _audio_graph(self) -> list[str]:
        track, samples = self.soundtrack, round(self.timing.duration * _RATE)
        if track is None:
            return []
        alike = f"aresample={_RATE},aformat=sample_fmts=fltp:channel_layouts=stereo"
        whole = f"apad=whole_len={samples},atrim=end_sample={samples}"
        chains = []
        if track.music:
            # From loop to loop the times may jump, the samples do not.
            filters = [alike, f"asetpts=N/{_RATE}/TB", f"atrim=end_sample={samples}", f"volume={track.gain:g}dB"]
            chains.append(
                f"[1:a:0]{','.join([*filters, *self._fades(track.fade)])}{'[music]' if track.voice else '[audio]'}"
            )
        if track.voice:
            number = 2 if track.music else 1
            chains.append(f"[{number}:a:0]{FILL_GAPS},{alike},{whole}{'[voice]' if track.music else '[audio]'}")
        if track.music and track.voice:
            chains += _ducked(track.ducking, samples)
        return chains

    def _fades(self, fade: float) -> Sequence[str]:
        length = min(fade, self.timing.duration / 2)
        if length <= 0:
            return []
        begin, seconds = format_seconds(self.timing.duration - length), format_seconds(length)
        return [f"afade=t=in:st=0:d={seconds}", f"afade=t=out:st={begin}:d={seconds}"]


def _keyframe_args(name: FormatName, timing: Timing) -> list[str]:
    if FORMATS[name].still_rate is not None:
        return ["-g", "1"]
    most = int(_MOST_BETWEEN_KEYFRAMES * timing.fps)
    return ["-g", str(most), "-force_key_frames", f"expr:gte(n,{timing.first_frame_expression})"]


def _ducked(ducking: float, samples: int) -> list[str]:
    """The graph that mixes `voice` and `music`, which drops by `ducking` dB while the voice speaks."""
    # Only this share of the music is compressed, away to nothing: what is left is the music that much quieter, however loud
    # the voice is.
    share = 1 - 10 ** (-ducking / 20)
    return [
        "[voice]asplit[speech][spoken]",
        f"[spoken]{_SPEECH}[key]",
        f"[music][key]sidechaincompress={_COMPRESSOR}:mix={share:.4f}[ducked]",
        # The sum may be louder than full scale, which no encoder keeps.
        f"[speech][ducked]amix=inputs=2:normalize=0,alimiter=limit=0.9:level=0:latency=1,atrim=end_sample={samples}[audio]",
    ]
