"""Which bytes of a file a cut needs, told from an index made by hand: an index is foreign, and lies as it likes."""

import struct
import tracemalloc

import pytest

from vidd.media.bitstream import mp4_index
from vidd.model.byte_ranges import NotInParts, total_size
from vidd.model.span import Span

HOUR = 3600
SAMPLE, PER_CHUNK = 1000, 25


def box(kind, *body):
    data = b"".join(body)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def table(kind, *numbers, form="I", columns=1):
    return box(kind, struct.pack(f">II{len(numbers)}{form}", 0, len(numbers) // columns, *numbers))


def a_track(
    *,
    seconds=HOUR,
    handler=b"vide",
    offset=0,
    stsz=None,
    stts=None,
    ctts=b"",
    stsc=None,
    stss=None,
    chunks=None,
    elst=b"",
    dref=b"",
    scale=25,
    extra=b"",
):
    """A track of 25 samples a second of 1000 bytes, a second in a chunk, a keyframe every 4 seconds."""
    count = seconds * 25
    stbl = box(
        b"stbl",
        stsz if stsz is not None else box(b"stsz", struct.pack(">III", 0, 0, count), struct.pack(">I", SAMPLE) * count),
        table(b"stts", count, 1, columns=2) if stts is None else stts,
        ctts,
        table(b"stsc", 1, PER_CHUNK, 1, columns=3) if stsc is None else stsc,
        table(b"stss", *range(1, count + 1, 100)) if stss is None else stss,
        chunks if chunks is not None else table(b"co64", *range(offset, offset + count * SAMPLE, 25000), form="Q"),
    )
    minf = box(b"minf", box(b"dinf", dref) if dref else b"", stbl)
    hdlr = box(b"hdlr", bytes(8) + handler + bytes(13))
    mdhd = box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, scale, count, 0, 0))
    return box(b"trak", box(b"edts", elst) if elst else b"", box(b"mdia", mdhd, hdlr, minf), extra)


def a_moov(*tracks, more=b"", scale=1000):
    return box(b"moov", box(b"mvhd", struct.pack(">IIII", 0, 0, 0, scale) + bytes(84)), *tracks, more)


class Sparse:
    """A file of which only some bytes were made up; `seen` are the reads."""

    def __init__(self, *parts, size):
        self.parts, self.size, self.seen = parts, size, []

    async def read(self, start, end):
        self.seen.append((start, end))
        assert 0 <= start < end <= self.size
        data = bytearray(end - start)
        for at, part in self.parts:
            for a in range(max(at, start), min(at + len(part), end)):
                data[a - start] = part[a - at]
        return bytes(data)


FTYP = box(b"ftyp", b"isom" + bytes(8))


def with_index_last(moov, media):
    """ftyp, a media box with a 64-bit size, moov."""
    head = FTYP + struct.pack(">I4sQ", 1, b"mdat", 16 + media)
    at = len(FTYP) + 16 + media
    return Sparse((0, head), (at, moov), size=at + len(moov))


BEGIN = len(FTYP) + 16


async def needed(file, start, end, margin=1.0):
    layout = await mp4_index.find_index(file.read, file.size)
    return mp4_index.needed(layout, file.size, Span(start, end), margin)


async def of_moov(*tracks, more=b"", start=1000.0, end=1010.0, media=HOUR * 25000):
    return await needed(with_index_last(a_moov(*tracks, more=more), media), start, end)


async def test_the_bytes_between_the_keyframe_before_and_a_little_after_are_needed():
    found = await of_moov(a_track(offset=BEGIN))
    assert found[0][0] == 0
    (cut,) = found[1:-1]
    # A second that ffmpeg seeks before, one of margin, and the keyframe before that; 64 pictures after the last.
    assert cut == (BEGIN + 996 * 25000, BEGIN + (1010 * 25 + 65) * SAMPLE)
    assert total_size(found[-1:]) > 300_000


async def test_an_index_behind_eight_hours_is_found_without_reading_them():
    file = with_index_last(a_moov(a_track(seconds=60, offset=BEGIN)), 2**36)
    await needed(file, 10.0, 20.0)
    assert len(file.seen) <= 4
    assert sum(end - start for start, end in file.seen) < 2 * len(a_moov(a_track(seconds=60)))


