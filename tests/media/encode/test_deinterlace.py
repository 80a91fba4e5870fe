"""Whether a video is interlaced is found by its frames, and whole frames are made of what is."""

from fractions import Fraction

import av
import pytest
from footage import clips

from vidd.media.encode.deinterlace import MOVED, Scan, find_scan, scan_of
from vidd.media.probe.client import probe
from vidd.steps import transcode

FIELDS = "s=160x120:r=50:start_scale=1:end_scale=0.2:end_pts=100"
FRAMES = FIELDS.replace("r=50", "r=25")
FILM = FIELDS.replace("r=50", "r=24")
MARKED = ("-flags", "+ilme+ildct")
KINDS = {
    "interlaced, and marked so": (FIELDS, "tinterlace=interleave_top,setfield=tff", MARKED, Scan("interlaced", "tff")),
    "interlaced, and not marked": (FIELDS, "tinterlace=interleave_top,setfield=prog", (), Scan("interlaced", "tff")),
    "lower field first": (FIELDS, "tinterlace=interleave_bottom,setfield=prog", (), Scan("interlaced", "bff")),
    "whole, and marked as fields": (FRAMES, "setfield=tff", MARKED, Scan("progressive")),
    "whole and noisy": (FRAMES, "noise=alls=40:allf=t", (), Scan("progressive")),
    "telecined, and not marked": (FILM, "telecine=pattern=23,setfield=prog", (), Scan("telecined", "tff")),
}


def recording(path, name, seconds=2):
    picture, filters, output, _ = KINDS[name]
    source = ("-f", "lavfi", "-i", f"mandelbrot={picture}", "-t", seconds)
    clips.ffmpeg(
        *source,
        *("-vf", f"format=yuv420p,{filters}", "-c:v", "libx264", "-preset", "ultrafast", "-crf", 10, *output, path),
    )
    return path


@pytest.mark.media
@pytest.mark.parametrize("name", KINDS)
async def test_the_frames_say_how_they_are_made_whatever_the_file_says(tmp_path, name):
    source = recording(tmp_path / "in.mp4", name)
    media = await probe(clips.ENCODER, source)
    assert media.video[0].interlaced is (KINDS[name][2] == MARKED)
    found = await find_scan(clips.ENCODER, source, media)
    wanted = KINDS[name][3]
    assert found.kind == wanted.kind
    assert found.order == wanted.order or wanted.kind == "progressive"


@pytest.mark.media
async def test_a_recording_that_is_interlaced_only_later_is_found(tmp_path):
    still = clips.recording(tmp_path / "still.mp4", size="160x120", seconds=12, picture=clips.GREY, tracks=0)
    moving = recording(tmp_path / "moving.mp4", "interlaced, and not marked", seconds=6)
    (tmp_path / "both.txt").write_text(f"file {still.name}\nfile {moving.name}\n")
    source = tmp_path / "in.mp4"
    clips.ffmpeg("-f", "concat", "-i", tmp_path / "both.txt", "-c", "copy", source)
    assert (await find_scan(clips.ENCODER, source, await probe(clips.ENCODER, source))).kind == "interlaced"


def lines(*, tff=0, bff=0, progressive=0, undetermined=0, top=0, bottom=0):
    single = {"tff": tff, "bff": bff, "progressive": progressive, "undetermined": undetermined}
    repeated = {"top": top, "bottom": bottom}
    return {
        **{f"lavfi.idet.single.current_frame={kind}": count for kind, count in single.items()},
        **{f"lavfi.idet.repeated.current_frame={field}": count for field, count in repeated.items()},
    }


