"""What is said in two places is the same in both."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from vidd.__main__ import app
from vidd.model.augmentation_types import PROPERTIES, bounds_of
from vidd.model.check_policy import Policy
from vidd.model.diagram import state_diagram
from vidd.model.job import MEANING
from vidd.model.publication import SENDING_MEANING
from vidd.pipelines.registry import ACCOUNTS, PUBLISHERS, SOURCES, STEPS, module_of
from vidd.pipelines.validation import make_ready
from vidd.settings.schema import Check, Daemon, Ffmpeg, Limits, Pipeline, Retry, Settings, embedded, read_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "etc/vidd.toml").read_text()
EXAMPLES = sorted((ROOT / "etc/examples").glob("*.toml"))
ALL_TOML = "\n".join([REFERENCE, *(path.read_text() for path in EXAMPLES)])
SECRETS = {
    "annotation.toml": [
        "VIDD_ACCOUNTS__CALLER__VALUE",
        "VIDD_ACCOUNTS__CONTENTS__ACCESS_KEY",
        "VIDD_ACCOUNTS__CONTENTS__SECRET_KEY",
    ],
    "talks.toml": [
        "VIDD_ACCOUNTS__LIBRARY__SECRET_KEY",
        "VIDD_ACCOUNTS__POST__PASSWORD",
        "VIDD_ACCOUNTS__CHANNEL__CLIENT_SECRET",
        "VIDD_ACCOUNTS__CHANNEL__REFRESH_TOKEN",
        "VIDD_ACCOUNTS__MAIN_STAGE__TOKEN",
        "VIDD_ACCOUNTS__SIDE_STAGE__TOKEN",
    ],
    "cms.toml": [
        "VIDD_ACCOUNTS__LAB__TOKEN",
        "VIDD_ACCOUNTS__PCLOUD__TOKEN",
        "VIDD_ACCOUNTS__POST__PASSWORD",
        "DO_SPACES_KEY",
        "DO_SPACES_SECRET",
    ],
}
KINDS = [
    *(("sources", kind) for kind in SOURCES),
    *(("steps", kind) for kind in STEPS),
    *(("publishers", kind) for kind in PUBLISHERS),
]


def test_the_readmes_diagram_is_the_table_of_moves():
    assert state_diagram() in README, "run python -m vidd.model.diagram and put its output into the README"


@pytest.mark.parametrize(("state", "sentence"), [*MEANING.items(), *SENDING_MEANING.items()])
def test_the_readme_explains_every_state_in_the_programs_words(state, sentence):
    assert f"| `{state}` | {sentence} |" in README


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_every_kind_has_an_example_and_a_line_in_the_readme(family, kind):
    assert re.search(rf'kind = "{kind}"', ALL_TOML)
    assert re.search(rf"^\| `{kind}` \|", README, re.MULTILINE)


@pytest.mark.parametrize("name", PROPERTIES)
def test_the_readme_has_every_augmentation_with_its_range(name):
    [row] = re.findall(rf"^\|[^|]*`{name}`.*$", README, re.MULTILINE)
    least, most = bounds_of(name)
    if least != most:
        assert row.endswith(f"| {least:g} | {most:g} |")


@pytest.mark.parametrize("kind", ACCOUNTS)
def test_every_account_has_an_example(kind):
    assert re.search(rf'kind = "{kind}"', ALL_TOML)


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_every_option_of_a_kind_says_what_it_is(family, kind):
    fields = module_of(family, kind).Options.model_fields
    assert [name for name, field in fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("table", "model"), [("daemon", Daemon), ("limits", Limits), ("ffmpeg", Ffmpeg), ("retry", Retry)]
)
def test_the_reference_settings_have_every_key_with_its_default(table, model):
    section = re.split(rf"^\[{table}\]", REFERENCE, flags=re.MULTILINE)[1].split("\n[")[0]
    keys = set(re.findall(r"^(?:# )?(\w+) =", section, re.MULTILINE))
    assert keys == set(model.model_fields)
    assert model.model_validate(tomllib.loads(REFERENCE)[table]) == model()


def test_the_reference_settings_have_every_key_of_the_check_with_its_default():
    table = tomllib.loads(REFERENCE)["pipelines"]["talks"]["check"]
    assert table.keys() == Check.model_fields.keys()
    assert Check.model_validate(table) == Check()
    assert Policy(**Check().model_dump()) == Policy()


def test_the_reference_settings_name_every_table():
    assert {f"[{name}" for name in Settings.model_fields} <= set(re.findall(r"\[\w+", REFERENCE))
    assert set(re.findall(r"\[pipelines\.talks\]\n((?:\w+ = .*\n)+)", REFERENCE)[0].split()) >= {
        name for name in Pipeline.model_fields if name in {"programme", "review"}
    }


@pytest.mark.parametrize("path", [ROOT / "etc/vidd.toml", *EXAMPLES], ids=lambda path: path.name)
def test_every_settings_file_that_is_shipped_can_be_used(path, monkeypatch):
    for name in SECRETS.get(path.name, ()):
        monkeypatch.setenv(name, "from the environment")
    ready = make_ready(read_settings(path))
    assert ready.sources
    assert ready.pipelines


def test_the_embedded_settings_are_the_reference():
    assert embedded() == REFERENCE


def test_the_dressing_of_a_talk_that_the_reference_settings_show_is_the_usual_one():
    block = REFERENCE.split('kind = "trim"\n')[1].split("\n# [[pipelines")[0].split("\n[[pipelines")[0]
    table = 'kind = "trim"\n' + re.sub(r"^# (?=\w+ = |\[)", "", block, flags=re.MULTILINE).replace(
        "pipelines.talks.steps.", ""
    )
    shown = tomllib.loads(table)
    shown.pop("kind")
    options = module_of("steps", "trim").Options
    named = {"watermark": {"image": "logo.png"}, "title_card": {}, "loudness": {}}
    assert set(shown) >= set(options.model_fields) - {"source", "closing_card"}
    for name in ("watermark", "title_card", "loudness"):
        usual = getattr(options.model_validate(named), name)
        assert set(shown[name]) == set(type(usual).model_fields)
        assert type(usual).model_validate(shown[name]) == usual
        assert all(field.description for field in type(usual).model_fields.values())


def test_the_readme_names_every_command():
    for name in get_command(app).commands:
        assert f"`vidd {name}" in README, name


def test_no_version_is_left_out_of_the_constraints():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [*wanted["dependencies"], *wanted["optional-dependencies"]["test"]]
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    for name in names:
        bare = re.split(r"[><=\[; ]", name)[0].lower().replace("_", "-")
        assert bare in pinned, bare


@pytest.mark.parametrize("name", ["constraints.txt", "requirements.lock"])
def test_no_index_address_is_committed(name):
    assert "://" not in (ROOT / name).read_text()


def _sleeps(tree, *, polling=False):
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep"
        if named and not polling and ast.unparse(node.args[0]) != "0":
            yield node.lineno
        yield from _sleeps(node, polling=polling or isinstance(node, ast.While))


def test_the_tests_do_not_sleep_but_between_two_looks():
    paths = (ROOT / "tests").rglob("test_*.py")
    sleepers = [f"{path.name}:{line}" for path in paths for line in _sleeps(ast.parse(path.read_text()))]
    assert sleepers == []
