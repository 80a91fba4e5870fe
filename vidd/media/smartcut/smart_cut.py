"""A cut at nearly the speed of copying: its edges, which fade, are encoded, and all packets between are copied."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.files.atomic import temporary_directory
from vidd.media.bitstream.nal import LONG_IDS
from vidd.media.branding.intro_outro import NO_BRANDING, ClipEncoder, IntroOutro
from vidd.media.ffmpeg.args import edge
from vidd.media.ffmpeg.args.common import CutSource, EncodeSettings
from vidd.media.ffmpeg.args.intro_outro import ClipFormat
from vidd.media.ffmpeg.process import encode
from vidd.media.ffmpeg.timebase import Ticks, decimal
from vidd.media.smartcut.audio_tracks import Sounding
from vidd.media.smartcut.client import Cutter
from vidd.media.smartcut.plan import Index, Keyframe, Plan, SmartCutUnavailable, plan, ticks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vidd.media.branding.intro_outro import Branding, ParameterSetIds
    from vidd.media.ffmpeg.args.common import Cut
    from vidd.model.event import Event
    from vidd.model.media import Media
    from vidd.ports import Encoder


@dataclass(frozen=True, slots=True)
class Made:
    """What was done: the plan, where in the result the pieces meet (seconds), how many pictures it must have.

    `sound` says for each track why all of it was encoded; an empty text where only what fades was. `around` is what
    lies around the talk, and where the talk lies.
    """

    plan: Plan
    joins: tuple[float, ...]
    pictures: int
    sound: tuple[str, ...]
    around: IntroOutro

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


async def edges(
    encoder: Encoder,
    source: Path,
    output: Path,
    media: Media,
    cut: Cut,
    *,
    name: str,
    crf: int,
    preset: str,
    audio_bitrate: int,
    progress: Callable[[float, float | None, str, float | None], None],
    observe: Callable[[Event], None],
    open_gops: bool = True,
    dress: Branding = NO_BRANDING,
    kept: Path | None = None,
) -> Made:
    """Cut by copying all but the edges into `output`; SmartCutUnavailable, with a sentence, where that cannot be done here.

    `open_gops` is that of `plan.plan`; `kept` is where stings of `dress` stay for other talks. RetryLater as
    `run.encode` and the probe; whatever goes wrong, `output` is gone.
    """
    cutter = Cutter(source, name)
    try:
        answer = await cutter.ask("scan", cut=[cut.start, cut.end, cut.fade])
        index = Index.from_json(answer["index"])
        video = media.video[0]
        chosen = plan(index, cut, pixels=video.width * video.height, rate=video.rate or 25.0, open_gops=open_gops)
        _check(chosen)
        clock = ticks(index.time_base, index.begin, cut)
        with temporary_directory(output) as room:
            work = _Pieces(encoder, source, room, media, cut, crf, preset, audio_bitrate, progress, observe)
            names = _names(index.codec, answer["taken"], 3 + len(dress.clips))
            made = await work.pictures(chosen, index, clock, answer, names)
            wardrobe = ClipEncoder(encoder, kept or room, room, observe)
            form = ClipFormat(video, work.look(index, answer), clock.scale, answer["reordered"], crf, preset)
            end = max(round(decimal(cut.length) * clock.scale), clock.of(index.last) + 1)
            around = await wardrobe.encode_video(
                dress, form, names[3:], end, cautious=not chosen.head and _throws(chosen, index)
            )
            sounding = Sounding(encoder, work.run, source, room, media, cut, audio_bitrate)
            # Not the wanted start but the result's own, on whose clock the pictures are.
            start = Fraction(clock.origin, clock.scale)
            beside = {number: await wardrobe.encode_audio(around, audio) for number, audio in sounding.tracks}
            sounds, heard = await sounding.sounds(
                cutter, start, name, around=around, beside=beside, changes=dress.gains
            )
            await cutter.ask(
                "join",
                at=around.begin,
                before=[(str(one.path), one.at, one.ids) for one in around.before],
                after=[(str(one.path), one.at, one.ids) for one in around.after],
                edges=made,
                bridged=work.bridged(chosen, index) is not None,
                plan=chosen.to_json(),
                ticks=[clock.scale, clock.finer, clock.origin],
                sounds=sounds,
                output=str(output),
            )
            progress(cut.length, cut.length, "s", None)
    except BaseException:
        output.unlink(missing_ok=True)
        raise
    finally:
        await cutter.close()
    ends = [place for place, there in ((chosen.head_to, chosen.head), (chosen.copy_to, chosen.tail)) if there]
    inside = (clock.seconds(one) + around.begin / clock.scale for one in ends if one is not None)
    joins = tuple(sorted((*around.joins, *inside)))
    return Made(chosen, joins, index.pictures + around.frames, heard, around)


@dataclass(frozen=True)
class _Pieces:
    encoder: Encoder
    source: Path
    room: Path
    media: Media
    cut: Cut
    crf: int
    preset: str
    audio_bitrate: int
    progress: Callable[[float, float | None, str, float | None], None]
    observe: Callable[[Event], None]

    def look(self, index: Index, answer: dict[str, Any]) -> edge.VideoFormat:
        """What all that is encoded must be like."""
        return edge.VideoFormat(index.codec, self.media.video[0].pixel_format, answer["profile"])

    async def pictures(
        self, chosen: Plan, index: Index, clock: Ticks, answer: dict[str, Any], free: list[ParameterSetIds]
    ) -> list[tuple[str | None, ParameterSetIds]]:
        """Encode head and tail: where they are, and the names of their parameter sets."""
        look = self.look(index, answer)
        made: list[tuple[str | None, ParameterSetIds]] = []
        begin, low, end = (one or 0 for one in (chosen.copy_from, chosen.head_to, chosen.copy_to))
        over = self.bridged(chosen, index)
        idr = over.before - over.needs if over else None
        spans = (
            ("head", chosen.head, index.first, low),
            ("lead", low < begin, low, begin),
            ("tail", chosen.tail, end, index.last + 1),
        )
        for (word, wanted, first, beyond), names in zip(spans, free, strict=False):
            path = self.room / f"{word}.mp4"
            made.append((str(path) if wanted else None, names))
            if wanted:
                keyframe = max((one for one in answer["decodable"] if one <= first), default=answer["decodable"][0])
                plain = word != "tail" and _throws(chosen, index)
                piece = edge.EdgeSpan(
                    first,
                    beyond,
                    keyframe,
                    names[1],
                    answer["reordered"] and not plain,
                    idr if word == "head" else None,
                    word == "lead",
                )
                argv = edge.video_args(
                    CutSource(self.source, self.media, self.cut),
                    path,
                    piece,
                    look,
                    EncodeSettings(self.crf, self.preset, self.audio_bitrate, self.encoder.threads),
                    ticks=clock,
                    time_base=index.time_base,
                )
                await self.run(argv, path, float((beyond - first) * index.time_base))
        return made

    @staticmethod
    def bridged(chosen: Plan, index: Index) -> Keyframe | None:
        """The keyframe that copying starts with, where it goes on from what comes before it."""
        found = [
            keyframe for keyframe in index.keyframes if keyframe.pts == chosen.copy_from and keyframe.kind == "recovery"
        ]
        return found[0] if found else None

    async def run(self, argv: list[str], path: Path, duration: float) -> None:
        """Let ffmpeg make a piece; SmartCutUnavailable where it does not."""
        try:
            await encode(
                self.encoder,
                argv,
                output=path,
                duration=duration,
                progress=lambda *_: None,
                observe=self.observe,
                kind="trim",
            )
        except Refused as refused:
            # This ffmpeg may have no encoder of the source's kind, which the full encode does not need.
            raise SmartCutUnavailable(refused.sentence) from None


def _check(chosen: Plan) -> None:
    if chosen.lane == "full":
        raise SmartCutUnavailable(chosen.reason)


def _throws(chosen: Plan, index: Index) -> bool:
    """Whether what is copied starts with a picture at which a decoder throws away what it has not shown yet."""
    # The sequence that starts with a CRA picture does (H.265 C.5.2.2).
    return any(keyframe.pts == chosen.copy_from and keyframe.kind != "idr" for keyframe in index.keyframes)


def _names(codec: str, taken: list[list[int]], count: int) -> list[ParameterSetIds]:
    """Names for the parameter sets of what is encoded that the source does not use: VPS, SPS, PPS."""
    vps, sps, pps = (set(one) for one in taken)
    if codec == "av1":
        return [(0, 0, 0)] * count
    if codec == "h264":
        found = [(0, number, number) for number in range(31, -1, -1) if number not in sps | pps]
    else:
        found = list(
            zip(
                (number for number in range(15, -1, -1) if number not in vps),
                (number for number in range(15, -1, -1) if number not in sps),
                (long_id for long_id in LONG_IDS if long_id not in pps),
                strict=False,
            )
        )
    if len(found) < count:
        raise SmartCutUnavailable(
            "The source uses so many parameter sets that not all of the encoder's find a free name."
        )
    return found[:count]
