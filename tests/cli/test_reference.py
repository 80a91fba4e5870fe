import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field
from typer.testing import CliRunner

from vidd.__main__ import app
from vidd.pipelines.reference import FAMILIES, Option, kinds_of, options_of, sections, type_in_words
from vidd.settings.types import Duration, Size

ROOT = Path(__file__).parents[2]
KINDS = [kind for family in FAMILIES for kind in kinds_of(family)]


def every_option(options):
    for option in options:
        yield option
        for table in option.tables:
            yield from every_option(table.options)


def run(*words):
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.family}-{kind.name}")
def test_every_option_has_a_type_and_a_description(kind):
    assert kind.summary
    assert [option.name for option in every_option(kind.options) if not (option.type and option.description)] == []


def test_every_setting_without_a_kind_has_a_description():
    found = [option for section in sections() for option in every_option(section.options)]
    assert [option.name for option in found if not option.description] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.family}-{kind.name}")
def test_the_example_of_a_kind_is_toml_with_its_comments_taken_off_too(kind):
    tomllib.loads(kind.example)
    tomllib.loads("\n".join(line.removeprefix("# ") for line in kind.example.split("\n")))


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Duration, "duration"),
        (Duration | None, "duration"),
        (tuple[Size, ...], "list of sizes"),
        (dict[str, int], "table of whole numbers by name"),
        (int | str, "whole number or text"),
        (Annotated[int, Field(ge=1, le=32)], "whole number, 1 to 32"),
        (Annotated[Duration, Field(gt=0, le=3600)], "duration, above 0s, at most 1h"),
        (Annotated[str, Field(min_length=1)], "text, not empty"),
        (Literal["auto", "full"], '"auto" or "full"'),
    ],
)
def test_a_type_is_said_in_words(annotation, words):
    assert type_in_words(annotation) == words


def test_options_of_a_kind_name_their_default_as_toml_writes_it():
    from vidd.settings.schema import Limits, Retry

    assert options_of(Retry)[2] == Option("longest", "duration", False, '"1h"', False, "The longest wait.")
    assert options_of(Limits)[-1].default == '"5GiB"'


def test_kinds_are_listed_and_shown_at_the_terminal():
    listed = run("kinds")
    assert "  youtube  " in listed.output
    shown = run("kinds", "folder")
    assert "source folder" in shown.output
    assert "publisher folder" in shown.output
    assert 'settle  (duration, 0s or more; default "2s")' in shown.output
    unknown = run("kinds", "dropbox")
    assert (unknown.exit_code, unknown.output) == (1, "vidd: There is no kind 'dropbox': vidd kinds lists them.\n")


def test_the_pages_are_the_same_each_time(tmp_path):
    for name in ("first", "second"):
        assert run("reference", str(tmp_path / name)).exit_code == 0
    first, second = (
        {page.name: page.read_text() for page in (tmp_path / name).iterdir()} for name in ("first", "second")
    )
    assert first == second
    assert set(first) == {
        *("settings.md", "sources.md", "steps.md", "publishers.md", "accounts.md", "command-line.md"),
        *("http-api.md", "metrics.md", "job-states.md", "exit-codes.md"),
    }  # fmt: skip
    assert "| `--until-idle` |" in first["command-line.md"]
    assert "`POST /api/jobs/{id}/retry`" in first["http-api.md"]
    assert "| `vidd_jobs` | gauge | `pipeline`, `state` |" in first["metrics.md"]


def test_the_man_page_is_what_vidd_man_prints():
    assert run("man").stdout == (ROOT / "etc/vidd.1").read_text(), "run: vidd man > etc/vidd.1"


@pytest.mark.skipif(shutil.which("man") is None, reason="needs Debian package: man-db")
def test_the_man_page_can_be_read():
    shown = subprocess.run(
        ["man", "--warnings", "-l", str(ROOT / "etc/vidd.1")], capture_output=True, text=True, check=True
    )
    assert shown.stderr == ""
    assert "vidd retry [OPTIONS] [JOBS...]" in shown.stdout


def test_the_shell_completes_commands_and_options(monkeypatch):
    monkeypatch.setenv("_VIDD_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "vidd ret")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert CliRunner().invoke(app, prog_name="vidd").output.split() == ["retry", "retract"]
