"""Tells which packets no other packet needs: a decoder that never gets them decodes all others the same. Pure.

ITU-T H.264 7.4.1 (nal_ref_idc) and H.265 7.4.2.2 (sub-layer non-reference pictures).
"""

from __future__ import annotations

from typing import NamedTuple

from vidd.media.bitstream import nal

_PARTITIONS = {2, 3, 4}


class Need(NamedTuple):
    """The temporal layer of a packet, and whether no packet of that layer refers to it (`nobody`).

    H.264 has one layer, 0. In HEVC, other layers may refer to packets of all but the highest layer of a stream.
    """

    layer: int
    nobody: bool


_ALL = Need(0, nobody=False)


def need(codec: str, data: bytes, size: int | None) -> Need:
    """Who needs a packet; `size` is that of the lengths before its units in bytes, None if it has start codes."""
    if codec not in {"h264", "hevc"}:
        return _ALL
    try:
        units = nal.split_by_length(data, size) if size else nal.split_by_start_code(data)
    except nal.BadUnits:
        return _ALL
    heads = [unit[:2] for unit in units if len(unit) > 2]
    return _h264(heads) if codec == "h264" else _hevc(heads)


def _h264(heads: list[bytes]) -> Need:
    slices = [head[0] for head in heads if 1 <= head[0] & 31 <= 5]
    needed = any(slice_ >> 5 & 3 or slice_ & 31 in _PARTITIONS for slice_ in slices)
    return Need(0, bool(slices) and not needed)


def _hevc(heads: list[bytes]) -> Need:
    slices = [head for head in heads if head[0] >> 1 & 63 < 32]
    # Up to 14, no picture of its layer refers to a picture of an even type.
    needed = any((kind := slice_[0] >> 1 & 63) > 14 or kind % 2 for slice_ in slices)
    return Need(max(((slice_[1] & 7) - 1 for slice_ in slices), default=0), bool(slices) and not needed)
