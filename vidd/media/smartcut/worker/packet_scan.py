"""What the cutter's child finds out about the packets of a cut, without decoding. Never imported by the daemon."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import av

from vidd.media.bitstream import nal, obu, parameter_sets, slice_header
from vidd.media.probe.worker.reader import EXACT_CONTAINERS, PROGRESSIVE, open_media, video_streams
from vidd.media.smartcut.plan import SmartCutUnavailable, bounds
from vidd.media.smartcut.worker.open_gop import meeting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from vidd.media.ffmpeg.args.common import Cut

# Where one has no time, it is asked for, and not believed to the type checker.
Packet: TypeAlias = Any

CODECS = ("h264", "hevc", "av1")
# What the encoders can make again, by pixel format.
PIXELS = {
    "h264": ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"),
    "hevc": ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le"),
    "av1": ("yuv420p", "yuv420p10le"),
}
_BACK = (0.0, 1.0, 5.0, 20.0, 60.0, 300.0)
_FULL_RANGE = 2
_IN_FIELDS = "The pictures are coded in fields (interlaced)."


@dataclass
class Scan:
    """The packets around a cut, in the order they are decoded: numbers in arrays, so that hours need little memory."""

    codec: str
    time_base: Fraction
    begin: Fraction
    first: int
    beyond: int
    sets: parameter_sets.Sets
    length_size: int
    header: bytes
    pts: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("l"))
    kinds: dict[int, str] = field(default_factory=dict)
    needs: dict[int, int] = field(default_factory=dict)
    duration: int = 0
    last: int | None = None


def units_of(scan: Scan, data: bytes) -> list[bytes]:
    """The units of a packet."""
    if scan.codec == "av1":
        return obu.split(data)
    return nal.split_by_length(data, scan.length_size) if scan.length_size else nal.split_by_start_code(data)


def scan(path: Path, name: str, cut: Cut) -> tuple[Scan, dict[str, Any]]:
    """Look through the packets of a cut: the numbers, and what `Index.from_json` takes."""
    with open_media(path, name) as container:
        stream = video_streams(container)[0]
        found = _opened(container, stream, cut)
        for back in _BACK:
            if _look(container, stream, found, back):
                break
        else:
            raise SmartCutUnavailable("No keyframe was found before the start of the cut.")
    return found, _told(found)


def _opened(container: InputContainer, stream: VideoStream, cut: Cut) -> Scan:
    if container.format.name.split(",")[0] not in EXACT_CONTAINERS:
        raise SmartCutUnavailable(
            f"The container ({container.format.name}) does not say for sure when each picture is shown."
        )
    context = stream.codec_context
    codec, pixels = context.codec.canonical_name, context.pix_fmt or "unknown"
    if codec not in CODECS:
        raise SmartCutUnavailable(f"Only H.264, HEVC and AV1 can be encoded in parts, and this is {codec}.")
    if pixels not in PIXELS[codec]:
        raise SmartCutUnavailable(f"The pixels are {pixels}, which the encoder cannot make in the same way.")
    if not stream.time_base:
        raise SmartCutUnavailable("The stream has no clock.")
    if cut.fade and context.color_range == _FULL_RANGE and not pixels.startswith("yuvj"):
        raise SmartCutUnavailable(f"The pictures use the full range of values ({pixels}), whose black no fade knows.")
    if context.field_order > PROGRESSIVE:
        raise SmartCutUnavailable(_IN_FIELDS)
    begin = Fraction(container.start_time or 0, av.time_base)
    first, beyond = bounds(stream.time_base, begin, cut)
    try:
        sets, length_size = parameter_sets.sets_of_header(codec, context.extradata or b"")
    except (nal.BadUnits, IndexError):
        raise SmartCutUnavailable("The header of the stream's parameters is damaged.") from None
    return Scan(codec, stream.time_base, begin, first, beyond, sets, length_size, context.extradata or b"")


def _look(container: InputContainer, stream: VideoStream, found: Scan, back: float) -> bool:
    """Read from the keyframe before the cut to its end; False where none came early enough."""
    start = found.first - int(back / found.time_base)
    from_begin = start <= (stream.start_time or 0)
    if from_begin:
        rewind(container, stream)
    else:
        container.seek(start, stream=stream)
    found.pts, found.sizes, found.kinds = array("q"), array("l"), {}
    for packet in packets(container, stream, found):
        if not found.pts:
            if not packet.is_keyframe:
                if from_begin:
                    continue
                return False
            if packet.pts > found.first and not from_begin:
                return False
        _note(found, packet)
        if len(found.pts) == 1 and found.kinds[0] == "refresh" and not from_begin:
            return False
    return bool(found.pts)


def rewind(container: InputContainer, stream: Any) -> None:
    """Go to the very first packet: in a transport stream a seek to the first time lands after it."""
    start = stream.start_time or 0
    try:
        container.seek(start - int(10 / stream.time_base), stream=stream)
    except av.FFmpegError:
        container.seek(start, stream=stream)


def packets(container: InputContainer, stream: VideoStream, found: Scan) -> Iterator[Packet]:
    """The packets with pictures, up to the first that is decoded after the end; SmartCutUnavailable where one has no time."""
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.pts is None:
            raise SmartCutUnavailable("Some packets do not say when their picture is shown.")
        if packet.dts is not None and packet.dts >= found.beyond:
            return
        if packet.has_sidedata("new_extradata") or packet.has_sidedata("param_change"):
            raise SmartCutUnavailable("The stream's parameters change on the way.")
        if packet.is_corrupt:
            raise SmartCutUnavailable("Some packets are damaged.")
        if packet.is_discard and found.first <= packet.pts < found.beyond:
            raise SmartCutUnavailable("The file says of some pictures within the cut that they are not to be shown.")
        yield packet


def from_keyframe(container: InputContainer, stream: VideoStream, found: Scan, begin: int) -> Iterator[Packet]:
    """The packets from the keyframe shown at `begin` on; SmartCutUnavailable where it is not met again."""
    for back in _BACK:
        at = begin - int(back / found.time_base)
        if at <= (stream.start_time or 0):
            rewind(container, stream)
        else:
            container.seek(at, stream=stream)
        flow = packets(container, stream, found)
        for packet in flow:
            if packet.is_keyframe and packet.pts >= begin:
                break
        else:
            continue
        if packet.pts == begin:
            yield packet
            yield from flow
            return
    raise SmartCutUnavailable("The keyframe that copying starts with was not found again.")


def _note(found: Scan, packet: Packet) -> None:
    if packet.is_keyframe:
        try:
            units = units_of(found, bytes(packet))
            there = parameter_sets.sets_of_units(found.codec, units)
            # An encoder of AV1 may decide after it wrote the track's header, so that of the first keyframe holds.
            if not found.sets.sps or (found.codec == "av1" and not found.pts and there.sps):
                found.sets = there
        except nal.BadUnits:
            raise SmartCutUnavailable("A keyframe is damaged.") from None
        kind = {"h264": nal.kind_h264, "hevc": nal.kind_hevc, "av1": obu.kind}[found.codec](units)
        found.kinds[len(found.pts)] = kind
        if kind == "recovery":
            found.needs[len(found.pts)] = _needs(found, units)
    if found.first <= packet.pts < found.beyond and (found.last is None or packet.pts > found.last):
        found.last, found.duration = packet.pts, packet.duration or 0
    found.pts.append(packet.pts)
    found.sizes.append(packet.size)


def _needs(found: Scan, units: list[bytes]) -> int:
    """How many pictures must come before a keyframe that goes on from others; 0 where it cannot be told."""
    try:
        over, met = meeting(found.sets, units, 0)
        return met.since(over)
    except (nal.BadUnits, KeyError):
        return 0


def _told(found: Scan) -> dict[str, Any]:
    pts, first, beyond = found.pts, found.first, found.beyond
    wanted = array("q", sorted(one for one in pts if first <= one < beyond))
    obstacle = None
    if not wanted:
        obstacle = "The cut holds no picture."
    elif any(one == other for one, other in pairwise(wanted)):
        obstacle = "Two pictures have the same time."
    elif found.codec == "h264" and any(_may_have_fields(one) for one in found.sets.sps):
        # Where each field is a sample of its own, the reader does not tell.
        obstacle = _IN_FIELDS
    keys, clean = _boundaries(found)
    return {
        "time_base": str(found.time_base),
        "begin": str(found.begin),
        "codec": found.codec,
        "pictures": len(wanted),
        "keyframes": keys,
        "clean": clean,
        "first": wanted[0] if wanted else 0,
        "last": wanted[-1] if wanted else 0,
        "bytes": sum(found.sizes),
        "obstacle": obstacle,
    }


def _may_have_fields(unit: bytes) -> bool:
    try:
        return not slice_header.parse_sps(unit).frames_only
    except nal.BadUnits:
        return False


# How many places to end copying are told, counted from the last.
_PLACES = 4096


def _boundaries(found: Scan) -> tuple[list[tuple[int, str, int, bool, int, int, int]], list[int]]:
    """The keyframes; and the times before which a copy may end, since all decoded earlier is shown earlier."""
    pts = found.pts
    keys: list[tuple[int, str, int, bool, int, int, int]] = []
    latest, highs = None, array("q")
    for one in pts:
        latest = one if latest is None or one > latest else latest
        highs.append(latest)
    places = sorted(found.kinds)
    for number, at in enumerate(places):
        until = places[number + 1] if number + 1 < len(places) else len(pts)
        leading = sum(one < pts[at] for one in pts[at + 1 : until])
        low = min((one for one in pts[at:until] if one < pts[at]), default=pts[at])
        torn = at > 0 and highs[at - 1] > low
        before = sum(found.first <= one < low for one in pts) if found.needs.get(at) else 0
        keys.append((pts[at], found.kinds[at], leading, torn, low, before, found.needs.get(at, 0)))
    inside = [at for at, one in enumerate(pts) if one < found.beyond]
    clean: list[int] = []
    if inside and highs[inside[-1]] < found.beyond:
        clean.append(highs[inside[-1]] + 1)
    lowest = None
    for at in range(len(pts) - 1, 0, -1):
        lowest = pts[at] if lowest is None or pts[at] < lowest else lowest
        if highs[at - 1] < lowest < found.beyond:
            clean.append(lowest)
            if len(clean) >= _PLACES:
                break
    return [key for key in keys if key[0] >= found.first], clean[::-1]


def look(found: Scan) -> dict[str, Any]:
    """What the encoder must know to make more of the same: profile (profile_idc), and the names that are taken."""
    profile = found.sets.sps[0][1] if found.codec == "h264" and found.sets.sps else 0
    if found.codec == "h264":
        sps, pps = parameter_sets.ids_h264(found.sets)
        taken = [[], sorted(sps), sorted(pps)]
    elif found.codec == "av1":
        taken = [[], [], []]
    else:
        taken = [sorted(one) for one in parameter_sets.ids_hevc(found.sets)]
    reordered = any(later < earlier for earlier, later in pairwise(found.pts))
    # What decodes from other keyframes is not whole at once, such as where each picture renews a column (intra refresh).
    places = sorted(found.pts[at] for at, kind in found.kinds.items() if kind != "refresh")
    return {"profile": profile, "taken": taken, "reordered": reordered, "decodable": places or [found.pts[0]]}