@pytest.mark.parametrize(
    ("seen", "marked", "kind"),
    [
        (lines(undetermined=200), True, "interlaced"),  # nothing moved: the file's word is all there is
        (lines(undetermined=200), False, "progressive"),
        ({}, True, "interlaced"),
        ({**lines(undetermined=200), MOVED: 90}, True, "progressive"),  # what moves is not combed
        ({**lines(undetermined=200), MOVED: 9}, True, "interlaced"),
        (lines(tff=50, bff=58, progressive=12), True, "progressive"),  # both orders: stripes, not fields
        (lines(tff=12, progressive=188), False, "progressive"),
        (lines(tff=30, progressive=170), False, "interlaced"),  # one camera of several
        (lines(bff=80, progressive=120, top=40, bottom=40), False, "telecined"),
        (lines(bff=80, progressive=120, top=40, bottom=1), False, "interlaced"),
    ],
)
def test_what_the_detector_saw_is_weighed(seen, marked, kind):
    assert scan_of(seen, marked=marked).kind == kind


@pytest.mark.parametrize(
    ("scan", "wanted", "filters"),
    [
        (Scan("progressive"), "auto", []),
        (Scan("interlaced", "bff"), "never", []),
        (Scan("interlaced", "bff"), "auto", ["setfield=bff", "bwdif=mode=send_frame:deint=all"]),
        (Scan("interlaced"), "auto", ["bwdif=mode=send_frame:deint=all"]),
        (Scan("progressive"), "always", ["bwdif=mode=send_frame:deint=all"]),
    ],
)
def test_only_what_needs_it_is_deinterlaced_unless_it_is_always_wanted(scan, wanted, filters):
    assert scan.filters(wanted) == filters


def planes(path):
    with av.open(str(path)) as file:
        return [(frame.time, bytes(frame.planes[0]), frame.planes[0].line_size) for frame in file.decode(video=0)]


@pytest.mark.media
async def test_film_is_put_together_again_from_its_fields_and_no_frame_is_lost(tmp_path):
    """Every frame of the result is like a frame of the film; a deinterlacer would take half of its lines away."""
    source = recording(tmp_path / "in.mp4", "telecined, and not marked", seconds=1)
    film = ("-f", "lavfi", "-i", f"mandelbrot={FILM}", "-t", 1, "-vf", "format=yuv420p", "-c:v", "ffv1")
    clips.ffmpeg(*film, tmp_path / "film.mkv")
    scan = await find_scan(clips.ENCODER, source, await probe(clips.ENCODER, source))
    errors, whole = {}, planes(tmp_path / "film.mkv")
    for name, filters in (("matched", scan.filters("auto")), ("deinterlaced", scan.filters("always"))):
        made = tmp_path / f"{name}.mkv"
        clips.ffmpeg("-i", source, "-vf", ",".join(filters), "-fps_mode", "passthrough", "-c:v", "ffv1", made)
        errors[name] = [least_difference(frame, whole) for frame in planes(made)[2:-2]]
        assert [time for time, *_ in planes(made)] == pytest.approx(
            [Fraction(1001 * n, 30000) for n in range(30)], abs=0.01
        )
    assert sorted(errors["matched"])[len(errors["matched"]) * 8 // 10] < 3
    assert sum(errors["matched"]) < 0.5 * sum(errors["deinterlaced"])


def least_difference(frame, film):
    """The mean difference of every 61st pixel to the frame of the film that is most like it."""
    _, mine, _ = frame
    return min(sum(abs(a - b) for a, b in zip(mine[::61], other[::61], strict=True)) for _, other, _ in film) / len(
        mine[::61]
    )


@pytest.mark.media
@pytest.mark.parametrize(("wanted", "kind"), [("auto", "progressive"), ("never", "interlaced")])
async def test_renditions_of_fields_that_nothing_marks_come_out_whole_in_segments_too(tmp_path, wanted, kind):
    source = recording(tmp_path / "in.mp4", "interlaced, and not marked", seconds=3)
    size = {"height": 120, "video_bitrate": "2M"}
    options = transcode.Options.model_validate({"renditions": [size], "deinterlace": wanted, "segment": "1s"})
    outcome = await transcode.run(options, clips.Watched(tmp_path, source, name="talk.mp4").context)
    made = tmp_path / "rendition-120p.mp4"
    assert outcome.facts["deinterlaced"] is (wanted == "auto")
    assert outcome.artifacts[0].media.video[0].frames == 75
    assert (await find_scan(clips.ENCODER, made, await probe(clips.ENCODER, made))).kind == kind
