"""H.264 whose pictures are coded field by field (PAFF), which no encoder at hand makes: intra pictures of raw samples.

ITU-T H.264, 7.3.2 (parameter sets), 7.3.3 (slice header), 7.3.5 (I_PCM).
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from footage.clips import BITS
from footage.recordings import GREY, HEIGHT, SECONDS, WIDTH
from vidd.media.bitstream.nal import escape, exp_golomb, to_bytes

_ACROSS, _DOWN = WIDTH // 16, HEIGHT // 32
_MAIN, _LEVEL = 77, 30


def recording(path: Path, seconds: float = SECONDS, *, paired: bool = True) -> Path:
    """The picture of `recordings` at 25 frames a second, without sound; a keyframe every second.

    A sample holds both fields of a frame (`paired`, as cameras write it) or one.
    """
    stream = path.with_suffix(".h264")
    frames = [_frame(number) for number in range(round(seconds * 25))]
    stream.write_bytes(b"".join(frames))
    with av.open(str(stream), format="h264") as file, av.open(str(path), "w") as out:
        made = out.add_stream_from_template(file.streams.video[0])
        for number, frame in enumerate(frames):
            at = frame.rindex(b"\0\0\0\1")
            for field, data in enumerate([frame] if paired else [frame[:at], frame[at:]]):
                packet = av.Packet(data)
                packet.stream, packet.time_base = made, Fraction(1, 50)
                packet.pts = packet.dts = 2 * number + field
                packet.duration = 2 if paired else 1
                packet.is_keyframe = not number % 25 and not field
                out.mux_one(packet)
    return path


def _frame(number: int) -> bytes:
    idr, picture = number % 25 == 0, _picture(number)
    sets = [_sequence(), _parameters()] if idr else []
    fields = [_field(picture[field::2], number % 25, bottom=field, idr=idr and not field) for field in (0, 1)]
    return b"".join(map(_unit, sets + fields))


def _picture(number: int) -> list[bytes]:
    columns = b"".join(bytes([235 if number >> bit & 1 else 16]) * 8 for bit in range(BITS))
    lit = 235 if number % 25 < 5 else 40
    return [columns] * (HEIGHT // 2) + [bytes([GREY]) * (WIDTH // 2) + bytes([lit]) * (WIDTH // 2)] * (HEIGHT // 2)


def _unit(unit: bytes) -> bytes:
    return b"\0\0\0\1" + unit[:1] + escape(unit[1:])


def _sequence() -> bytes:
    bits = f"{_MAIN:08b}{0:08b}{_LEVEL:08b}" + exp_golomb(0)
    bits += (
        exp_golomb(1) + exp_golomb(2) + exp_golomb(1) + "0"
    )  # 5 bits of frame_num, order by decoding, one reference, no gaps
    bits += exp_golomb(_ACROSS - 1) + exp_golomb(_DOWN - 1) + "00100"  # fields, not by macroblocks; no cropping, no VUI
    return b"\x67" + to_bytes(bits)


def _parameters() -> bytes:
    return b"\x68" + to_bytes(
        exp_golomb(0) + exp_golomb(0) + "00" + exp_golomb(0) * 3 + "000" + exp_golomb(0) * 3 + "000"
    )


def _field(rows: list[bytes], number: int, *, bottom: int, idr: bool) -> bytes:
    bits = exp_golomb(0) + exp_golomb(7) + exp_golomb(0) + f"{number:05b}" + f"1{bottom}"
    bits += exp_golomb(0) + "00" if idr else "0"
    bits += exp_golomb(0)
    data = b""
    for at in range(_ACROSS * _DOWN):
        bits += exp_golomb(25)
        bits += "0" * (-len(bits) % 8)
        data += int(bits, 2).to_bytes(len(bits) // 8, "big")
        bits = ""
        down, across = divmod(at, _ACROSS)
        data += b"".join(row[16 * across : 16 * across + 16] for row in rows[16 * down : 16 * down + 16])
        data += bytes([128]) * 128
    return bytes([0x65 if idr else 0x61]) + data + b"\x80"