async def test_sound_beside_the_picture_is_needed_from_before_the_keyframe():
    sound = a_track(handler=b"soun", offset=BEGIN + HOUR * 25000, stss=b"")
    found = await of_moov(a_track(offset=BEGIN), sound, media=2 * HOUR * 25000)
    cut = [byte_range for byte_range in found if byte_range[0] > BEGIN + HOUR * 25000 + 10**6]
    assert cut[0][0] == BEGIN + HOUR * 25000 + int(995.5 * 25) * SAMPLE
    assert cut[0][1] >= BEGIN + HOUR * 25000 + 1011 * 25000


async def test_sound_of_a_fixed_size_is_taken_by_the_chunk_whatever_its_units():
    # QuickTime writes 1 for the size of a sample that is four bytes.
    at = BEGIN + HOUR * 25000
    sound = a_track(
        handler=b"soun",
        stsz=box(b"stsz", struct.pack(">III", 0, 1, HOUR * 48000)),
        stts=table(b"stts", HOUR * 48000, 1, columns=2),
        stsc=table(b"stsc", 1, 48000, 1, columns=3),
        chunks=table(b"co64", *range(at, at + HOUR * 192000, 192000), form="Q"),
        stss=b"",
        scale=48000,
    )
    found = await of_moov(a_track(offset=BEGIN), sound, media=HOUR * (25000 + 192000))
    cut = [byte_range for byte_range in found if byte_range[0] > at + 10**6]
    assert cut[0] == (at + 995 * 192000, at + 1012 * 192000)


async def test_a_track_that_begins_later_is_looked_for_where_its_edit_puts_it():
    late = box(b"elst", struct.pack(">IIIiIIiI", 0, 2, 100_000, -1, 0x10000, HOUR * 1000, 0, 0x10000))
    sound = a_track(handler=b"soun", offset=BEGIN + HOUR * 25000, stss=b"", elst=late)
    found = await of_moov(a_track(offset=BEGIN), sound, media=2 * HOUR * 25000)
    cut = [byte_range for byte_range in found if byte_range[0] > BEGIN + HOUR * 25000 + 10**6]
    assert cut[0][0] == BEGIN + HOUR * 25000 + int(895.5 * 25) * SAMPLE


async def test_a_film_that_begins_in_the_middle_of_its_media_is_looked_for_there():
    elst = box(b"elst", struct.pack(">IIIiI", 0, 1, 900_000, 2000 * 25, 0x10000))
    found = await of_moov(a_track(offset=BEGIN, elst=elst), start=100.0, end=110.0)
    assert found[1][0] == BEGIN + 2000 * 25000
    assert found[2] == (BEGIN + 2096 * 25000, BEGIN + (2110 * 25 + 65) * SAMPLE)


async def test_pictures_that_are_shown_long_after_they_are_decoded_are_read_that_much_earlier():
    delays = table(b"ctts", HOUR * 25 - 1, 0, 1, 125, columns=2)
    found = await of_moov(a_track(offset=BEGIN, ctts=delays))
    assert found[1][0] == BEGIN + 992 * 25000
    assert found[1][1] >= BEGIN + 1016 * 25000


async def test_many_stretches_become_few_requests():
    # Picture and sound far apart, chunk by chunk.
    offsets = range(BEGIN, BEGIN + HOUR * 25 * SAMPLE * 100, 25000 * 100)
    sparse = a_track(chunks=table(b"co64", *offsets, form="Q"))
    file = with_index_last(a_moov(sparse), HOUR * 25000 * 100)
    assert len(await needed(file, 100.0, 1800.0)) <= 512


