"""Results of an analysis become one checked tree: complete, every file of its shape, a broken one refused by name."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builders.scenes import SCENES, context, people
from peers.analysis import install
from pydantic import ValidationError

from vidd.errors import Refused, RetryLater
from vidd.files.tree import list_files
from vidd.integrations.analysis_results import step as analysis_results_step
from vidd.integrations.analysis_results.arrangement import InvalidFile, Results
from vidd.programs.json_shapes import SHAPES

pytestmark = pytest.mark.media

NAME = "cm8ek9jj2003oqe0cfeqcou7s"
FINAL = "nlf-final-filtered-floorc.pkl"


def analysed(place: Path, *more: str, scenes=SCENES) -> Path:
    """What the four programs leave of a video with three scenes, or of others."""
    video, tools, out = people(place / "walk.mp4", scenes), install(place / "tools"), place / "results"
    for words in (
        ("premiereFullVideoProcessing.py", "--video", video, "--directory", out),
        ("generatel3DfromPkl.py", "--input_dir", out, "--use_floor", "--input_pkl", FINAL),
        ("arrange_data.py", "--directory", out, *more),
        ("meshextract3D/extract3Dmesh.py", "--input_pkl", FINAL, "--input_dir", out / "annotationdata/scenepkl"),
    ):
        subprocess.run([sys.executable, *map(str, words)], cwd=tools, check=True, capture_output=True)
    return out


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    return analysed(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    return analysed(tmp_path_factory.mktemp("bare"), "--bare")


@pytest.fixture(scope="session")
def uncut(tmp_path_factory):
    return analysed(tmp_path_factory.mktemp("uncut"), scenes=((0.8, 20, True),))


@pytest.fixture
def made(tmp_path, whole):
    """A job's context on which the analysis has left all of it."""
    return left(tmp_path, whole)


def left(tmp_path, source):
    bench_, _ = context(tmp_path, step="results")
    shutil.copytree(source, bench_.directory / "pcloudresults" / NAME)
    return bench_


def options(**changes):
    usual = {
        "path": "pcloudresults/{{ name }}/annotationdata",
        "parts": {"body": "pcloudresults/{{ name }}/body"},
        "needs": ("body",),
    }
    return analysis_results_step.Options(**{**usual, **changes})


def annotations(bench_, name="") -> Path:
    return bench_.directory / "pcloudresults" / NAME / "annotationdata" / name


def files(root: Path) -> dict[str, object]:
    return {
        leaf.path: json.loads((root / leaf.path).read_text())
        for leaf in list_files(root)
        if leaf.path.endswith(".json")
    }


def change(path: Path, how) -> None:
    data = json.loads(path.read_text())
    how(data)
    path.write_text(json.dumps(data))


async def test_the_tree_has_the_layout_that_the_cms_expects_and_nothing_else(made):
    outcome = await analysis_results_step.run(options(), made)
    (tree,) = outcome.artifacts
    names = {leaf.path for leaf in list_files(made.directory / tree.path)}
    scenes = ("000", "001", "002")
    assert {name for name in names if not name.startswith("body/")} == {
        *(f"2d_poses/scene_{n}_poses.json" for n in scenes), "2d_poses/poses.json", "2d_poses/index.json",
        *(f"3d_poses/scene_{n}_poses3d.json" for n in scenes), "3d_poses/poses.json", "3d_poses/index.json",
        *(f"2d_BoundingBoxes/scene_{n}.json" for n in scenes), "2d_BoundingBoxes/BBs.json", "2d_BoundingBoxes/index.json",
        *(f"3d_BoundingBoxes/scene_{n}_3d.json" for n in scenes), "3d_BoundingBoxes/BBs.json", "3d_BoundingBoxes/index.json",
    }  # fmt: skip
    assert {"body/scene_000/0_0.glb", "body/scene_002/0_74.glb"} <= names
    assert (tree.role, tree.tree.files) == ("annotations", 20 + 75)
    assert outcome.facts == {"scenes": 3, "frames": 75, "people": 1, "bodies": 75, "made": [], "renamed": []}
    assert annotations(made, "scenepkl").is_dir()


