"""What is said in two places is the same in both: code, settings, README, documentation."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError
from typer.main import get_command
from typer.testing import CliRunner

from vidd.__main__ import app
from vidd.model.augmentation import PROPERTIES, allowed_bounds
from vidd.model.check_policy import Policy
from vidd.pipelines.registry import ACCOUNTS, PUBLISHERS, SOURCES, STEPS, model_of, module_of
from vidd.pipelines.validation import make_ready
from vidd.settings.schema import Check, Daemon, Ffmpeg, Limits, Pipeline, Retry, Settings, embedded, read_settings
from vidd.web.metrics import METRICS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = sorted({*(DOCS / "reference").glob("*.md")} - {DOCS / "reference/index.md"})
WRITTEN = sorted({*DOCS.rglob("*.md")} - {*GENERATED})
HOW_TO = "\n".join(path.read_text() for path in sorted((DOCS / "how-to").glob("*.md")))
AT_ROOT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*AT_ROOT[:-1], *WRITTEN]
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
    "timeline.toml": ["VIDD_ACCOUNTS__BIRDS__TOKEN", "VIDD_ACCOUNTS__POST__PASSWORD"],
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
INVENTED = re.compile("nextcloud|vidd_checksums|vidd_web_list")
"""What docs/how-to/write-an-integration.md writes is no part of vidd; a test beside it runs that."""


NOT_MODULES = {"vidd.toml", "vidd.service", "vidd.sources", "vidd.steps", "vidd.publishers", "vidd.accounts"}
"""Files, and the groups of entry points."""


def called(path):
    return str(path.relative_to(ROOT))


def within(path, *languages):
    """The fenced blocks of a page, or the indented ones of the README."""
    return [
        body
        for language, body in re.findall(r"^```(\w*).*?\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        if language in languages
    ]


def commands(group, path=()):
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands(get_command(app)))


# ---- what is generated


def regenerated(tmp_path):
    result = CliRunner().invoke(app, ["reference", str(tmp_path)])
    assert result.exit_code == 0, result.output
    return {path.name: path.read_text() for path in tmp_path.iterdir()}


def test_the_pages_of_the_reference_are_what_the_code_says(tmp_path):
    committed = {path.name: path.read_text() for path in GENERATED}
    made = regenerated(tmp_path)
    assert committed.keys() == made.keys(), "run: vidd reference docs/reference"
    assert [name for name in made if made[name] != committed[name]] == [], "run: vidd reference docs/reference"


def test_the_reference_links_to_every_generated_page():
    index, nav = (DOCS / "reference/index.md").read_text(), (ROOT / "mkdocs.yml").read_text()
    assert [path.name for path in GENERATED if f"]({path.name})" not in index] == []
    assert [path.name for path in GENERATED if f"reference/{path.name}" not in nav] == []


# ---- kinds, accounts, options, commands, metrics


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_every_kind_has_an_example_and_a_how_to_page(family, kind):
    table = {"sources": r"sources\.[\w-]+", "steps": r"\[pipelines\.\w+\.steps\]"}.get(
        family, r"\[pipelines\.\w+\.\w+\]"
    )
    assert re.search(rf'kind = "{kind}"', ALL_TOML)
    assert re.search(rf'^\[{table}\][^\n]*\n(?:[^\n[]+\n)*?kind = "{kind}"', HOW_TO, re.MULTILINE)


@pytest.mark.parametrize("kind", ACCOUNTS)
def test_every_account_has_an_example_and_a_how_to_page(kind):
    assert re.search(rf'kind = "{kind}"', ALL_TOML)
    assert re.search(rf'^\[accounts\.[\w-]+\][^\n]*\n(?:[^\n[]+\n)*?kind = "{kind}"', HOW_TO, re.MULTILINE)


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_every_option_of_a_kind_says_what_it_is(family, kind):
    fields = module_of(family, kind).Options.model_fields
    assert [name for name, field in fields.items() if not field.description] == []


@pytest.mark.parametrize("name", PROPERTIES)
def test_the_page_of_data_sets_has_every_augmentation_with_its_range(name):
    [row] = re.findall(rf"^\|[^|]*`{name}`.*$", (DOCS / "how-to/data-sets.md").read_text(), re.MULTILINE)
    least, most = allowed_bounds(name)
    if least != most:
        assert row.endswith(f"| {least:g} | {most:g} |")


def test_the_page_of_daily_work_has_every_command():
    page = (DOCS / "how-to/daily-work.md").read_text()
    shown = {path for path, command in COMMANDS.items() if not command.hidden and not hasattr(command, "commands")}
    assert [path for path in shown if f"`vidd {' '.join(path)}" not in page] == []


def typed():
    """Every command that a page shows: in a code span, or in a block of a shell."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        lines = re.findall(r"^    (.*)$", text, re.MULTILINE) if page in AT_ROOT else []
        lines += [line for block in within(page, "sh") for line in block.split("\n")]
        spans = [f"vidd {words}" for words in re.findall(r"`vidd ([^`]+)`", text)]
        for line in [*spans, *lines]:
            for words in re.findall(r"(?:^|\$\()vidd ([a-z][a-z-]+(?: [^|;&)#]*)?)", line):
                yield pytest.param(words.split(), id=f"{called(page)}: {words.strip()}")


