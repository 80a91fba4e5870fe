"""Renditions from one decode, measured on real media."""

from pathlib import Path

import pytest
from footage import clips
from pydantic import ValidationError

from vidd.errors import Refused
from vidd.media.encode import renditions
from vidd.model.media import Artifact
from vidd.pipelines.registry import STEPS
from vidd.steps import transcode

pytestmark = pytest.mark.media


def options(*renditions: dict, **more) -> transcode.Options:
    return transcode.Options.model_validate({"renditions": renditions, **more})


SMALL = {"height": 48, "video_bitrate": "60k", "audio_bitrate": "32k"}
LARGE = {"height": 90, "video_bitrate": "200k", "audio_bitrate": "64k"}
NOISE = "geq=lum='random(1)*255':cb=128:cr=128"


def context(source: Path):
    return clips.Watched(source.parent, source, name="talk.mp4").context


def bits_per_second(artifact: Artifact) -> float:
    return artifact.size * 8 / artifact.media.duration


async def test_several_renditions_come_from_one_file_each_with_its_size(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", size="160x90")
    outcome = await transcode.run(options(SMALL, LARGE), context(source))
    sizes = {artifact.role: (artifact.path, *artifact.media.video[0].display_size) for artifact in outcome.artifacts}
    assert sizes == {
        "rendition-48p": ("rendition-48p.mp4", 86, 48),
        "rendition-90p": ("rendition-90p.mp4", 160, 90),
    }
    assert [artifact.media.video[0].frames for artifact in outcome.artifacts] == [100, 100]
    assert outcome.facts["left_out"] == []
    assert set(outcome.facts) == STEPS["transcode"].facts


async def test_the_bit_rate_is_what_was_asked_even_for_noise(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", size="160x90", seconds=8, picture=NOISE, tracks=0)
    outcome = await transcode.run(options(SMALL, LARGE), context(source))
    small, large = outcome.artifacts
    assert 40_000 < bits_per_second(small) < 120_000
    assert 150_000 < bits_per_second(large) < 400_000


async def test_every_picture_keeps_its_time(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", rate="30000/1001")
    outcome = await transcode.run(options({**SMALL, "height": 64, "video_bitrate": "2M"}), context(source))
    made = clips.pictures(tmp_path / outcome.artifacts[0].path)
    assert [clips.number(frame) for _, frame in made] == list(range(120))
    assert [time for time, _ in made] == pytest.approx([number * 1001 / 30000 for number in range(120)], abs=1e-4)


async def test_a_lower_frame_rate_is_made_and_a_higher_one_is_not_invented(tmp_path):
    source = clips.recording(tmp_path / "in.mp4")
    outcome = await transcode.run(options({**SMALL, "fps": 5}, {**SMALL, "fps": 50, "name": "fast"}), context(source))
    assert [artifact.media.video[0].rate for artifact in outcome.artifacts] == [5, 25]


async def test_a_phone_held_upright_gets_upright_renditions(tmp_path):
    upright = clips.recording(tmp_path / "upright.mp4", size="160x90")
    clips.ffmpeg("-display_rotation", 90, "-i", upright, "-c", "copy", tmp_path / "in.mp4")
    outcome = await transcode.run(options({**SMALL, "height": 80}), context(tmp_path / "in.mp4"))
    assert outcome.artifacts[0].media.video[0].display_size == (46, 80)


async def test_a_rendition_higher_than_the_source_is_left_out_and_the_reason_is_told(tmp_path):
    source = clips.recording(tmp_path / "in.mp4")
    outcome = await transcode.run(options(SMALL, LARGE), context(source))
    assert [artifact.role for artifact in outcome.artifacts] == ["rendition-48p"]
    assert outcome.facts["left_out"] == [{"name": "90p", "why": "The source is only 64 lines high."}]


async def test_where_all_are_higher_the_smallest_is_made_at_the_sources_size(tmp_path):
    source = clips.recording(tmp_path / "in.mp4")
    outcome = await transcode.run(options(LARGE, {**LARGE, "height": 180}), context(source))
    (only,) = outcome.artifacts
    assert (only.role, only.media.video[0].display_size) == ("rendition-90p", (96, 64))
    assert [note["name"] for note in outcome.facts["left_out"]] == ["180p"]


async def test_a_rendition_may_be_higher_than_the_source_where_that_is_asked_for(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=1)
    outcome = await transcode.run(options(LARGE, upscale=True), context(source))
    assert outcome.artifacts[0].media.video[0].display_size == (136, 90)


async def test_the_talk_is_taken_where_there_is_one(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=1)
    talk = clips.recording(tmp_path / "talk.mp4", seconds=2)
    watched = clips.Watched(tmp_path, source, name="x.mp4")
    both = watched.with_artifacts(Artifact("talk", "talk.mp4", talk.stat().st_size))
    assert (await transcode.run(options(SMALL), both)).artifacts[0].media.duration == pytest.approx(2, abs=0.05)
    asked = options(SMALL, source="source")
    assert (await transcode.run(asked, both)).artifacts[0].media.duration == pytest.approx(1, abs=0.05)


async def test_a_recipe_that_copies_instead_of_encoding_is_caught(tmp_path, monkeypatch):
    """`-c:v copy -s hd720 -r 30` was used in earnest; it leaves size and rate as they were, with exit code 0."""
    source = clips.recording(tmp_path / "in.mp4")

    def copying(source, outputs, *_, **__):
        return ["-nostdin", "-v", "error", "-i", str(source), "-c:v", "copy", "-f", "mp4", str(outputs[0][1])]

    monkeypatch.setattr(renditions, "transcode_args", copying)
    with pytest.raises(Refused, match=r"not what was asked \(size: wanted 72x48, got 96x64\)"):
        await transcode.run(options(SMALL), context(source))
    with pytest.raises(Refused, match="frame rate: wanted 5, got 25"):
        await transcode.run(options({**SMALL, "height": 64, "fps": 5}), context(source))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


async def test_a_damaged_source_leaves_no_rendition(tmp_path):
    whole = clips.recording(tmp_path / "whole.mkv")
    data = whole.read_bytes()
    source = tmp_path / "in.mkv"
    source.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(Refused, match=r"could be made of the 4\.\d\d s wanted: the source is damaged"):
        await transcode.run(options(SMALL, {**SMALL, "height": 32}), context(source))
    assert not list(tmp_path.glob("*rendition*"))


def test_two_renditions_of_one_name_are_a_fault_of_the_settings():
    with pytest.raises(ValidationError, match="two renditions are called '48p'"):
        options(SMALL, SMALL)


@pytest.mark.parametrize(
    "wrong", [{"height": 49}, {"video_bitrate": "fast"}, {"name": "../x"}, {"name": ".x"}, {"size": 1}]
)
def test_settings_of_a_rendition_are_checked(wrong):
    with pytest.raises(ValidationError):
        options({**SMALL, **wrong})
