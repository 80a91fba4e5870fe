"""Reads and writes the parameter sets of H.264, HEVC and AV1 and the header that holds them (avcC, hvcC). Pure.

ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1. A result holds the source's sets and the encoder's under different ids.
"""

from __future__ import annotations

from dataclasses import dataclass

from vidd.media.bitstream import obu
from vidd.media.bitstream.nal import BadUnits, Bits, split_by_start_code


@dataclass(frozen=True, slots=True)
class Sets:
    """Parameter sets in the order VPS (HEVC only), SPS (in AV1 the sequence header), PPS."""

    vps: tuple[bytes, ...]
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]

    def __contains__(self, unit: bytes) -> bool:
        """Whether a unit is one of these sets."""
        return unit in self.sps or unit in self.pps or unit in self.vps

    def __add__(self, other: Sets) -> Sets:
        """The sets of both, without duplicates."""
        return Sets(*(tuple(dict.fromkeys(own + more)) for own, more in zip(self.all, other.all, strict=True)))

    @property
    def all(self) -> tuple[tuple[bytes, ...], ...]:
        """VPS, SPS and PPS."""
        return self.vps, self.sps, self.pps


def ids_h264(sets: Sets) -> tuple[set[int], set[int]]:
    """The ids of the SPS and of the PPS."""
    sps = set()
    for unit in sets.sps:
        bits = Bits(unit, 1)
        bits.read(24)
        sps.add(bits.read_ue())
    return sps, {Bits(unit, 1).read_ue() for unit in sets.pps}


def ids_hevc(sets: Sets) -> tuple[set[int], set[int], set[int]]:
    """The ids of the VPS, of the SPS and of the PPS."""
    sps = set()
    for unit in sets.sps:
        bits = Bits(unit, 2)
        sps.add(_to_sps_id(bits))
    return {Bits(unit, 2).read(4) for unit in sets.vps}, sps, {Bits(unit, 2).read_ue() for unit in sets.pps}


def _to_sps_id(bits: Bits) -> int:
    bits.read(4)
    if layers := bits.read(3):
        # Rare: temporal layers, each with flags and perhaps a profile and level of its own (7.3.3).
        bits.read(1 + 96)
        flags = [(bits.read(1), bits.read(1)) for _ in range(layers)]
        bits.read(2 * (8 - layers))
        for profile, level in flags:
            bits.read(88 * profile + 8 * level)
    else:
        bits.read(1 + 96)
    return bits.read_ue()


def sets_of_units(codec: str, units: list[bytes]) -> Sets:
    """The parameter sets among these units."""
    if codec == "av1":
        return Sets((), tuple(unit for unit in units if unit[0] >> 3 & 15 == obu.SEQUENCE), ())
    if codec == "h264":
        kinds = [unit[0] & 31 for unit in units]
        numbers = (-1, 7, 8)
    else:
        kinds = [unit[0] >> 1 & 63 for unit in units]
        numbers = (32, 33, 34)
    return Sets(*(tuple(unit for unit, kind in zip(units, kinds, strict=True) if kind == number) for number in numbers))


def sets_of_header(codec: str, header: bytes) -> tuple[Sets, int]:
    """The sets in a track's header, and the bytes of a unit's length; 0 if start codes separate the units."""
    if codec == "av1":
        return sets_of_units(codec, obu.units_of_header(header)), 4
    if header[:1] != b"\1":
        return sets_of_units(codec, split_by_start_code(header)), 0
    return (_avcc if codec == "h264" else _hvcc)(header)


def _avcc(header: bytes) -> tuple[Sets, int]:
    at, found = 6, []
    for count in (header[5] & 31, None):
        number = header[at] if count is None else count
        at += count is None
        units = []
        for _ in range(number):
            end = at + 2 + int.from_bytes(header[at : at + 2], "big")
            units.append(header[at + 2 : end])
            at = end
        found.append(tuple(units))
    return Sets((), *found), (header[4] & 3) + 1


def _hvcc(header: bytes) -> tuple[Sets, int]:
    found: dict[int, list[bytes]] = {}
    at = 23
    for _ in range(header[22]):
        kind, count = header[at] & 63, int.from_bytes(header[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            end = at + 2 + int.from_bytes(header[at : at + 2], "big")
            found.setdefault(kind, []).append(header[at + 2 : end])
            at = end
    return Sets(*(tuple(found.get(kind, ())) for kind in (32, 33, 34))), (header[21] & 3) + 1


def avcc(sets: Sets, extension: bytes) -> bytes:
    """A header of these sets, lengths in four bytes; `extension` is what an encoder's header of the same profile ends with.

    The profile is that of the first set, the level the highest of all. BadUnits if there are too many sets.
    """
    profile, compatible = sets.sps[0][1], sets.sps[0][2]
    level = max(sps[3] for sps in sets.sps)
    if len(sets.sps) > 31 or len(sets.pps) > 255:
        raise BadUnits("there are too many parameter sets")
    head = bytes([1, profile, compatible, level, 255, 224 | len(sets.sps)])
    return head + _listed(sets.sps) + bytes([len(sets.pps)]) + _listed(sets.pps) + extension


def avcc_extension(header: bytes) -> bytes:
    """What follows the sets in an avcC: bit depth and chroma sampling of the high profiles."""
    if header[:1] != b"\1":
        return b""
    sets, _ = _avcc(header)
    return header[7 + sum(2 + len(unit) for units in sets.all for unit in units) :]


def hvcc(sets: Sets, like: bytes) -> bytes:
    """A header of these sets, with the profile and level in them; the rest comes from a header of the same format."""
    head = bytearray(like[:23])
    levels: list[int] = []
    for unit in sets.sps:
        bits = Bits(unit, 2)
        bits.read(8)
        profile = bits.read(96).to_bytes(12, "big")
        if not levels:
            head[1:13] = profile
        levels.append(profile[11])
    head[12] = max(levels)
    head[21] |= 3
    # Arrays that hold all sets of their kind (bit 7): none comes within the samples.
    arrays = [(32, sets.vps), (33, sets.sps), (34, sets.pps)]
    head[22] = len(arrays)
    return bytes(head) + b"".join(
        bytes([128 | kind]) + len(units).to_bytes(2, "big") + _listed(units) for kind, units in arrays
    )


def _listed(units: tuple[bytes, ...]) -> bytes:
    return b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
