"""What one reading of a file finds: where it is black, still and silent, how loud it is, and whether it is in sync."""

import asyncio
import os
import re
import subprocess
from dataclasses import replace

import av
import pytest
from footage import clips, damaged

from vidd.media.probe.client import Prober
from vidd.media.verify import client as verify_client
from vidd.media.verify.client import Examiners
from vidd.media.verify.verify import Expected, Origin, inspect, verify

pytestmark = pytest.mark.media

RARE_KEYS = ("-g", 1000, "-keyint_min", 1000, "-sc_threshold", 0)


def film(path, picture="null", sound="copy", *output, seconds=24.0):
    return damaged.recording(path, *output, seconds=seconds, picture=f"{damaged.PICTURE},{picture}", sound=sound)


async def looked(path):
    return (await inspect(clips.ENCODER, path, path.name))[1]


async def test_a_black_picture_is_told_to_the_picture(tmp_path):
    made = film(tmp_path / "in.mp4", "drawbox=t=fill:c=black:enable='between(t,7.28,12.6)'")
    ((begin, end),) = (await looked(made)).black
    # Pictures that no other depends on are left out, so that an end may be one or two of them late.
    assert begin == pytest.approx(7.28, abs=0.081)
    assert end == pytest.approx(12.64, abs=0.081)


@pytest.mark.parametrize(("first", "last"), [(3, 6), (14, 23.9)])
async def test_a_black_picture_between_keyframes_that_are_far_apart_is_found_by_the_packets(tmp_path, first, last):
    made = film(tmp_path / "in.mp4", f"drawbox=t=fill:c=black:enable='between(t,{first},{last})'", "copy", *RARE_KEYS)
    check = await looked(made)
    assert (check.looked, check.apart) == (1, 23.96)
    ((begin, end),) = check.black
    assert begin == pytest.approx(first, abs=0.13)
    assert end == pytest.approx(last, abs=0.13)


async def test_a_black_picture_behind_a_keyframe_that_was_not_looked_at_is_found(tmp_path):
    # Where all moves, keyframes are looked at eight seconds apart: here, where one comes each third second, at 0 and 9 s.
    black = "drawbox=t=fill:c=black:enable='between(t,6,8.2)'"
    made = film(tmp_path / "in.mp4", black, "copy", "-g", 75, "-keyint_min", 75, "-sc_threshold", 0, seconds=20.0)
    ((begin, end),) = (await looked(made)).black
    assert (begin, end) == (pytest.approx(6, abs=0.13), pytest.approx(8.2, abs=0.13))


async def test_a_picture_that_stands_still_is_told_and_one_that_moves_is_not(tmp_path):
    still = "loop=loop=-1:size=1:start=99,trim=duration=24,setpts=N/25/TB"
    check = await looked(film(tmp_path / "still.mp4", still))
    ((begin, end),) = check.frozen
    assert (begin, end) == (pytest.approx(4, abs=2.1), pytest.approx(22, abs=2.1))
    assert (await looked(film(tmp_path / "moves.mp4"))).frozen == ()


async def test_silence_is_told_to_a_few_tenths_of_a_second_and_per_track(tmp_path):
    one = film(tmp_path / "one.mp4", "null", "volume=0:enable='between(t,5,9)'")
    both = tmp_path / "both.mp4"
    clips.ffmpeg("-i", film(tmp_path / "two.mp4"), "-i", one, "-map", "0", "-map", "1:a", "-c", "copy", both)
    first, second = (await looked(both)).silent
    assert first == ()
    assert second[0] == (pytest.approx(5, abs=0.5), pytest.approx(9, abs=0.5))


async def test_a_hole_in_the_sound_is_silence_and_moves_nothing_that_comes_after_it(tmp_path):
    whole = film(tmp_path / "whole.mp4", "null", "volume=0:enable='between(t,15,18)'")
    path = tmp_path / "hole.mkv"
    with av.open(str(whole)) as source, av.open(str(path), "w") as out:
        made = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        for packet in source.demux():
            if packet.size and not (packet.stream.type == "audio" and 4 <= packet.pts * packet.time_base < 8):
                packet.stream = made[packet.stream.index]
                out.mux(packet)
    ((before,),) = (await looked(whole)).silent
    ((hole, after),) = (await looked(path)).silent
    assert hole == (pytest.approx(4, abs=0.1), pytest.approx(8, abs=0.1))
    assert after == (pytest.approx(before[0], abs=0.15), pytest.approx(before[1], abs=0.15))


