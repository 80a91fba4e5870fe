"""Parsers of codecs and containers, on bytes of every kind: they read what was written, or refuse it in their own words."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidd.media.bitstream import aac, nal, obu
from vidd.media.bitstream.mp4_boxes import Layout, find_index
from vidd.media.bitstream.mp4_index import needed
from vidd.model.byte_ranges import NotInParts
from vidd.model.span import Span

UNITS = st.lists(st.binary(min_size=1, max_size=40).filter(lambda unit: unit[-1]), min_size=1, max_size=8)


@given(UNITS)
def test_units_with_lengths_are_read_as_they_were_written(units):
    assert nal.split_by_length(nal.to_sample(units), 4) == units


@given(UNITS)
def test_units_between_start_codes_are_read_as_they_were_written(units):
    escaped = [unit[:1] + nal.escape(unit[1:]) for unit in units if unit[0]]
    assert nal.split_by_start_code(b"".join(b"\0\0\0\1" + unit for unit in escaped)) == escaped


@given(st.binary(max_size=200))
def test_an_escaped_payload_has_no_start_code_and_comes_back_whole(payload):
    escaped = nal.escape(payload)
    assert not any(code in escaped for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))
    assert nal.unescape(escaped) in {payload, payload + b"\3"[:0]}


@given(st.binary(max_size=80), st.sampled_from([1, 2, 4]))
def test_bytes_that_are_no_units_are_refused_in_our_words(data, size):
    try:
        units = nal.split_by_length(data, size)
    except nal.BadUnits:
        return
    assert sum(size + len(unit) for unit in units) == len(data)


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_exp_golomb_numbers_are_read_as_they_were_written(first, second):
    text = nal.exp_golomb(first) + nal.exp_golomb(second) + "1"
    bits = nal.Bits(nal.escape(int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")), 0)
    assert (bits.read_ue(), bits.read_ue()) == (first, second)


@given(st.binary(max_size=60))
def test_numbers_of_any_bytes_end_or_are_refused(data):
    bits = nal.Bits(data, 0)
    with pytest.raises(nal.BadUnits):
        for _ in range(8 * len(data) + 1):
            bits.read_ue()


@given(st.binary(max_size=60), st.booleans())
def test_a_keyframe_of_any_bytes_has_a_kind_or_is_refused(data, hevc):
    kind = nal.kind_hevc if hevc else nal.kind_h264
    try:
        assert isinstance(kind([data] if data else []), str)
    except nal.BadUnits:
        assert data


OBUS = st.lists(
    st.tuples(st.integers(0, 15), st.none() | st.integers(0, 255), st.binary(max_size=300)).map(
        lambda made: (
            bytes([made[0] << 3 | (4 if made[1] is not None else 0)])
            + (bytes([made[1]]) if made[1] is not None else b"")
            + made[2]
        )
    ),
    max_size=6,
)


@given(OBUS)
def test_obus_are_read_as_they_were_written(units):
    assert obu.split(obu.to_sample(units)) == units


@given(st.binary(max_size=80))
def test_bytes_that_are_no_obus_are_refused_in_our_words(data):
    try:
        units = obu.split(data)
    except nal.BadUnits:
        return
    assert sum(map(len, units)) <= len(data)
    assert obu.kind(units) in {"idr", "other"}


@given(st.sampled_from(aac._RATES), st.integers(1, 7))
def test_an_aac_header_says_what_was_written_into_it(rate, channels):
    kind = aac.Format(rate, channels)
    assert aac.format_of_header(kind.header) == kind


@given(st.sampled_from(range(len(aac._RATES))), st.integers(1, 7), st.binary(min_size=1, max_size=50), st.booleans())
def test_an_adts_header_is_read_and_taken_off(rate, channels, payload, protected):
    length = len(payload) + (9 if protected else 7)
    header = bytes(
        [0xFF, 0xF0 | (not protected), 1 << 6 | rate << 2 | channels >> 2, (channels & 3) << 6 | length >> 11]
    )
    header += bytes([length >> 3 & 255, (length & 7) << 5 | 0x1F, 0xFC]) + (b"\0\0" if protected else b"")
    assert aac.format_of_packet(header + payload) == aac.Format(aac._RATES[rate], channels)
    assert aac.without_header(header + payload) == payload


@given(st.binary(max_size=40))
def test_any_bytes_are_an_aac_header_or_none(data):
    assert isinstance(aac.format_of_header(data), aac.Format | None)
    assert isinstance(aac.format_of_packet(data), aac.Format | None)
    assert data.endswith(aac.without_header(data))


def box(kind: bytes, body: bytes, *, long: bool = False) -> bytes:
    if long:
        return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
    return struct.pack(">I4s", len(body) + 8, kind) + body


def index_of(data: bytes):
    async def read(start: int, end: int) -> bytes:
        assert 0 <= start <= end <= len(data)
        return data[start:end]

    return asyncio.run(find_index(read, len(data)))


FREE = st.tuples(st.sampled_from([b"free", b"skip", b"wide", b"mdat"]), st.binary(max_size=30), st.booleans()).filter(
    lambda made: made[1][4:8] not in {b"mvhd", b"cmov"}
)


@given(st.lists(FREE, max_size=5), st.lists(FREE, max_size=5), st.binary(max_size=60))
def test_the_index_of_an_mp4_file_is_found_wherever_it_lies(before, after, moov):
    def boxes(made):
        return b"".join(box(kind, body, long=long) for kind, body, long in made)

    found = index_of(box(b"ftyp", b"isom") + boxes(before) + box(b"moov", moov) + boxes(after))
    assert found.moov == moov
    assert sorted(found.ends) == list(found.ends)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: box(b"ftyp", b"isom") + data))
def test_bytes_that_are_no_mp4_file_are_fetched_whole(data):
    with pytest.raises(NotInParts):
        index_of(data)


def atoms(depth: int):
    kinds = st.sampled_from(
        b"mvhd trak mdia mdhd hdlr minf stbl stsd stts stss stsc stsz stco co64 ctts edts elst".split()
    )
    body = st.binary(max_size=120)
    if depth:
        body |= st.lists(atoms(depth - 1), max_size=6).map(b"".join)
    return st.builds(box, kinds, body)


@given(st.lists(atoms(4), max_size=4).map(b"".join), st.binary(max_size=30))
def test_an_index_of_any_boxes_is_read_or_the_file_is_fetched_whole(moov, tail):
    clock = box(b"mvhd", bytes(12) + (1000).to_bytes(4, "big") + bytes(84))
    for content in (moov + tail, clock + moov + tail):
        try:
            ranges = needed(Layout(content, ((0, 8),), (10**6,)), 10**6, Span(10.0, 20.0), 1.0)
        except NotInParts as unusual:
            assert unusual.sentence
        else:
            assert all(0 <= start < end <= 10**6 for start, end in ranges)