@pytest.mark.parametrize("words", list(typed()))
def test_every_command_that_a_page_shows_is_there_with_its_options(words):
    path = tuple(words[:2]) if tuple(words[:2]) in COMMANDS else tuple(words[:1])
    assert path in COMMANDS
    known = {name for parameter in COMMANDS[path].params for name in (*parameter.opts, *parameter.secondary_opts)}
    own = words[: words.index("--")] if "--" in words else words
    asked = {word.partition("=")[0].strip("[],.") for word in own if word.strip("[").startswith("--")}
    assert asked <= known | {"--help"}


def test_every_metric_that_a_page_names_is_there():
    named = {name for page in PAGES for name in re.findall(r"\bvidd_[a-z]+_?[a-z_]*\b", page.read_text())}
    series = {f"{metric.name}{end}" for metric in METRICS for end in ("", "_total", "_bucket", "_sum", "_count")}
    assert {name for name in named if not INVENTED.search(name)} - series == set()


# ---- settings


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


@pytest.mark.slow
@pytest.mark.parametrize("path", [ROOT / "etc/vidd.toml", *EXAMPLES], ids=lambda path: path.name)
def test_every_settings_file_that_is_shipped_can_be_used(path, monkeypatch):
    for name in SECRETS.get(path.name, ()):
        monkeypatch.setenv(name, "from-the-environment")
    ready = make_ready(read_settings(path))
    assert ready.sources
    assert ready.pipelines


def test_the_embedded_settings_are_the_reference():
    assert embedded() == REFERENCE


def test_the_branding_of_a_talk_that_the_reference_settings_show_is_the_default():
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


def faults(model, values):
    """What is wrong with the keys of an example's table. What must be set may be missing: a secret is often elsewhere."""
    try:
        TypeAdapter(model).validate_python(values)
    except ValidationError as error:
        return [
            f"{model.__name__}.{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors()
            if fault["type"] != "missing" and fault["loc"]
        ]
    return []


def faults_of_kind(family, table):
    values = {key: value for key, value in table.items() if key not in {"label", "required", "check", "kind"}}
    if family == "accounts":
        values = {key.removesuffix("_file"): value for key, value in values.items()} | {"kind": table["kind"]}
    return faults(model_of(family, table["kind"]), values) + faults(Check, table.get("check", {}))


def faults_of_settings(settings):
    """What is wrong with a piece of vidd.toml: tables and keys that there are not, and values that do not fit."""
    found = []
    for name, value in settings.items():
        match name:
            case "daemon" | "limits" | "ffmpeg" | "retry":
                found += faults(Settings.model_fields[name].annotation, value)
            case "store" | "queue":
                found += faults_of_kind(f"{name}s", value)
            case "accounts" | "sources":
                found += [fault for table in value.values() for fault in faults_of_kind(name, table)]
            case "pipelines":
                for pipeline in value.values():
                    found += faults(Pipeline, pipeline)
                    for part, family in (("steps", "steps"), ("publish", "publishers"), ("notify", "publishers")):
                        found += [fault for table in pipeline.get(part, ()) for fault in faults_of_kind(family, table)]
            case _:
                found.append(f"there is no table or key {name!r}")
    return found


def with_each_comment(text):
    """An example as it stands, and once for each key that is commented out, with that key instead of what it replaces."""
    yield text
    lines = text.split("\n")
    for at, line in enumerate(lines):
        commented = re.match(r"# (\w+) = ", line)
        if commented:
            table = max([here for here in range(at) if lines[here].startswith("[")], default=0)
            rest = [
                other
                for here, other in enumerate(lines)
                if here != at and not (here > table and re.match(rf"{commented[1]} = ", other))
            ]
            yield "\n".join([*rest[: table + 1], line.removeprefix("# "), *rest[table + 1 :]])


def examples():
    for page in PAGES:
        for block in within(page, "toml"):
            if "[project" not in block and not INVENTED.search(block):
                yield pytest.param(block, id=f"{called(page)}: {block.strip().splitlines()[0][:40]}")


@pytest.mark.parametrize("example", list(examples()))
def test_every_example_of_settings_in_the_documentation_has_keys_that_there_are(example):
    for text in with_each_comment(example):
        assert faults_of_settings(tomllib.loads(text)) == []


# ---- README and pages


def test_the_readme_is_read_in_one_go():
    assert len((ROOT / "README.md").read_bytes()) <= 6144