def _metered(path):
    """Integrated loudness, range and peak, as ffmpeg sums them up."""
    meter = ("-map", "0:a", "-filter:a", "ebur128=peak=sample:framelog=quiet", "-f", "null", "-")
    words = [clips.FFMPEG, "-nostdin", "-i", path, *meter]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stderr
    return [float(re.findall(rf"{name}:\s+(-?[\d.]+)", said)[-1]) for name in ("I", "LRA", "Peak")]


async def test_loudness_is_what_ffmpegs_own_meter_says(tmp_path):
    made = film(tmp_path / "in.mp4", "null", "volume=-7dB,aformat=channel_layouts=stereo")
    wanted = _metered(made)
    (found,) = (await looked(made)).loudness
    assert [found["integrated"], found["range"], found["peak"]] == pytest.approx(wanted, abs=0.15)
    assert (await looked(damaged.recording(tmp_path / "mute.mp4", seconds=2, sound=None))).loudness == ()


async def test_sound_that_moved_is_measured_at_the_start_the_middle_the_joins_and_the_end(tmp_path):
    source = film(tmp_path / "in.mp4")
    made = tmp_path / "made.mp4"
    fades = "afade=t=in:d=2,afade=t=out:st=14:d=2,adelay=60:all=1,atrim=end=16"
    clips.ffmpeg("-ss", 4, "-i", source, "-t", 16, *damaged.ENCODED, *damaged.AAC, "-filter:a", fades, made)
    wanted = Expected(16, 16, 96, 64, 1, joins=(5.0,), origin=Origin(source, 4.0, fade=2.0))
    _, check = await verify(clips.ENCODER, made, wanted, "made.mp4")
    assert [point["at"] for point in check.offset] == [1.0, 4.4, 7.4, 13.8]
    assert [point["sound"] for point in check.offset] == pytest.approx([0.06] * 4, abs=0.003)
    assert [point["picture"] for point in check.offset] == pytest.approx([0.0] * 4, abs=0.001)


async def test_pictures_that_moved_are_measured_by_what_is_seen(tmp_path):
    source = film(tmp_path / "in.mp4")
    made = tmp_path / "made.mp4"
    later = "tpad=start=5:start_mode=clone"
    clips.ffmpeg("-ss", 4, "-i", source, *damaged.ENCODED, *damaged.AAC, "-filter:v", later, "-t", 12, made)
    _, check = await verify(clips.ENCODER, made, Expected(12, 12, 96, 64, 1, origin=Origin(source, 4.0)), "made.mp4")
    assert {point["by"] for point in check.offset} == {"seen"}
    # The first picture is where it was; it is repeated, and all that follow are late.
    assert [point["picture"] for point in check.offset] == pytest.approx([0.0, 0.2, 0.2], abs=0.001)


class TestExaminers:
    """Files that take long are read by children of their own, which step back."""

    @pytest.fixture(autouse=True)
    def _no_file_is_small(self, monkeypatch):
        monkeypatch.setattr(verify_client, "_SMALL", 0)

    async def test_they_step_back_and_the_prober_is_not_kept_from_short_questions(self, tmp_path):
        made = film(tmp_path / "in.mp4", seconds=4)
        encoder = replace(clips.ENCODER, nice=7)
        await inspect(encoder, made, "in.mp4")
        (examiner,) = encoder.shared.get(Examiners)._idle
        pid = examiner.worker.child.pid
        assert os.getpriority(os.PRIO_PROCESS, pid) == 7
        assert encoder.shared.get(Prober).worker.child is None
        await inspect(encoder, made, "in.mp4")
        assert examiner.worker.child.pid == pid
        gone = examiner.worker.child.gone
        await encoder.shared.close()
        async with asyncio.timeout(60):
            await asyncio.wait([gone])

    async def test_several_files_are_examined_at_once_and_two_children_are_kept(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "cpu_count", lambda: 3)
        made = film(tmp_path / "in.mp4", seconds=4)
        found = await asyncio.gather(*(inspect(clips.ENCODER, made, "in.mp4") for _ in range(4)))
        assert {check.pictures for _, check in found} == {100}
        assert len(clips.ENCODER.shared.get(Examiners)._idle) == 2
