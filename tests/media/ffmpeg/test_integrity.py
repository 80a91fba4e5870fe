"""Packets whose bytes cannot be."""

import pytest

from vidd.media.ffmpeg.integrity import damage, length_size


def sample(*units, size=4):
    return b"".join(len(unit).to_bytes(size, "big") + unit for unit in units)


WHOLE = sample(b"\x06\x05\x00\x00\x03\x01", b"\x65" + b"\x88\x00\x00\x03\x00\xff" * 50)


def test_whole_packets_are_whole():
    assert damage(WHOLE, 4) is None
    assert damage(sample(b"\x41\x9a", size=2), 2) is None
    assert damage(b"", 4) is None


@pytest.mark.parametrize("at", [20, 100, 250])
def test_a_hole_of_zeros_is_found_wherever_it_is(at):
    data = bytearray(WHOLE)
    data[at : at + 40] = bytes(40)
    assert damage(bytes(data), 4) == "its packets have holes"


def test_a_packet_whose_end_is_zeros_has_a_hole_and_a_little_padding_is_none():
    assert damage(sample(b"\x41" + b"\x9a" * 50 + bytes(100)), 4) == "its packets have holes"
    assert damage(sample(b"\x41" + b"\x9a" * 50 + bytes(8)), 4) is None


def test_a_length_that_is_zero_or_goes_beyond_the_packet_is_torn():
    assert damage(bytes(50), 4) == "its packets are torn"
    assert damage(WHOLE[:-10], 4) == "its packets are torn"


def test_the_lengths_size_stands_in_the_streams_header():
    avcc = bytes([1, 100, 0, 31, 0xFF, 0xE1])
    assert length_size("h264", avcc) == 4
    assert length_size("h264", avcc[:4] + b"\xfd") == 2
    assert length_size("hevc", bytes([1]) + bytes(20) + b"\xf3" + bytes(4)) == 4
    assert length_size("h264", b"\0\0\0\1\x67") is None
    assert length_size("h264", None) is None
    assert length_size("vp9", avcc) is None