async def test_what_is_missing_and_follows_from_what_is_there_is_made_as_the_program_makes_it(tmp_path, whole, bare):
    made = left(tmp_path, bare)
    outcome = await analysis_results_step.run(options(), made)
    (tree,) = outcome.artifacts
    assert outcome.facts["made"] == [
        *(f"2d_BoundingBoxes/scene_{n}.json" for n in ("000", "001", "002")),
        *(f"3d_BoundingBoxes/scene_{n}_3d.json" for n in ("000", "001", "002")),
        "2d_poses/poses.json", "2d_poses/index.json", "3d_poses/poses.json", "3d_poses/index.json",
        "2d_BoundingBoxes/BBs.json", "2d_BoundingBoxes/index.json",
        "3d_BoundingBoxes/BBs.json", "3d_BoundingBoxes/index.json",
    ]  # fmt: skip
    expected = {name: data for name, data in files(whole / "annotationdata").items() if not name.startswith("scenepkl")}
    assert files(made.directory / tree.path) == expected
    # What the analysis left is as it was: a rework goes on with it.
    assert {path.name for path in annotations(made).iterdir()} == {"2d_poses", "3d_poses", "scenepkl"}
    assert not (annotations(made) / "2d_poses/index.json").exists()


async def test_the_bodies_of_a_video_without_a_cut_are_those_of_scene_0_although_the_program_says_minus_1(
    tmp_path, uncut
):
    made = left(tmp_path, uncut)
    assert [path.name for path in (annotations(made).parent / "body").iterdir()] == ["scene_-01"]
    outcome = await analysis_results_step.run(options(), made)
    (tree,) = outcome.artifacts
    names = {leaf.path for leaf in list_files(made.directory / tree.path)}
    assert {name for name in names if name.startswith("body/")} == {f"body/scene_000/0_{n}.glb" for n in range(20)}
    assert not [name for name in names if "-" in name]
    assert outcome.facts["renamed"] == ["body/scene_-01"]
    # What the analysis left is as it was: a rework goes on with it.
    assert [path.name for path in (annotations(made).parent / "body").iterdir()] == ["scene_-01"]


def below_0(root: Path) -> None:
    """Call the scenes -1, 0 and 1 in every name and every file, as the programs call those of bodies."""
    for path in sorted(root.glob("*/*scene_*")):
        number = int(path.name[6:9]) - 1
        path.rename(path.with_name(f"scene_{number:03}{path.name[9:]}"))
    for path in root.glob("*/*.json"):
        text = re.sub(r'"scene_no": (\d+)', lambda found: f'"scene_no": {int(found[1]) - 1}', path.read_text())
        path.write_text(re.sub(r"scene_(\d+)", lambda found: f"scene_{int(found[1]) - 1:03}", text))


@pytest.mark.parametrize("which", ["uncut", "whole"])
async def test_scenes_counted_from_minus_1_are_counted_from_0_in_names_files_and_indexes(tmp_path, request, which):
    source = request.getfixturevalue(which)
    made = left(tmp_path, source)
    below_0(annotations(made))
    before = files(annotations(made))
    outcome = await analysis_results_step.run(options(needs=()), made)
    expected = {
        name: data for name, data in files(source / "annotationdata").items() if not name.startswith("scenepkl")
    }
    found = files(made.directory / outcome.artifacts[0].path)
    assert found == expected
    assert "2d_poses/index.json" in outcome.facts["renamed"]
    assert files(annotations(made)) == before


