"""AV1's units, and the header of a track that holds parts of two encoders."""

import pytest

from vidd.media.bitstream import obu
from vidd.media.bitstream.nal import BadUnits

SEQUENCE = bytes.fromhex("0802000005196ffe257c8020")
KEY, INTER, HIDDEN_KEY, SHOWN_AGAIN = b"\x30\x10ab", b"\x30\x30ab", b"\x30\x00ab", b"\x18\x80"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 300, 20_000])
def test_units_come_back_with_their_lengths(size):
    parts = [SEQUENCE, b"\x30" + bytes(size), b"\x34\x20" + bytes(size)]
    assert obu.split(obu.to_sample(parts)) == parts


def test_the_last_unit_of_a_sample_needs_no_length():
    assert obu.split(obu.to_sample([SEQUENCE]) + KEY) == [SEQUENCE, KEY]


@pytest.mark.parametrize(
    "data", [b"\x0a\x05ab", b"\x8a\x01a", b"\x0a\xff\xff", b"\x0a", b"\x36", b"\x0a" + b"\xff" * 9]
)
def test_what_holds_no_units_is_bad(data):
    with pytest.raises(BadUnits):
        obu.split(data)


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ([SEQUENCE, KEY], "idr"),
        ([b"\x10", SEQUENCE, KEY], "idr"),
        ([SEQUENCE, INTER], "other"),
        ([SEQUENCE, HIDDEN_KEY, INTER], "other"),
        ([SHOWN_AGAIN], "other"),
        ([b"\x34\x08\x10ab"], "other"),
        ([b"\x34\x20\x10ab"], "idr"),
        ([SEQUENCE], "other"),
        ([b"\x30"], "other"),
    ],
)
def test_copying_may_start_only_with_a_keyframe_that_is_shown_at_once(parts, kind):
    assert obu.kind(parts) == kind


def test_a_header_has_the_sequence_of_what_is_copied_and_the_highest_level():
    own = bytes.fromhex("81050c10") + obu.to_sample([b"\x08old"])
    other = bytes.fromhex("81088c00") + obu.to_sample([b"\x08other"])
    made = obu.av1c(own, [other], [SEQUENCE])
    assert made[:4].hex() == "81088c00"
    assert obu.units_of_header(made) == [SEQUENCE]


@pytest.mark.parametrize("header", [b"", b"\x81\x00", b"\x01\x05\x0c\x00"])
def test_another_header_is_not_taken_for_one(header):
    with pytest.raises(BadUnits):
        obu.units_of_header(header)
