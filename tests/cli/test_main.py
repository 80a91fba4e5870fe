"""What the command `vidd` does with a fault that a command let through, and with packages of others that are broken."""

import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from vidd import __main__ as entry
from vidd.errors import FaultCode, Refused
from vidd.pipelines import reference, registry


def test_a_fault_that_a_command_let_through_is_a_sentence_and_an_exit_code():
    script = textwrap.dedent("""
        import vidd.__main__ as entry
        from vidd.errors import FaultCode, Refused
        def broken() -> None:
            raise Refused("The kind 'shelf' cannot be used.", code=FaultCode.BAD_SETTINGS)
        entry.app.command(name="broken")(broken)
        entry.main()
    """)
    ended = subprocess.run(
        [sys.executable, "-c", script, "broken"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", "vidd: The kind 'shelf' cannot be used.\n")


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A function that lets another package register a publisher with this module."""

    def register(text):
        (tmp_path / "shelf_kind.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "shelf_kind", raising=False)
        points = [EntryPoint("shelf", "shelf_kind", "vidd.publishers")]
        monkeypatch.setattr(registry, "entry_points", lambda *, group: points if group == "vidd.publishers" else [])
        registry._foreign.cache_clear()
        reference.kind_of.cache_clear()

    yield register
    registry._foreign.cache_clear()


def test_a_publisher_without_a_function_is_told_which_one_it_lacks(shelf):
    shelf("class Options: ...\nasync def publish(options, context): ...\n")
    with pytest.raises(Refused, match="its module shelf_kind has no reconcile") as refused:
        registry.publisher_module("shelf")
    assert refused.value.code is FaultCode.NOT_INSTALLED


def test_a_broken_package_leaves_the_list_of_kinds_whole(shelf):
    shelf("import nosuchmodule\n")
    shown = CliRunner().invoke(entry.app, ["kinds"])
    assert shown.exit_code == 0
    assert "needs 'nosuchmodule', which is not installed" in " ".join(shown.stdout.split())
    assert "youtube" in shown.stdout