async def test_bodies_from_minus_1_on_belong_to_the_scenes_whose_frames_they_have(made):
    bodies = annotations(made).parent / "body"
    for number in range(3):
        (bodies / f"scene_{number:03}").rename(bodies / f"scene_{number - 1:03}")
    outcome = await analysis_results_step.run(options(), made)
    root = made.directory / outcome.artifacts[0].path / "body"
    assert sorted(path.name for path in root.iterdir()) == ["scene_000", "scene_001", "scene_002"]
    assert (root / "scene_000/0_0.glb").exists()
    assert (root / "scene_002/0_74.glb").exists()


async def test_bodies_of_scenes_minus_1_and_0_that_cannot_both_be_of_this_run_are_refused(tmp_path, made, uncut):
    alone = left(tmp_path / "alone", uncut)
    bodies = annotations(alone).parent / "body"
    shutil.copytree(bodies / "scene_-01", bodies / "scene_000")
    with pytest.raises(
        Refused, match=r"'body/scene_-01' .*: beside it is scene_000, and the video has 1 scenes: .*remove it"
    ):
        await analysis_results_step.run(options(), alone)
    bodies = annotations(made).parent / "body"
    shutil.rmtree(bodies / "scene_002")
    shutil.copytree(bodies / "scene_000", bodies / "scene_-01")
    with pytest.raises(Refused, match=r"'body/scene_-01' .*frame \d+ is not in scene 1 \(frames 30 to 49\)"):
        await analysis_results_step.run(options(), made)


async def test_scenes_without_people_take_no_space(made):
    def empty(scene):
        for frame in scene["frames"]:
            frame |= {"no_person": 1, "poses": [{"id": None, "BBox": [], "keypoints": []}]}

    change(annotations(made, "3d_poses/scene_001_poses3d.json"), empty)
    for name in ("3d_poses/index.json", "3d_poses/poses.json", "3d_BoundingBoxes/index.json"):
        annotations(made, name).unlink()
    outcome = await analysis_results_step.run(options(), made)
    index = files(made.directory / outcome.artifacts[0].path)["3d_poses/index.json"]
    assert index[1] == {
        "scene_no": 1, "start_frame": 30, "end_frame": 49, "path": "/annotationdata/3d_poses/scene_001_poses3d.json",
        "min_x": 0, "max_x": 0, "min_y": 0, "max_y": 0, "min_z": 0, "max_z": 0,
    }  # fmt: skip


def text(content):
    return lambda path: path.write_text(content)


def data(how):
    return lambda path: change(path, how)


