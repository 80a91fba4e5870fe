import re
from pathlib import Path

import pytest
import typer

from vidd.__main__ import app
from vidd.cli.accounts import _VARIABLE
from vidd.cli.command_tree import commands_of
from vidd.cli.exit_codes import MEANINGS, ExitCode, exit_code
from vidd.errors import FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.settings.schema import NOT_SETTINGS, PREFIX, Settings, SettingsFault

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Refused("no"), 1),
        (Refused("no", code=FaultCode.NOT_FOUND), 1),
        (OutcomeUnknown("perhaps"), 1),
        (SettingsFault(["daemon.grace: no"]), 2),
        (Refused("no", code=FaultCode.BAD_SETTINGS), 2),
        (Refused("No daemon answers", code=FaultCode.NO_DAEMON), 3),
        (Refused("No daemon answers, as somebody says"), 1),
        (RetryLater("later"), 4),
        (RetryLater("later", code=FaultCode.UNREACHABLE), 4),
    ],
)
def test_a_fault_has_its_exit_code(fault, code):
    assert exit_code(fault) == code


def test_every_exit_code_has_a_meaning():
    assert list(MEANINGS) == list(ExitCode)
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4, 130]


def test_every_variable_of_the_command_line_is_known_as_no_setting():
    commands = list(commands_of(typer.main.get_command(app)))
    named = {parameter.environment for command in commands for parameter in (*command.parameters, *command.common)}
    assert (named - {""}) | {_VARIABLE} <= NOT_SETTINGS


def test_every_variable_that_the_documents_name_is_a_setting_or_known_as_none():
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "etc").rglob("*.toml")]
    documents += [ROOT / "systemd/vidd.service"]
    named = {name for path in documents for name in re.findall(r"\bVIDD_[A-Z][A-Z_]*[A-Z]\b", path.read_text())}
    tables = {PREFIX + name.upper() for name in Settings.model_fields}
    assert {name for name in named if name.split("__")[0] not in tables} <= NOT_SETTINGS
