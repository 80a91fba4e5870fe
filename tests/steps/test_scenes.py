"""A video is parted into its scenes, by picture, and each file holds exactly its own."""

import json
from dataclasses import replace

import av
import pytest
from builders.scenes import context, people
from footage.clips import ENCODER, NUMBERED, numbers, recording
from pydantic import ValidationError

from vidd.errors import Refused
from vidd.media.scenes import args
from vidd.model.scenes import split_scenes
from vidd.steps import scenes

pytestmark = pytest.mark.media

CUTS = [(0, 29), (30, 49), (50, 74)]


@pytest.fixture(scope="session")
def walk(tmp_path_factory):
    return people(tmp_path_factory.mktemp("walk") / "walk.mp4")


async def part(tmp_path, video, **settings):
    made, _ = context(tmp_path, video, step="scenes")
    outcome = await scenes.run(scenes.Options(**settings), made)
    (artifact,) = outcome.artifacts
    index = made.directory / artifact.path / ("scenes.json" if artifact.tree else "")
    ranges = [(load["start_frame"], load["end_frame"]) for load in json.loads(index.read_text())]
    return made.directory / artifact.path, ranges, outcome


def pictures(path):
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


async def test_each_scene_gets_a_file_with_exactly_its_pictures_and_no_sound(tmp_path, walk):
    root, ranges, outcome = await part(tmp_path, walk)
    assert ranges == CUTS
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.mp4"))
    assert files == [f"scene_{n}/video.mp4" for n in ("000", "001", "002")]
    assert [pictures(root / file) for file in files] == [30, 20, 25]
    with av.open(str(root / files[1])) as file:
        assert file.streams.audio == ()
        assert file.streams.video[0].codec_context.name == "h264"
    assert outcome.facts == {"scenes": 3, "frames": 75, "detector": "scdet", "threshold": 10.0}
    assert outcome.artifacts[0].tree.files == 4


async def test_the_right_pictures_are_in_each_file(tmp_path):
    # Each picture shows its number.
    video = recording(tmp_path / "n.mp4", seconds=3.2, picture=NUMBERED, tracks=1)
    found = args.SceneCuts(80, (33, 57))
    options = scenes.Options(sound=True)
    made, _ = context(tmp_path, video, step="scenes")
    media = await scenes.probe(ENCODER, video, "n")
    parting = scenes._Splitter(options, made, video, media)
    artifact = await parting.split(split_scenes(found.cuts, found.frames, 1))
    root = made.directory / artifact.path
    for name, expected in (("scene_000", range(33)), ("scene_001", range(33, 57)), ("scene_002", range(57, 80))):
        assert numbers(root / name / "video.mp4") == list(expected)
    with av.open(str(root / "scene_001/video.mp4")) as file:
        assert len(file.streams.audio) == 1


async def test_a_video_of_many_short_scenes_is_parted_in_one_go(tmp_path):
    video = recording(tmp_path / "n.mp4", seconds=8, tracks=0)
    made, _ = context(tmp_path, video, step="scenes")
    parting = scenes._Splitter(scenes.Options(preset="ultrafast"), made, video, await scenes.probe(ENCODER, video, "n"))
    artifact = await parting.split(split_scenes(range(2, 200, 2), 200, 1))
    assert artifact.tree.files == 100 + 1
    assert numbers(made.directory / artifact.path / "scene_099/video.mp4") == [198, 199]


async def test_without_loss_scenes_begin_at_the_nearest_keyframes(tmp_path, walk):
    root, ranges, _ = await part(tmp_path, walk, files="copy")
    # A keyframe every 12 pictures, and one of x264's own at each change.
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 74
    assert [pictures(root / f"scene_00{n}/video.mp4") for n in range(3)] == [end - start + 1 for start, end in ranges]

    def packets(path):
        with av.open(str(path)) as file:
            return [bytes(packet) for packet in file.demux(video=0) if packet.size]

    parted = [packets(root / f"scene_00{n}/video.mp4") for n in range(3)]
    assert [packet for part in parted for packet in part] == packets(walk)


async def test_only_the_list_is_made_where_no_files_are_wanted(tmp_path, walk):
    path, ranges, outcome = await part(tmp_path, walk, files="none")
    assert (path.name, ranges) == ("scenes.json", CUTS)
    assert outcome.artifacts[0].content_type == "application/json"


async def test_a_video_without_a_cut_is_one_scene(tmp_path):
    video = people(tmp_path / "still.mp4", scenes=((1.0, 20, False),))
    root, ranges, _ = await part(tmp_path, video)
    assert ranges == [(0, 24)]
    assert pictures(root / "scene_000/video.mp4") == 25


async def test_a_scene_that_is_too_short_is_none(tmp_path, walk):
    _, ranges, _ = await part(tmp_path, walk, files="none", shortest=21)
    assert ranges == [(0, 29), (30, 74)]


async def test_pyscenedetect_finds_the_same_cuts(tmp_path, walk):
    pytest.importorskip("scenedetect", reason="needs vidd[scenes]")
    _, ranges, outcome = await part(tmp_path, walk, detector="adaptive", files="none")
    assert ranges == CUTS
    assert (outcome.facts["detector"], outcome.facts["threshold"]) == ("adaptive", 3.0)


async def test_without_pyscenedetect_the_detector_is_refused_with_what_to_install(tmp_path, walk, monkeypatch):
    monkeypatch.setattr(scenes, "find_spec", lambda _name: None)
    made, _ = context(tmp_path, walk)
    with pytest.raises(Refused, match=r"install vidd\[scenes\]"):
        await scenes.check(scenes.Options(detector="adaptive"), made.tools)


async def test_a_state_directory_with_a_strange_name_does_no_harm(tmp_path, walk):
    strange = tmp_path / "it's 100% [odd], a:b;c"
    strange.mkdir()
    _, ranges, _ = await part(strange, walk)
    assert ranges == CUTS


async def test_a_part_that_does_not_hold_its_pictures_is_refused(tmp_path, walk, monkeypatch):
    real, media = args.encode_args, await scenes.probe(ENCODER, walk, "walk")

    def elsewhere(source, pattern, listed, **_):
        moved = [replace(scene, start=scene.start + 3) for scene in listed]
        return real(source, pattern, media, moved, crf=30, preset="ultrafast", audio=False, threads=1)

    monkeypatch.setattr(args, "copy_args", elsewhere)
    with pytest.raises(
        Refused, match=r'failed their check: scene_000 has .* frames instead of .*; set files = "encode"'
    ):
        await part(tmp_path, walk, files="copy")
    assert not list((tmp_path / "jobs/job-1").glob("*scenes*"))


async def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(Refused):
        await part(tmp_path, tmp_path / "text.mp4")


def test_settings_that_cannot_be_right_are_refused():
    for wrong in ({"detector": "guess"}, {"threshold": 0}, {"shortest": 0}, {"files": "move"}):
        with pytest.raises(ValidationError):
            scenes.Options(**wrong)
