"""Units of H.264 and HEVC, their parameter sets and slice headers, bit by bit."""

import pytest

from vidd.media.bitstream import aac, nal, parameter_sets
from vidd.media.bitstream.nal import BadUnits, Bits


@pytest.mark.parametrize("payload", [b"\0\0\0", b"\0\0\1\0\0\2", b"a\0\0\0\0\0\3b", b"\0\0\3", b"\0\0\4", b"x\0\0"])
def test_escapes_come_back_and_leave_no_start_code(payload):
    unit = nal.escape(payload)
    assert nal.unescape(unit).removesuffix(b"\3" if payload.endswith(b"\0\0") else b"") == payload
    assert all(code not in unit for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))


@pytest.mark.parametrize("value", [0, 1, 2, 7, 15, 30, 255, 65535])
def test_numbers_are_read_as_they_are_written(value):
    assert Bits(nal.to_bytes(nal.exp_golomb(value)), 0).read_ue() == value


def test_start_codes_and_lengths_part_the_same_units():
    units = [b"\x67abc", b"\x68d", b"\x65\0\0\3\1f"]
    stream = b"\0\0\0\1" + units[0] + b"\0\0\1" + units[1] + b"\0\0\0\1" + units[2]
    assert nal.split_by_start_code(stream) == nal.split_by_length(nal.to_sample(units), 4) == units


def test_a_unit_longer_than_its_packet_is_bad():
    with pytest.raises(BadUnits):
        nal.split_by_length(b"\0\0\0\x09abc", 4)


def test_a_slice_of_x265_is_renamed_by_moving_all_after_the_name_by_one_byte():
    # First slice (1), no_output_of_prior_pics (0), name 0 (1), then data.
    unit = bytes([19 << 1, 1, 0b10110101, 0xAB, 0xCD])
    renamed = nal.rename_hevc(unit, 15, 15, 16)
    bits = Bits(renamed, 2)
    assert (bits.read(1), bits.read(1), bits.read_ue(), bits.read(5)) == (1, 0, 16, 0b10101)
    assert renamed.endswith(b"\xab\xcd")


def test_headers_hold_the_sets_that_were_put_in():
    sets = parameter_sets.Sets((), (b"\x67\x64\0\x1f\xac", b"\x67\x64\0\x28\xad"), (b"\x68\1", b"\x68\2"))
    header = parameter_sets.avcc(sets, b"\xfd\xf8\xf8\0")
    assert parameter_sets.sets_of_header("h264", header) == (sets, 4)
    assert header[3] == 0x28
    assert parameter_sets.avcc_extension(header) == b"\xfd\xf8\xf8\0"


def test_plain_aac_is_known_by_its_header_and_by_that_of_its_packets():
    kind = aac.Format(48000, 2)
    assert kind.header == bytes.fromhex("1190")
    assert aac.format_of_header(bytes.fromhex("119056e500")) == kind
    packet = bytes.fromhex("fff14c80 01 7f fc") + b"sound"
    assert aac.format_of_packet(packet) == kind
    assert aac.without_header(packet) == b"sound"
    assert aac.without_header(b"sound") == b"sound"


@pytest.mark.parametrize("header", ["2b11", "1200", "1194", "f8", ""])
def test_other_aac_is_not_taken_for_plain(header):
    found = aac.format_of_header(bytes.fromhex(header))
    assert found is None or found.rate != 48000


@pytest.mark.parametrize(
    ("units", "kind"),
    [
        (["65"], "idr"),
        (["0606018480", "41"], "recovery"),
        (["06060129", "41"], "refresh"),
        (["0605020102", "41"], "other"),
        (["41"], "other"),
        (["06060184"], "other"),
    ],
)
def test_a_keyframe_that_only_begins_to_renew_the_picture_is_told_from_one_that_recovers_at_once(units, kind):
    assert nal.kind_h264([bytes.fromhex(unit) for unit in units]) == kind