ODD = {
    "a table cut off": (a_track(stsz=box(b"stsz", struct.pack(">III", 0, 0, HOUR * 25), bytes(100))), "cut off"),
    "a count of billions": (a_track(stsz=box(b"stsz", struct.pack(">III", 0, 0, 2**32 - 1))), "cut off"),
    "billions of a fixed size": (a_track(stsz=box(b"stsz", struct.pack(">III", 0, 9, 2**32 - 1))), "does not say when"),
    "fewer times than samples": (a_track(stts=table(b"stts", 10, 1, columns=2)), "does not say when"),
    "time that stands still and jumps": (a_track(stts=table(b"stts", HOUR * 25, 2**31, columns=2)), "does not say when"),
    "no times": (a_track(stts=b""), "no stts"),
    "more samples in chunks": (a_track(stsc=table(b"stsc", 1, 99, 1, columns=3)), "other samples"),
    "chunks of nothing": (a_track(stsc=table(b"stsc", 1, 0, 1, columns=3)), "where each sample"),
    "chunks that count backwards": (a_track(stsc=table(b"stsc", 1, 25, 1, 9, 25, 1, 3, 25, 1, columns=3)), "where each"),
    "no chunks": (a_track(chunks=b""), "no stco"),
    "no keyframe": (a_track(stss=table(b"stss")), "no keyframes"),
    "keyframes in disorder": (a_track(stss=table(b"stss", 1, 500, 200)), "no keyframes"),
    "several edits": (
        a_track(elst=box(b"elst", struct.pack(">IIIiIIiI", 0, 2, 9, 0, 0x10000, 9, 5000, 0x10000))), "several edits",
    ),
    "half the speed": (a_track(elst=box(b"elst", struct.pack(">IIIiI", 0, 1, 9, 0, 0x8000))), "several edits"),
    "many edits": (a_track(elst=box(b"elst", struct.pack(">II", 0, 2**31))), "many edits"),
    "a table twice": (a_track(extra=box(b"mdia", bytes(8))), "twice"),
    "packed sizes": (a_track(stsz=box(b"stz2", bytes(12))), "rare kind"),
    "no clock": (a_track(scale=0), "rare kind"),
    "data elsewhere": (
        a_track(dref=box(b"dref", struct.pack(">II", 0, 1), box(b"url ", bytes(4)))), "another file",
    ),
    "delays of minutes": (a_track(ctts=table(b"ctts", HOUR * 25, 9999, columns=2)), "long after"),
    "only sound": (a_track(handler=b"soun"), "no video"),
    "bytes behind the end": (a_track(offset=2**40), "behind its end"),
}  # fmt: skip


@pytest.mark.parametrize(("track", "why"), ODD.values(), ids=ODD)
async def test_an_index_that_is_odd_has_the_file_fetched_whole(track, why):
    with pytest.raises(NotInParts, match=why):
        await of_moov(track)


@pytest.mark.parametrize(
    ("moov", "why"),
    [
        (a_moov(a_track(), more=box(b"mvex")), "fragmented"),
        (box(b"moov", box(b"cmov", bytes(40))), "compressed"),
        (a_moov(*[a_track(seconds=4)] * 65), "too many tracks"),
        (a_moov(a_track(), scale=0), "no clock"),
        (a_moov(a_track(), more=struct.pack(">I4s", 2**31, b"udta")), "longer than"),
        (a_moov(a_track(), more=box(b"free") * 600), "too many boxes"),
    ],
)
async def test_a_film_that_is_odd_is_fetched_whole(moov, why):
    with pytest.raises(NotInParts, match=why):
        await needed(with_index_last(moov, HOUR * 25000), 10.0, 20.0)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x1aE\xdf\xa3" + bytes(500), "no MP4"),
        (b"G" * 500, "no MP4"),
        (FTYP + box(b"mdat", bytes(100)), r"no index \(moov\)"),
        (FTYP + box(b"moof", bytes(100)), "fragmented"),
        (FTYP + box(b"free", a_moov(a_track(seconds=4))[8:]), "hidden"),
        (FTYP + a_moov(a_track(seconds=4)) * 2, "two indices"),
        (FTYP + struct.pack(">I4s", 10**6, b"mdat") + bytes(99), "longer than"),
        (FTYP + struct.pack(">I4s", 3, b"mdat") + bytes(99), "longer than"),
        (FTYP + box(b"uuid", bytes(2**20 + 9)) + a_moov(a_track(seconds=4)), "unusual"),
        (FTYP + box(b"wide") * 600, "unusual"),
    ],
)
async def test_a_file_that_is_odd_is_fetched_whole(data, why):
    with pytest.raises(NotInParts, match=why):
        await needed(Sparse((0, data), size=len(data)), 0.5, 1.0)


async def test_a_film_of_no_real_size_costs_no_memory():
    # Counts in runs say 2^32 samples in a few bytes; nothing is spread out for them.
    count = 2**32 - 1
    huge = a_track(
        stsz=box(b"stsz", struct.pack(">III", 0, 1, count)),
        stts=table(b"stts", count, 1, columns=2),
        stsc=table(b"stsc", 1, count, 1, columns=3),
        chunks=table(b"co64", BEGIN, form="Q"),
        stss=table(b"stss", 1),
    )
    tracemalloc.start()
    try:
        assert await of_moov(huge, media=2**33)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
