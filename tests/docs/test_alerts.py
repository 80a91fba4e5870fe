"""The alerts and the dashboard in etc/: they ask for what there is, they fire when they should, and each has its page."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from vidd.errors import FaultCode
from vidd.model.event import Fate
from vidd.model.job import State
from vidd.model.publication import PublicationState
from vidd.web.metrics import METRICS

ROOT = Path(__file__).parents[2]
RULES = ROOT / "etc/prometheus/vidd.rules.yml"
TESTS = ROOT / "etc/prometheus/vidd.rules.test.yml"
DASHBOARD = ROOT / "etc/grafana/vidd.json"
PAGE = ROOT / "docs/how-to/alerts.md"
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
LABELS = {
    name: {*metric.labels, "le"}
    for metric in METRICS
    for name in (metric.name, *(f"{metric.name}{end}" for end in ("_bucket", "_sum", "_count")))
}
OWN_OF_PROMETHEUS = {"instance", "job"}
VALUES = {"state": {*State, *PublicationState}, "code": {*FaultCode}, "fate": {*Fate}}

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="needs Debian package: prometheus"
)


def expressions():
    """Every expression of the dashboard and the rules, by where it is."""
    board = json.loads(DASHBOARD.read_text())
    asked = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [(note["name"], note["expr"]) for note in board["annotations"]["list"]]
    asked += [(name, rule["expr"]) for name, rule in ALERTS.items()]
    return [pytest.param(text, id=where) for where, text in asked]


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_asks_for_metrics_labels_and_values_that_there_are(expression):
    selected = re.findall(r"\b(vidd_\w+)(?:\{([^}]*)\})?", expression)
    assert {name for name, _ in selected} <= {*LABELS}
    for name, matchers in selected:
        for label, values in re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', matchers):
            assert label in LABELS[name] | OWN_OF_PROMETHEUS
            assert label not in VALUES or {*values.split("|")} <= VALUES[label]
    known = set().union(OWN_OF_PROMETHEUS, *(LABELS[name] for name, _ in selected))
    for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert {label.strip() for label in labels.split(",")} <= known


def test_the_dashboard_shows_every_metric_but_the_versions():
    shown = set(re.findall(r"vidd_\w+", DASHBOARD.read_text()))
    there = {metric.name + ("_bucket" if metric.type == "histogram" else "") for metric in METRICS}
    assert there - shown == set()


def test_the_dashboard_has_panels_that_do_not_overlap_and_say_what_they_show():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    cells = [
        (place["x"] + across, place["y"] + down)
        for place in (panel["gridPos"] for panel in panels)
        for across in range(place["w"])
        for down in range(place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(across for across, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in panels if panel["type"] != "row" and not panel.get("description")] == []


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_section_that_says_what_to_do_and_a_case_in_the_rules_tests(name):
    rule = ALERTS[name]
    assert {*rule["annotations"]} == {"summary", "description", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert (ROOT / page, anchor) == (PAGE, name.lower())
    sections = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    assert sections[name].startswith(f"{rule['labels']['severity'].capitalize()}. ")
    assert "`vidd " in sections[name] or "journalctl" in sections[name] or "#vidddisklow" in sections[name]
    assert re.search(rf"\b{name}\b", TESTS.read_text())


def test_the_page_of_alerts_has_no_section_of_an_alert_that_is_gone():
    assert re.findall(r"^## (\w+)$", PAGE.read_text(), re.MULTILINE) == [*ALERTS]


@needs_prometheus
@pytest.mark.peer
@pytest.mark.parametrize(("verb", "file"), [("check", RULES), ("test", TESTS)])
def test_promtool_finds_the_rules_right(verb, file):
    done = subprocess.run(["promtool", verb, "rules", file], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