@pytest.mark.parametrize(
    ("name", "harm", "sentence"),
    [
        ("2d_poses/scene_001_poses.json", text('{"scene_no": 1'), r"scene_001_poses\.json: it is no JSON"),
        (
            "3d_poses/scene_000_poses3d.json",
            data(lambda scene: scene["frames"][7]["poses"][0]["keypoints"][1].pop("z")),
            r"at frames\[7\]\.poses\[0\]\.keypoints\[1\]\.z: Field required",
        ),
        (
            "3d_poses/scene_000_poses3d.json",
            data(lambda scene: scene["frames"][7]["poses"][0].update(BBox=[1, 2, 3])),
            r"at frames\[7\]\.poses\[0\]\.BBox: a box in space has 6 numbers, and not 3",
        ),
        (
            "2d_poses/scene_000_poses.json",
            data(lambda scene: scene["frames"][2].update(no_person=4)),
            r"at frames\[2\]: no_person is 4, but there are 1 poses",
        ),
        (
            "2d_poses/scene_000_poses.json",
            data(lambda scene: scene["frames"].pop()),
            "frames 0 to 29 are 30, but there are 29",
        ),
        (
            "2d_poses/scene_000_poses.json",
            data(lambda scene: scene["frames"][3].update(frame_no=9)),
            r"frames\[3\] has the number 9, and should have 3",
        ),
        (
            "2d_poses/scene_001_poses.json",
            data(lambda scene: scene.update(start_frame=31, frames=scene["frames"][1:])),
            "it starts with frame 31, and 30 comes next",
        ),
        ("2d_poses/scene_001_poses.json", data(lambda scene: scene.update(scene_no=7)), "its scene_no is 7"),
        (
            "3d_BoundingBoxes/scene_002_3d.json",
            data(lambda scene: scene.update(start_frame=51, frames=scene["frames"][1:])),
            "its frames 51 to 74 are not those of 2d_poses",
        ),
        ("2d_BoundingBoxes/BBs.json", data(lambda all_: all_["scenes"].pop()), r"BBs\.json: it has the scenes"),
        ("2d_poses/poses.json", data(lambda all_: all_["scenes"].pop(0)), r"scenes: \[0\] has the scene number 1"),
        ("3d_poses/index.json", data(lambda index: index[0].pop("path")), r"index\.json: at \[0\]\.path: Field required"),
        (
            "2d_poses/index.json",
            data(lambda index: index[1].update(path="/annotationdata/2d_poses/scene_009_poses.json")),
            "scene 1 is .*scene_009_poses.json, not scene_001_poses.json",
        ),
        ("2d_poses/scene_001_poses.json", Path.unlink, "scene_002_poses.json where scene_001_poses.json should be"),
        ("body/scene_001/0_31.glb", lambda path: path.write_bytes(path.read_bytes()[:-4]), r"says that it has \d+ bytes"),
        ("body/scene_001/0_31.glb", text("glTF?"), "it is no binary glTF 2.0"),
        ("body/scene_001/0_31.glb", lambda path: path.rename(path.with_name("me.glb")), "bodies are called"),
        ("body/scene_002", lambda path: path.rename(path.with_name("scene_003")), "there are only 3 scenes"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_by_its_name_and_the_place_in_it(tmp_path, whole, name, harm, sentence):
    root = shutil.copytree(whole / "annotationdata", tmp_path / "tree")
    shutil.copytree(whole / "body", root / "body")
    harm(root / name)
    with pytest.raises(InvalidFile) as caught:
        Results(root, "/annotationdata").arrange()
    assert re.search(sentence, f"{caught.value.path}: {caught.value.why}")


async def test_the_refusal_of_a_step_names_the_broken_file_and_where_to_look(made):
    change(annotations(made, "2d_poses/scene_000_poses.json"), lambda scene: scene["frames"][2].update(no_person=4))
    with pytest.raises(
        Refused, match=r"'2d_poses/scene_000_poses\.json' among the results is broken: at frames\[2\]: .*vidd log"
    ):
        await analysis_results_step.run(options(), made)
    annotations(made, "2d_poses/scene_001_poses.json").write_text("")
    with pytest.raises(Refused, match=r"'scene_001_poses\.json' among the results is empty"):
        await analysis_results_step.run(options(), made)


async def test_what_the_analysis_did_not_leave_is_named(made):
    shutil.rmtree(annotations(made).parent / "body")
    with pytest.raises(Refused, match="There are people in the video, but the analysis left no 'body'"):
        await analysis_results_step.run(options(), made)
    assert (await analysis_results_step.run(options(needs=()), made)).facts["bodies"] == 0
    shutil.rmtree(annotations(made, "2d_poses"))
    with pytest.raises(Refused, match=r"'2d_poses' among the results is broken: there is no scene_000_poses\.json"):
        await analysis_results_step.run(options(needs=()), made)
    shutil.rmtree(annotations(made))
    with pytest.raises(Refused, match="left no directory 'annotationdata'"):
        await analysis_results_step.run(options(), made)


async def test_a_video_without_people_needs_no_bodies(tmp_path):
    scene = {"scene_no": 0, "start_frame": 0, "end_frame": 0, "frames": [{"frame_no": 0, "no_person": 0, "poses": []}]}
    made, _ = context(tmp_path, step="results")
    for name, file in (("2d_poses", "scene_000_poses.json"), ("3d_poses", "scene_000_poses3d.json")):
        annotations(made, name).mkdir(parents=True)
        annotations(made, f"{name}/{file}").write_text(json.dumps(scene))
    outcome = await analysis_results_step.run(options(), made)
    assert (outcome.facts["people"], outcome.facts["scenes"]) == (0, 1)


async def test_each_directory_can_be_handed_on_as_a_tree_of_its_own(made):
    outcome = await analysis_results_step.run(options(each=True), made)
    assert {artifact.role: artifact.tree.files for artifact in outcome.artifacts} == {
        "annotations": 95, "2d_poses": 5, "3d_poses": 5, "2d_BoundingBoxes": 5, "3d_BoundingBoxes": 5, "body": 75,
    }  # fmt: skip


async def test_a_part_with_nobody_in_it_is_an_empty_tree_so_that_who_was_there_before_is_removed(tmp_path):
    scene = {"scene_no": 0, "start_frame": 0, "end_frame": 0, "frames": [{"frame_no": 0, "no_person": 0, "poses": []}]}
    made, _ = context(tmp_path, step="results")
    for name, file in (("2d_poses", "scene_000_poses.json"), ("3d_poses", "scene_000_poses3d.json")):
        annotations(made, name).mkdir(parents=True)
        annotations(made, f"{name}/{file}").write_text(json.dumps(scene))
    outcome = await analysis_results_step.run(options(each=True), made)
    trees = {artifact.role: artifact.tree.files for artifact in outcome.artifacts}
    assert trees == {
        "annotations": 12, "2d_poses": 3, "3d_poses": 3, "2d_BoundingBoxes": 3, "3d_BoundingBoxes": 3, "body": 0,
    }  # fmt: skip


async def test_all_that_the_analysis_left_can_be_kept_with_the_checked_annotations_in_it(tmp_path, uncut):
    made = left(tmp_path, uncut)
    outcome = await analysis_results_step.run(options(keep_files=True), made)
    kept = outcome.artifacts[-1]
    assert kept.role == "analysis"
    names = {leaf.path for leaf in list_files(made.directory / kept.path)}
    assert {name.partition("/")[0] for name in names} == {"scene_000", "area_scene_minmax.json", "annotationdata"}
    assert {
        f"scene_000/{FINAL}",
        "annotationdata/2d_poses/index.json",
        "annotationdata/body/scene_000/0_0.glb",
    } <= names
    assert not [name for name in names if "scenepkl" in name or "scene_-01" in name]
    # A second run leaves nobody of the first one.
    (annotations(made).parent / "body/scene_-01/0_3.glb").unlink()
    again = (await analysis_results_step.run(options(keep_files=True), made)).artifacts[-1]
    assert kept.tree.files - again.tree.files == 1


async def test_what_has_no_directory_of_its_own_cannot_be_kept(made):
    (made.directory / "pcloudresults" / NAME / "annotationdata").rename(made.directory / "out")
    with pytest.raises(Refused, match="'out' is in no directory of the analysis that could be kept"):
        await analysis_results_step.run(options(path="out", parts={}, needs=(), keep_files=True), made)


async def test_links_do_not_bring_foreign_files_among_the_results(made):
    annotations(made, "3d_poses/passwd.json").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="no regular file"):
        await analysis_results_step.run(options(), made)


async def test_looking_that_runs_out_of_memory_is_tried_again(made):
    with pytest.raises(RetryLater, match="check of the results failed"):
        await analysis_results_step.run(options(memory=8 << 20), made)


async def test_it_can_be_done_once_more_over_what_it_left(made):
    first = await analysis_results_step.run(options(), made)
    annotations(made).joinpath("2d_poses/scene_002_poses.json").touch()
    assert await analysis_results_step.run(options(), made) == first


def test_a_path_that_leads_out_is_refused_with_the_settings():
    with pytest.raises(ValidationError):
        options(prefix="/../..")
    assert {"scene_poses", "scene_poses3d", "scene_boxes", "scene_boxes3d", "index", "index3d"} <= SHAPES.keys()
