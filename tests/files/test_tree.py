import os
from dataclasses import replace

import pytest
from builders.aws import Desk, a_job, a_step_context, the_tools
from builders.engine import job

from vidd.engine.workspace import Workspace
from vidd.errors import Refused
from vidd.files.tree import TreeFile, describe_tree, is_unchanged, list_files, tree_artifact
from vidd.model.media import Artifact, Outcome, Tree
from vidd.model.serialization import outcome_from_json, outcome_to_json


def fill(root, **files):
    for path, text in files.items():
        place = root / path.replace("__", "/").replace("_json", ".json")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return root


def test_the_files_of_a_tree_are_found_by_path_and_empty_directories_do_not_count(tmp_path):
    fill(tmp_path / "out", body__scene_000__b_json="22", body__a_json="1", index_json="333")
    (tmp_path / "out/empty/within").mkdir(parents=True)
    assert list_files(tmp_path / "out") == [
        TreeFile("body/a.json", 1), TreeFile("body/scene_000/b.json", 2), TreeFile("index.json", 3),
    ]  # fmt: skip


def test_an_artifact_of_a_tree_says_how_many_files_and_bytes_there_are(tmp_path):
    fill(tmp_path / "out", a_json="1", deep__er__b_json="22")
    made = tree_artifact("annotations", tmp_path, "out", {"scenes": 3})
    assert (made.size, made.tree.files, made.path, made.facts) == (3, 2, "out", {"scenes": 3})


def test_the_description_does_not_depend_on_the_order_and_cannot_be_forged_by_names():
    a, b = TreeFile("a", 1), TreeFile("b", 2)
    assert describe_tree([a, b]) == describe_tree([b, a])
    assert describe_tree([a, b]) != describe_tree([TreeFile("a\n2 b", 1)])
    assert (
        describe_tree([TreeFile("a", 1), TreeFile("b", 2)]).digest
        != describe_tree([TreeFile("a", 2), TreeFile("b", 1)]).digest
    )


@pytest.mark.parametrize("harm", ["removed", "longer", "renamed", "one more", "no directory"])
async def test_a_tree_is_there_only_with_all_its_files_in_their_sizes(tmp_path, harm):
    workspace = Workspace(tmp_path)
    root = fill(workspace.directory("a") / "out", a_json="1", deep__b_json="22")
    made = tree_artifact("annotations", workspace.directory("a"), "out")
    assert await workspace.has("a", [made])
    match harm:
        case "removed":
            (root / "deep/b.json").unlink()
        case "longer":
            (root / "a.json").write_text("12")
        case "renamed":
            (root / "a.json").rename(root / "c.json")
        case "one more":
            (root / "deep/c.json").touch()
        case "no directory":
            root.rename(workspace.directory("a") / "elsewhere")
    assert not await workspace.has("a", [made])


def test_a_link_out_of_the_tree_is_refused_by_name_and_not_followed(tmp_path):
    fill(tmp_path / "out", a_json="1")
    (tmp_path / "secret").write_text("x")
    (tmp_path / "out/link.json").symlink_to(tmp_path / "secret")
    with pytest.raises(Refused, match=r"'link\.json' below out is no regular file"):
        list_files(tmp_path / "out")
    (tmp_path / "out/link.json").unlink()
    made = tree_artifact("annotations", tmp_path, "out")
    (tmp_path / "out/up").symlink_to(tmp_path)
    assert not is_unchanged(tmp_path / "out", made)


def test_a_name_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / os.fsdecode(b"bad\xff.json")).touch()
    with pytest.raises(Refused, match=r"no UTF-8 text"):
        list_files(tmp_path / "out")


def test_a_recorded_tree_comes_back_as_it_was_and_records_of_before_have_none():
    outcome = Outcome((Artifact("annotations", "out", 3, tree=Tree(2, "ab")), Artifact("talk", "t.mp4", 5)))
    assert outcome_from_json(outcome_to_json(outcome)) == outcome
    old = outcome_to_json(outcome)
    for one in old["artifacts"]:
        del one["tree"]
    assert [one.tree for one in outcome_from_json(old).artifacts] == [None, None]


def a_desk(tmp_path):
    desk = Desk(a_job("file:///x"), tmp_path, the_tools(tmp_path)).add("source", "s.mp4", b"s")
    fill(tmp_path / "out", a_json="1")
    desk.artifacts["annotations"] = tree_artifact("annotations", tmp_path, "out")
    return desk


def test_a_publisher_that_takes_no_trees_is_given_none_and_told_where_one_is_named(tmp_path):
    desk = a_desk(tmp_path)
    assert [one.role for one in desk.context.choose([])] == ["source"]
    with pytest.raises(Refused, match="'annotations' is a directory of 1 files, and this publisher works on one file"):
        desk.context.choose(["annotations"])
    assert [one.role for one in desk.context.choose([], trees=True)] == ["annotations"]


def test_a_step_gets_the_directory_of_a_tree_and_the_file_of_a_file_and_not_the_other(tmp_path):
    desk = a_desk(tmp_path)
    context = replace(a_step_context(tmp_path, job(), desk.tools), artifacts=desk.artifacts)
    assert context.tree("annotations") == tmp_path / "out"
    with pytest.raises(Refused, match="this step works on one file"):
        context.file("annotations")
    with pytest.raises(Refused, match="works on a directory 'source'; of those the steps before made annotations"):
        context.tree("source")
