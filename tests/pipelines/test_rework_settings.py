"""What a person asks of a rework becomes the job's settings, or a sentence about what is wrong with it."""

import pytest

from vidd.errors import Refused
from vidd.pipelines.resolve import resolve
from vidd.pipelines.rework_settings import apply_rework, check_directories, describe_rework
from vidd.pipelines.validation import make_ready
from vidd.settings.schema import read_settings

PIPELINE = """
[[pipelines.cms.steps]]
kind = "command"
label = "analyse"
argv = ["analyse", "{{ file }}"]
extra = ["--own"]
environment = { MODELS = "/models" }
[[pipelines.cms.steps]]
kind = "describe"
[[pipelines.cms.steps]]
kind = "command"
label = "mesh"
argv = ["mesh"]
[[pipelines.cms.publish]]
kind = "folder"
path = "out"
[[pipelines.cms.notify]]
kind = "mail"
[[pipelines.cms.notify]]
kind = "mail"
on = "failed"
to = ["ops@example.org"]
"""


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "vidd.toml").write_text(PIPELINE)
    return make_ready(read_settings(tmp_path / "vidd.toml")).pipelines["cms"]


def ask(settings, *, edition=2, step=None, changes=None, extra=()):
    return apply_rework(settings, "cms", edition, step=step, changes=changes or {}, extra=extra)


def fingerprints(settings):
    return {step.name: step.fingerprint for step in resolve(settings).steps}


def options(settings, name):
    rows = [row for part in ("steps", "publish", "notify") for row in settings[part] if row["name"] == name]
    return rows[0]["options"]


def test_a_directory_that_is_not_there_is_refused_before_anything_runs(settings, tmp_path):
    (tmp_path / "file").touch()
    for gone in (f"{tmp_path}/gone", f"{tmp_path}/file"):
        made, first = ask(settings, changes={"mesh.directory": gone})
        with pytest.raises(Refused, match=rf"step mesh would run in {gone}, .*correct --directory"):
            check_directories(made, first)


@pytest.mark.parametrize("directory", ["{root}", "/{{{{ facts.id }}}}", "below"])
def test_a_directory_that_is_there_or_that_each_job_names_is_taken(settings, tmp_path, directory):
    check_directories(*ask(settings, changes={"mesh.directory": directory.format(root=tmp_path)}))


def test_the_directory_of_a_step_that_does_not_run_again_does_not_matter(settings):
    options(settings, "analyse")["directory"] = "/gone"
    check_directories(*ask(settings, step="mesh"))
    check_directories(*ask(settings, changes={"folder.path": "elsewhere"}))


def test_added_arguments_come_after_the_commands_own_and_it_runs_again(settings):
    made, first = ask(settings, step="analyse", extra=["--removeshadows", "{{ raw }}"])
    assert first == "analyse"
    assert options(made, "analyse")["extra"] == ["--own", "--removeshadows", "{{ raw }}"]
    before, after = fingerprints(settings), fingerprints(made)
    assert {name for name in before if before[name] != after[name]} == {"analyse"}
    assert options(settings, "analyse")["extra"] == ["--own"]


def test_arguments_of_an_earlier_rework_are_not_those_of_this_one(settings):
    first, _ = ask(settings, step="analyse", extra=["--one"])
    second, _ = ask(first, edition=3, step="analyse", extra=["--two"])
    third, _ = ask(second, edition=4, step="analyse")
    assert [options(one, "analyse")["extra"] for one in (second, third)] == [["--own", "--two"], ["--own"]]


def test_a_later_step_that_begins_leaves_an_earlier_one_as_it_was_run(settings):
    first, _ = ask(settings, step="analyse", extra=["--one"])
    second, _ = ask(first, edition=3, step="mesh")
    before, after = fingerprints(first), fingerprints(second)
    assert {name for name in before if before[name] != after[name]} == {"mesh"}


def test_each_edition_runs_its_step_again(settings):
    made = [ask(settings, edition=edition, step="mesh")[0] for edition in (2, 3)]
    assert len({fingerprints(one)["mesh"] for one in (settings, *made)}) == 3


@pytest.mark.parametrize("path", ["mesh.limit", "cms.mesh.limit"])
def test_an_option_is_set_by_its_path_and_the_first_step_that_changes_begins(settings, path):
    made, first = ask(settings, changes={path: "8h"})
    assert (first, options(made, "mesh")["limit"]) == ("mesh", 8 * 3600.0)


def test_an_option_within_a_table_and_one_of_a_publisher_can_be_set(settings):
    made, first = ask(settings, changes={"analyse.environment.SHADOWS": "0.2", "folder.existing": "replace"})
    assert first == "analyse"
    assert options(made, "analyse")["environment"] == {"MODELS": "/models", "SHADOWS": "0.2"}
    assert options(made, "folder")["existing"] == "replace"


def test_where_only_what_is_published_changes_no_step_runs(settings):
    made, first = ask(settings, changes={"mail.subject": "Again"})
    assert first is None
    assert fingerprints(made) == fingerprints(settings)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "Say what is to be different"),
        ({"step": "nothing"}, "no step 'nothing'; it has fetch, analyse, describe, mesh"),
        ({"extra": ["--x"]}, r"several commands \(analyse, mesh\): name one with --step"),
        ({"changes": {"nobody.x": 1}}, "'nobody.x' names no option"),
        ({"changes": {"mesh": 1}}, "'mesh' names no option"),
        ({"changes": {"mesh.argv.deep.er": 1}}, "mesh.argv.deep is no table"),
        ({"changes": {"mesh.limit": "soon", "mesh.nothing": 1}}, "mesh.limit: .*; mesh.nothing: there is no such key"),
        ({"step": "mesh", "changes": {"analyse.limit": "8h"}}, "analyse would change, but it comes before mesh"),
    ],
)
def test_what_cannot_be_is_one_sentence_with_every_fault(settings, asked, sentence):
    with pytest.raises(Refused, match=sentence):
        ask(settings, **asked)


def test_the_outlook_says_what_runs_what_may_change_and_what_becomes_of_it(settings):
    made, first = ask(settings, step="mesh")
    told = describe_rework(
        made, first, 1, {"analyse": [{"role": "poses"}], "mesh": [{"role": "body"}], "fetch": [{"role": "source"}]}
    )
    assert {one["name"]: one["why"] for one in told["steps"]} == {
        "fetch": "what was fetched is not kept", "analyse": None, "describe": "it makes words only",
        "mesh": "the rework begins here",
    }  # fmt: skip
    assert told["files"] == [{"role": "body"}]
    assert told["notices"] == ["mail"]
    assert [one["name"] for one in told["publishers"]] == ["folder"]
    everything = describe_rework(made, first, None, {})
    assert {one["why"] for one in everything["steps"]} == {"nothing is kept of the last run"}
    nothing = describe_rework(made, None, 1, {})
    assert [one["name"] for one in nothing["steps"] if one["runs"]] == ["describe"]
