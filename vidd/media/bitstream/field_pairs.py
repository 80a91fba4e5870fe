"""Tells which packets of H.264 hold a single field of a frame.

ITU-T H.264 7.3.3 (field_pic_flag). Broadcasts code each field in a packet of its own; a sample of MP4 should hold both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidd.media.bitstream import nal, parameter_sets, slice_header

if TYPE_CHECKING:
    from av.video.stream import VideoStream

    from vidd.media.bitstream.packet import Packet


class FieldPairs:
    """Reads the packets of a stream in their order."""

    def __init__(self, stream: VideoStream) -> None:
        # Also False once all frames are known to be progressive.
        self._h264 = stream.codec_context.codec.canonical_name == "h264"
        self._sets, self._size = parameter_sets.Sets((), (), ()), 0
        if self._h264:
            self._sets, self._size = parameter_sets.sets_of_header("h264", stream.codec_context.extradata or b"")

    def is_single_field(self, packet: Packet) -> bool:
        """Whether a packet holds one field and not a whole frame; False in doubt."""
        if not self._h264:
            return False
        data = bytes(packet)
        try:
            units = nal.split_by_length(data, self._size) if self._size else nal.split_by_start_code(data)
            if more := [unit for unit in units if unit[0] & 31 in {7, 8}]:
                self._sets += parameter_sets.sets_of_units("h264", more)
            sps_by_id, pps_by_id = slice_header.parameters_by_id(self._sets)
            if sps_by_id and all(sequence.frames_only for sequence in sps_by_id.values()):
                self._h264 = False
                return False
            parities = {_parity(slice_, sps_by_id, pps_by_id) for slice_ in slice_header.slices_of(units)}
        except (nal.BadUnits, KeyError, IndexError):
            return False
        return len(parities) == 1 and None not in parities


def _parity(unit: bytes, sps_by_id: dict[int, slice_header.Sps], pps_by_id: dict[int, slice_header.Pps]) -> int | None:
    """0 for a slice of a top field, 1 for a slice of a bottom field, None for a slice of a frame."""
    bits = nal.Bits(unit[:64], 1)
    bits.read_ue()
    bits.read_ue()
    sps = sps_by_id[pps_by_id[bits.read_ue()].sps_id]
    bits.read(2 * sps.planes_apart + sps.number_bits)
    return bits.read(1) if not sps.frames_only and bits.read(1) else None
