"""What ffmpeg is told where an encode is made in segments, and where it goes on."""

from pathlib import Path

import pytest

from vidd.media.encode.checkpoints import fingerprint
from vidd.media.encode.seek_point import seek_candidates
from vidd.media.ffmpeg.args import segment
from vidd.media.ffmpeg.args.common import Cut, CutSource, EncodeSettings, Rendition, RenditionSettings, trim_args
from vidd.media.ffmpeg.args.segment import SegmentRange
from vidd.model.media import Audio, Media, Video

MEDIA = Media(
    "mov,mp4",
    3600.0,
    10**9,
    (Video("h264", 1280, 720, 25.0),),
    (Audio("aac", 48000, 2), Audio("unknown", 0, 0), Audio("aac", 48000, 2)),
)
CUT = Cut(61.4, 541.8, 3.0)


def after(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


SETTINGS = EncodeSettings(20, "veryfast", 160_000)


def source(seek: float, media: Media = MEDIA) -> CutSource:
    return CutSource(Path("/in.mp4"), media, CUT, seek)


def video(frames: SegmentRange, seek: float, directory: str = "/jobs/1/room") -> list[str]:
    return segment.video_args(source(seek), Path(directory), SETTINGS, frames, every=60.0)


def test_the_first_run_makes_the_pictures_of_one_piece():
    words = video(SegmentRange(), 60.4)
    whole = trim_args(source(60.4), Path("/out.mp4"), SETTINGS)
    assert after(words, "-filter:v") == after(whole, "-filter:v") + ",settb=1/12800"
    for name in ("-ss", "-i", "-c:v", "-preset", "-crf", "-fps_mode:v", "-enc_time_base:v"):
        assert after(words, name) == after(whole, name)
    assert "-force_key_frames" not in words


def test_a_later_run_has_the_same_clock_and_leaves_out_what_is_there_only_after_all_other_filters():
    words = video(SegmentRange(first=5_376_001, beyond=6_144_000), 478.4)
    assert after(words, "-ss") == "478.4"
    assert after(words, "-filter:v") == (
        "settb=1/12800,trim=start=-417:end=63.4,setpts=round(PTS+417/TB),"
        "scale=out_range=tv,format=yuv420p,fade=t=in:st=0:d=3,fade=t=out:st=477.4:d=3,"
        "settb=1/12800,trim=end_pts=6144000,trim=start_pts=5376001,setpts=PTS-5376001"
    )


def test_percent_signs_in_a_path_are_no_pattern():
    assert "file:/50%%d/room/%05d.mp4" in video(SegmentRange(), 60.4, "/50%d/room")


def test_tracks_that_are_not_written_are_used_nevertheless():
    end = ["-c", "copy", "-t", "0", "-f", "null", "-"]
    assert video(SegmentRange(), 60.4)[-11:] == ["-map", "0:a:0", "-map", "0:a:2", *end]
    sound = segment.audio_args(source(60.4), Path("/out.mp4"), SETTINGS)
    assert sound[-9:] == ["-map", "0:V:0", *end]


def test_without_sound_there_is_nothing_to_encode():
    silent = Media("avi", 9.0, 1, MEDIA.video)
    assert segment.audio_args(source(0, silent), Path("/o"), SETTINGS) == []
    assert segment.rendition_audio_args(Path("/i"), silent, []) == []


def test_renditions_go_on_each_at_its_place_on_the_files_own_clock():
    one, other = Rendition("a", 640, 360, 10**6, 64_000), Rendition("b", 320, 180, 10**5, 64_000, 5.0)
    words = segment.rendition_video_args(
        Path("/in.mp4"),
        MEDIA,
        [(one, Path("/a"), SegmentRange(128_001)), (other, Path("/b"), SegmentRange(61_441))],
        RenditionSettings("veryfast", before=("bwdif",), keyframes=6.0),
        seek=3.0,
        every=60.0,
    )
    assert after(words, "-filter_complex").split(";") == [
        "[0:V:0]setpts=round(PTS+3/TB),bwdif,split=2[in0][in1]",
        "[in0]scale=640:360,format=yuv420p,settb=1/12800,trim=start_pts=128001,setpts=PTS-128001[out0]",
        "[in1]scale=320:180,format=yuv420p,fps=5,settb=1/10240,trim=start_pts=61441,setpts=PTS-61441[out1]",
    ]
    # Both go on just after a keyframe's time, and the next one is at a multiple of six seconds of the whole.
    keyframes = [words[at + 1] for at, word in enumerate(words) if word == "-force_key_frames:v"]
    assert keyframes == ["expr:gte(t+10.000578,(n_forced+2)*6)", "expr:gte(t+6.000598,(n_forced+2)*6)"]


@pytest.mark.parametrize(
    ("keyframes", "first", "expected"),
    [
        ([0.0, 20.0, 30.0, 40.0], 0.4, (40.4, 30.4)),  # just after each, whole seconds from the first
        ([38.0, 39.0, 40.0], 0.0, (40.0, 38.0)),  # not so near each other that one serves both
        ([0.0, 40.0], 0.0, (40.0, None)),
        ([0.0, 5.0], 0.0, (None, None)),  # too near the beginning to be worth it
        ([], 0.0, (None, None)),
    ],
)
def test_two_places_to_seek_to_begin_at_different_keyframes(keyframes, first, expected):
    assert seek_candidates(keyframes, first) == (
        pytest.approx(expected[0]) if expected[0] else None,
        pytest.approx(expected[1]) if expected[1] else None,
    )


def test_a_small_file_is_known_by_what_it_holds_and_not_by_its_name(tmp_path):
    marks = [tmp_path / "one.png", tmp_path / "two.png"]
    words = [[["-filter:v", f"movie={mark}"]] for mark in marks]
    for mark in marks:
        mark.write_bytes(b"mark")
    one, other = (fingerprint("n9", word, [mark]) for word, mark in zip(words, marks, strict=True))
    assert one == other
    marks[1].write_bytes(b"work")
    assert fingerprint("n9", words[1], [marks[1]]) != one
    assert fingerprint("n8", words[0], [marks[0]]) != one
