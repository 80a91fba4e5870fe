"""What ffmpeg says, as data."""

import pytest

from vidd.media.ffmpeg import parse

BLOCK = """\
frame=120
fps=59.40
stream_0_0_q=28.0
bitrate= 311.2kbits/s
total_size=196656
out_time_us=4800000
out_time_ms=4800000
out_time=00:00:04.800000
dup_frames=0
drop_frames=0
speed=2.38x
progress=continue
"""


def blocks(text: str) -> list[parse.Progress]:
    collecting = parse.ProgressBlocks()
    return [block for line in text.splitlines() if (block := collecting.feed(line))]


def test_a_block_of_progress_tells_seconds_speed_bytes_and_pictures():
    assert blocks(BLOCK) == [parse.Progress(4.8, 2.38, 196656, 120)]


def test_what_is_not_known_yet_is_none():
    text = "frame=0\ntotal_size=N/A\nout_time_us=N/A\nspeed=N/A\nprogress=continue\n"
    assert blocks(text) == [parse.Progress(None, None, None, 0)]


def test_a_time_before_the_start_is_the_start():
    assert blocks("out_time_us=-21333\nprogress=continue\n")[0].seconds == 0


def test_a_block_does_not_keep_what_the_one_before_said():
    first, last = blocks(BLOCK + "frame=130\nprogress=end\n")
    assert (last.frame, last.seconds, last.last) == (130, None, True)
    assert not first.last


def test_lines_that_are_no_fields_are_passed_over():
    assert blocks("what?\n\n=\n" + BLOCK)[0].frame == 120


@pytest.mark.parametrize(
    ("line", "version"),
    [
        (
            "ffmpeg version n9.0.2-17-g2a571b6068-20260930 Copyright (c) 2000-2026 the FFmpeg developers",
            "n9.0.2-17-g2a571b6068-20260930",
        ),
        ("ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026 the FFmpeg developers", "5.1.9-0+deb12u1"),
        ("sh: not found", ""),
    ],
)
def test_the_version(line, version):
    assert parse.version([line, "built with gcc 16"]) == version


def test_the_names_of_encoders_and_filters():
    listed = """\
Encoders:
 V..... = Video
 .F.... = Frame-level multithreading
 ------
 V....D libx264              libx264 H.264 / AVC / MPEG-4 AVC (codec h264)
 A....D aac                  AAC (Advanced Audio Coding)
 VFS..D dnxhd                VC3/DNxHD
Filters:
  T. = Timeline support
  | = Source or sink filter
 T. afade             A->A       Fade in/out input audio.
 .. split             V->N       Pass on the input to N video outputs.
 TSC colorbalance     V->V       Adjust the color balance.
"""
    assert parse.listed_names(listed.splitlines()) == {"libx264", "aac", "dnxhd", "afade", "split", "colorbalance"}


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (
            (
                "[in#0 @ 0x55d0] Error opening input: Invalid data found when processing input\n"
                "Error opening input file x.mp4.\n"
                "Error opening input files: Invalid data found when processing input\n"
            ),
            "Error opening input: Invalid data found when processing input",
        ),
        (
            "[libx264 @ 0x1] [enc @ 0x2] width not divisible by 2 (97x65)\nConversion failed!\n",
            "width not divisible by 2 (97x65)",
        ),
        ("Conversion failed!\n", "Conversion failed!"),
        ("", "it gave no reason"),
        ("bad \x1b[31mname", "bad ?[31mname"),
        ("x" * 500, "x" * 200),
    ],
)
def test_the_reason_is_the_last_line_that_tells_one(stderr, reason):
    assert parse.reason(stderr) == reason


def test_a_full_disk_is_known_by_its_words():
    assert parse.is_disk_full("[out#0/mp4 @ 0x1] Error writing trailer: No space left on device")
    assert parse.is_disk_full("av_interleaved_write_frame(): Disk quota exceeded")
    assert not parse.is_disk_full("Invalid data")
