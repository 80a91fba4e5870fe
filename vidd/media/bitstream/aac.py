"""Reads the format of AAC from a track's header and from the headers of packets in transport streams. Pure.

ISO/IEC 14496-3: AudioSpecificConfig 1.6.2.1, adts_frame 1.A.2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

SAMPLES_PER_PACKET = 1024
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


@dataclass(frozen=True, slots=True)
class Format:
    """Plain AAC (LC, 1024 samples a packet): rate (samples a second) and number of channels."""

    rate: int
    channels: int

    @property
    def header(self) -> bytes:
        """The AudioSpecificConfig."""
        return (2 << 11 | _RATES.index(self.rate) << 7 | self.channels << 3).to_bytes(2, "big")


def format_of_header(header: bytes) -> Format | None:
    """The format in an AudioSpecificConfig; None if it is not plain AAC."""
    if len(header) < 2:
        return None
    bits = int.from_bytes(header[:2], "big")
    kind, rate, channels, flags = bits >> 11, bits >> 7 & 15, bits >> 3 & 15, bits & 7
    return _format(kind, rate, channels) if not flags else None


def format_of_packet(packet: bytes) -> Format | None:
    """The format in the ADTS header of a packet; None if there is none, or it is not plain AAC."""
    if not has_header(packet) or packet[6] & 3:
        return None
    return _format((packet[2] >> 6) + 1, packet[2] >> 2 & 15, (packet[2] & 1) << 2 | packet[3] >> 6)


def has_header(packet: bytes) -> bool:
    """Whether a packet starts with an ADTS header."""
    return len(packet) > 7 and packet[0] == 0xFF and packet[1] & 0xF6 == 0xF0


def without_header(packet: bytes) -> bytes:
    """A packet without its ADTS header."""
    return packet[7 if packet[1] & 1 else 9 :] if has_header(packet) else packet


def _format(kind: int, rate: int, channels: int) -> Format | None:
    if kind != 2 or rate >= len(_RATES) or not 1 <= channels <= 7:
        return None
    return Format(_RATES[rate], channels)