def test_the_readmes_two_commands_are_there_and_the_tests_one_is_what_ci_runs():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci/run").read_text()
    shown = re.findall(r"^    (python3 -m venv .*)$", readme, re.MULTILINE)
    assert [command.rpartition("/")[2] for command in shown] == ["vidd demo", "python -m pytest"]
    [filtered] = re.findall(r"^test_command=\$\(sed -n '(.*)' README\.md\)$", ci, re.MULTILINE)
    found = subprocess.run(["sed", "-n", filtered, "README.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == f"{shown[1]}\n"
    assert ci.strip().split("\n")[-1].startswith('exec bash -c "${test_command')


def slug(heading):
    """The anchor of a heading, as mkdocs and the hosts of repositories make it."""
    return re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower())


def headings(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", [*AT_ROOT, *WRITTEN, *GENERATED], ids=called)
def test_every_link_of_a_page_leads_somewhere(page):
    text = re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL))
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        found = (page.parent / target).resolve() if target else page
        if not found.exists() or (anchor and anchor not in headings(found)):
            broken.append(link)
    assert broken == []


def files():
    """What belongs to the project, by path from its root."""
    listed = {
        path for folder in ("vidd", "tests", "bench", "etc", "systemd", ".ci") for path in (ROOT / folder).rglob("*")
    }
    return {called(path) for path in {*listed, *ROOT.iterdir(), *DOCS.rglob("*")} if "__pycache__" not in path.parts}


def test_every_file_and_module_that_a_page_names_is_there():
    there = files()
    names = {Path(path).name for path in there}
    missing = []
    for page in PAGES:
        for span in re.findall(r"`([^`\s]+)`", page.read_text()):
            path = span.rstrip("/")
            if INVENTED.search(span) or "…" in span or "*" in span or "NAME" in span:
                continue
            if re.match(r"(vidd|tests|bench|etc|systemd|docs|\.ci)/", span):
                missing += [f"{called(page)}: {span}"] if path not in there else []
            elif span.endswith(".py") and "/" not in span:
                missing += [f"{called(page)}: {span}"] if span not in names else []
            elif re.fullmatch(r"vidd(\.\w+)+", span) and span not in NOT_MODULES:
                module = span.replace(".", "/")
                missing += [f"{called(page)}: {span}"] if not {module, f"{module}.py"} & there else []
    assert missing == []


def test_every_test_that_a_how_to_page_names_is_there():
    there = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    pages = (DOCS / "how-to").glob("*.md")
    named = {name for page in pages for name in re.findall(r"`(test_\w+)`", page.read_text())}
    assert sorted(named - there) == []


def test_the_page_of_the_architecture_has_the_layers_of_the_contract_in_their_order():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["name"] == "One way down"]
    rows = re.findall(r"^\| (`.*?) \|", (DOCS / "development/architecture.md").read_text(), re.MULTILINE)
    shown = [re.findall(r"`(\w+)`", row) for row in rows]
    assert shown == [re.findall(r"\w+", layer) for layer in layers]


def test_the_glossarys_words_of_the_code_are_in_the_code():
    table = (DOCS / "glossary.md").read_text().partition("## Words in the code")[2]
    new = {
        word
        for _, words in re.findall(r"^\| (.*) \| (.*) \|$", table, re.MULTILINE)
        for word in re.findall(r"`([\w.]+)`", words)
    }
    code = "\n".join(f"{path.stem} {path.read_text()}" for path in (ROOT / "vidd").rglob("*.py"))
    assert [word for word in new if not re.search(rf"\b{word.rpartition('.')[2]}\b", code)] == []


# ---- versions


def bare(requirement):
    return re.split(r"[><=\[; ]", requirement)[0].lower().replace("_", "-")


def pinned(name):
    return {bare(line) for line in (ROOT / name).read_text().splitlines() if re.match(r"[A-Za-z0-9]", line)}


def test_no_version_is_left_out_of_the_constraints():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    assert {bare(name) for name in [*project["dependencies"], *extras]} - pinned("constraints.txt") == set()


def test_the_lock_has_what_vidd_needs_in_the_versions_of_the_constraints():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {bare(name) for name in project["dependencies"]} - pinned("requirements.lock") == set()
    locked, constraints = (
        dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / name).read_text().lower().replace("_", "-"), re.MULTILINE))
        for name in ("requirements.lock", "constraints.txt")
    )
    assert {name: version for name, version in locked.items() if constraints.get(name) != version} == {}


@pytest.mark.parametrize("name", ["constraints.txt", "requirements.lock"])
def test_no_index_address_is_committed(name):
    assert "://" not in (ROOT / name).read_text()


# ---- tests


def _sleeps(tree, *, polling=False):
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep"
        if named and not polling and ast.unparse(node.args[0]) != "0":
            yield node.lineno
        yield from _sleeps(node, polling=polling or isinstance(node, ast.While))


@pytest.mark.slow
def test_the_tests_do_not_sleep_but_between_two_looks():
    paths = (ROOT / "tests").rglob("test_*.py")
    sleepers = [f"{path.name}:{line}" for path in paths for line in _sleeps(ast.parse(path.read_text()))]
    assert sleepers == []
