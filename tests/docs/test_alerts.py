"""The alert rules and the dashboard fit what vidd measures, and each alert says what to do."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from vidd.web.metrics import METRICS

ROOT = Path(__file__).parents[2]
RULES = ROOT / "etc" / "prometheus" / "vidd.rules.yml"
NAMES = {
    name
    for metric in METRICS
    for name in (
        [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
        if metric.type == "histogram"
        else [metric.name]
    )
}


def alerts():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions():
    board = json.loads((ROOT / "etc" / "grafana" / "vidd.json").read_text())
    shown = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [rule["expr"] for rule in alerts()] + shown


def test_rules_and_dashboard_ask_for_metrics_that_there_are():
    asked = {name for expression in expressions() for name in re.findall(r"\bvidd_\w+", expression)}
    assert asked <= NAMES
    assert len(asked) > 15


def test_labels_in_rules_and_dashboard_are_those_of_their_metrics():
    labels = {metric.name: {*metric.labels, "instance", "job"} for metric in METRICS}
    for expression in expressions():
        for name, within in re.findall(r"\b(vidd_\w+)\{([^}]*)\}", expression):
            known = labels[name] if name in labels else labels[name.removesuffix("_bucket")] | {"le"}
            assert set(re.findall(r"(\w+)\s*[=!]~?", within)) <= known, expression


def test_each_alert_has_a_section_that_says_what_to_do():
    text = (ROOT / "docs" / "how-to" / "alerts.md").read_text()
    sections = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    assert [rule["alert"] for rule in alerts()] == sections
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"docs/how-to/alerts.md#{rule['alert'].lower()}"


@pytest.mark.peer
@pytest.mark.skipif(not shutil.which("promtool"), reason="needs Debian package: prometheus")
@pytest.mark.parametrize("words", [["check", "rules", "vidd.rules.yml"], ["test", "rules", "vidd.rules.test.yml"]])
def test_promtool_accepts_the_rules_and_each_fires_when_it_should_and_only_then(words):
    ended = subprocess.run(["promtool", *words], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    assert "SUCCESS" in ended.stdout
    if words[0] == "test":
        tried = yaml.safe_load((RULES.parent / "vidd.rules.test.yml").read_text())["tests"]
        assert len(tried) == 2 * len(alerts())
