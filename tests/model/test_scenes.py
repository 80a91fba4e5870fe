import pytest

from vidd.model.scenes import Scene, coverage_fault, snap_to_keyframes, split_scenes


def ranges(cuts, frames, shortest=1):
    return [(one.start, one.end) for one in split_scenes(cuts, frames, shortest)]


def test_a_video_without_a_cut_is_one_scene_with_the_number_0():
    (scene,) = split_scenes([], 75, 10)
    assert (scene.name, scene.to_json()) == ("scene_000", {"scene_no": 0, "start_frame": 0, "end_frame": 74})


@pytest.mark.parametrize(
    ("cuts", "shortest", "expected"),
    [
        ([30, 50], 10, [(0, 29), (30, 49), (50, 74)]),
        ([50, 30, 30], 10, [(0, 29), (30, 49), (50, 74)]),
        ([5, 30], 10, [(0, 29), (30, 74)]),
        ([30, 35, 50], 10, [(0, 29), (30, 49), (50, 74)]),
        ([30, 70], 10, [(0, 29), (30, 74)]),
        ([1, 2, 3], 1, [(0, 0), (1, 1), (2, 2), (3, 74)]),
        ([0, 75, 99], 1, [(0, 74)]),
    ],
)
def test_scenes_cover_all_pictures_and_none_is_too_short(cuts, shortest, expected):
    assert ranges(cuts, 75, shortest) == expected
    assert coverage_fault(split_scenes(cuts, 75, shortest), 75) is None


def test_cuts_go_to_the_nearest_keyframe_and_not_to_the_first_picture():
    keyframes = [0, 12, 24, 36, 48, 60]
    assert snap_to_keyframes([30, 50], keyframes) == [24, 48]
    assert snap_to_keyframes([31, 49, 50], keyframes) == [36, 48]
    assert snap_to_keyframes([3, 74], keyframes) == [12, 60]
    assert snap_to_keyframes([30], [0]) == []


@pytest.mark.parametrize(
    ("scenes", "fault"),
    [
        ([Scene(0, 0, 29), Scene(1, 31, 74)], "scene_001 has the frames 31 to 74, and 30 comes next"),
        ([Scene(0, 0, 29), Scene(1, 29, 74)], "scene_001 has the frames 29 to 74, and 30 comes next"),
        ([Scene(0, 0, 29), Scene(2, 30, 74)], "scene_002 has"),
        ([Scene(0, 0, 29)], "the scenes end with frame 29, and the video with 74"),
    ],
)
def test_a_hole_an_overlap_and_an_early_end_are_found(scenes, fault):
    assert fault in coverage_fault(scenes, 75)
