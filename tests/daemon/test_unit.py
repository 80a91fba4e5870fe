import json
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "vidd.service"

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs Debian package: systemd")


def analyze(*words):
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False)


def settings():
    lines = [line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith(("#", "["))]
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def test_systemd_understands_every_line(tmp_path):
    copy = tmp_path / "vidd.service"
    copy.write_text(UNIT.read_text().replace("/opt/vidd/.venv/bin/vidd", shutil.which("true")))
    found = analyze("verify", "--recursive-errors=yes", str(copy))
    assert (found.returncode, found.stderr) == (0, "")


def test_what_it_is_exposed_to_is_at_most_1_5():
    found = analyze("security", "--offline=true", "--threshold=15", "--no-pager", str(UNIT))
    assert found.returncode == 0, found.stdout.splitlines()[-1]
    listed = json.loads(analyze("security", "--offline=true", "--json=short", str(UNIT)).stdout)
    open_ones = {one["json_field"] for one in listed if not one["set"] and float(one["exposure"] or 0) >= 0.2}
    assert open_ones <= {
        "PrivateNetwork",
        "RestrictAddressFamilies_AF_INET_INET6",
        "IPAddressDeny",
        "SystemCallFilter_resources",
        "SystemCallFilter_privileged",
    }


def test_what_ties_ffmpegs_life_to_the_daemons_may_set_its_capabilities_to_none():
    assert "SystemCallFilter=capset" in UNIT.read_text().splitlines()


def test_the_daemon_says_itself_that_it_is_ready_and_is_given_longer_than_its_grace():
    found = settings()
    assert (found["Type"], found["NotifyAccess"], found["KillMode"]) == ("notify", "main", "mixed")
    assert int(found["TimeoutStopSec"]) > 60
    assert int(found["WatchdogSec"]) == 30
