"""Scans the packets around a cut, without decoding them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av

from vidd.media.bitstream import nal, obu, parameter_sets, slice_header
from vidd.media.probe.worker.reader import EXACT_CONTAINERS, PROGRESSIVE, open_media, video_streams
from vidd.media.smartcut.plan import SmartCutUnavailable, bounds
from vidd.media.smartcut.worker.open_gop import reference_marking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from vidd.media.bitstream.packet import Packet
    from vidd.media.ffmpeg.args.common import Cut

CODECS = ("h264", "hevc", "av1")
# The pixel formats that the encoders can make again.
PIXELS = {
    "h264": ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"),
    "hevc": ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le"),
    "av1": ("yuv420p", "yuv420p10le"),
}
_BACK = (0.0, 1.0, 5.0, 20.0, 60.0, 300.0)
_FULL_RANGE = 2
_IN_FIELDS = "The frames are coded in fields (interlaced)."


@dataclass
class Scan:
    """The packets around a cut, in the order they are decoded: numbers in arrays, so that hours need little memory.

    The cut is from `first` to before `beyond` (ticks). `kinds` are the kinds of keyframes, `needs` the number of frames
    that an open GOP needs before it, both by index of the packet. `last` is the cut's last frame.
    """

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
    """The packets of a cut, and what `Index.from_json` takes; SmartCutUnavailable if the file cannot be cut so."""
    with open_media(path, name) as container:
        stream = video_streams(container)[0]
        found = _start_scan(container, stream, cut)
        for back in _BACK:
            if _read(container, stream, found, back):
                break
        else:
            raise SmartCutUnavailable("No keyframe was found before the start of the cut.")
    return found, _index_of(found)


def _start_scan(container: InputContainer, stream: VideoStream, cut: Cut) -> Scan:
    if container.format.name.split(",")[0] not in EXACT_CONTAINERS:
        raise SmartCutUnavailable(
            f"The container ({container.format.name}) does not say for sure when each frame is shown."
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
        raise SmartCutUnavailable(
            f"The frames use the full range of values ({pixels}), whose black the fades do not know."
        )
    if context.field_order > PROGRESSIVE:
        raise SmartCutUnavailable(_IN_FIELDS)
    begin = Fraction(container.start_time or 0, av.time_base)
    first, beyond = bounds(stream.time_base, begin, cut)
    try:
        sets, length_size = parameter_sets.sets_of_header(codec, context.extradata or b"")
    except (nal.BadUnits, IndexError):
        raise SmartCutUnavailable("The header of the stream's parameters is damaged.") from None
    return Scan(codec, stream.time_base, begin, first, beyond, sets, length_size, context.extradata or b"")


def _read(container: InputContainer, stream: VideoStream, found: Scan, back: float) -> bool:
    """Read from the keyframe before the cut to its end; False if none came early enough."""
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
        _add(found, packet)
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
    """The packets up to the first that is decoded after the end; SmartCutUnavailable if one is damaged or has no time."""
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.pts is None:
            raise SmartCutUnavailable("Some packets do not say when their frame is shown.")
        if packet.dts is not None and packet.dts >= found.beyond:
            return
        if packet.has_sidedata("new_extradata") or packet.has_sidedata("param_change"):
            raise SmartCutUnavailable("The stream's parameters change on the way.")
        if packet.is_corrupt:
            raise SmartCutUnavailable("Some packets are damaged.")
        if packet.is_discard and found.first <= packet.pts < found.beyond:
            raise SmartCutUnavailable("The file hides some frames within the cut.")
        yield packet


def from_keyframe(container: InputContainer, stream: VideoStream, found: Scan, begin: int) -> Iterator[Packet]:
    """The packets from the keyframe shown at `begin` on; SmartCutUnavailable if it is not found again."""
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


def _add(found: Scan, packet: Packet) -> None:
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
            found.needs[len(found.pts)] = _frames_needed(found, units)
    if found.first <= packet.pts < found.beyond and (found.last is None or packet.pts > found.last):
        found.last, found.duration = packet.pts, packet.duration or 0
    found.pts.append(packet.pts)
    found.sizes.append(packet.size)


def _frames_needed(found: Scan, units: list[bytes]) -> int:
    """How many frames must come before a keyframe of an open GOP; 0 if that is unknown."""
    try:
        sps, marking = reference_marking(found.sets, units, 0)
        return marking.frames_needed(sps)
    except (nal.BadUnits, KeyError):
        return 0


def _index_of(found: Scan) -> dict[str, Any]:
    pts, first, beyond = found.pts, found.first, found.beyond
    wanted = array("q", sorted(time for time in pts if first <= time < beyond))
    obstacle = None
    if not wanted:
        obstacle = "The cut holds no frame."
    elif any(earlier == later for earlier, later in pairwise(wanted)):
        obstacle = "Two frames have the same time."
    elif found.codec == "h264" and any(_may_have_fields(sps) for sps in found.sets.sps):
        # The reader does not say whether each field is a sample of its own.
        obstacle = _IN_FIELDS
    keyframes, clean_ends = _boundaries(found)
    return {
        "time_base": str(found.time_base),
        "begin": str(found.begin),
        "codec": found.codec,
        "frames": len(wanted),
        "keyframes": keyframes,
        "clean_ends": clean_ends,
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


# How many times at which copying may end are reported, counted from the last.
_MOST_CLEAN_ENDS = 4096


def _boundaries(found: Scan) -> tuple[list[tuple[int, str, int, bool, int, int, int]], list[int]]:
    """The keyframes, as the fields of `plan.Keyframe`; and the times before which a copy may end.

    A copy may end before a time if all frames decoded earlier are shown earlier.
    """
    pts = found.pts
    keyframes: list[tuple[int, str, int, bool, int, int, int]] = []
    latest, latest_until = None, array("q")
    for time in pts:
        latest = time if latest is None or time > latest else latest
        latest_until.append(latest)
    indices = sorted(found.kinds)
    for index, following in zip(indices, [*indices[1:], len(pts)], strict=True):
        leading = sum(time < pts[index] for time in pts[index + 1 : following])
        first_leading = min((time for time in pts[index:following] if time < pts[index]), default=pts[index])
        overlapped = index > 0 and latest_until[index - 1] > first_leading
        needed = found.needs.get(index, 0)
        before = sum(found.first <= time < first_leading for time in pts) if needed else 0
        keyframes.append((pts[index], found.kinds[index], leading, overlapped, first_leading, before, needed))
    inside = [index for index, time in enumerate(pts) if time < found.beyond]
    clean_ends: list[int] = []
    if inside and latest_until[inside[-1]] < found.beyond:
        clean_ends.append(latest_until[inside[-1]] + 1)
    earliest = None
    for index in range(len(pts) - 1, 0, -1):
        earliest = pts[index] if earliest is None or pts[index] < earliest else earliest
        if latest_until[index - 1] < earliest < found.beyond:
            clean_ends.append(earliest)
            if len(clean_ends) >= _MOST_CLEAN_ENDS:
                break
    return [keyframe for keyframe in keyframes if keyframe[0] >= found.first], clean_ends[::-1]


def encoder_hints(found: Scan) -> dict[str, Any]:
    """What an encoder must know to make more of the same.

    `profile` (profile_idc), the ids of parameter sets that are `taken` (VPS, SPS, PPS), whether frames are `reordered`,
    and the times of keyframes that decoding may start at (`decodable`).
    """
    profile = found.sets.sps[0][1] if found.codec == "h264" and found.sets.sps else 0
    if found.codec == "h264":
        sps, pps = parameter_sets.ids_h264(found.sets)
        taken = [[], sorted(sps), sorted(pps)]
    elif found.codec == "av1":
        taken = [[], [], []]
    else:
        taken = [sorted(ids) for ids in parameter_sets.ids_hevc(found.sets)]
    reordered = any(later < earlier for earlier, later in pairwise(found.pts))
    # The first frames decoded from an intra refresh are not complete.
    decodable = sorted(found.pts[index] for index, kind in found.kinds.items() if kind != "refresh")
    return {"profile": profile, "taken": taken, "reordered": reordered, "decodable": decodable or [found.pts[0]]}
