"""The alert rules and the dashboard of `infra/monitoring`: their metrics are exported, and each alert is explained."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml
from stacks import INFRA

from housing_assets.cli.metrics import METRICS, UP
from housing_serving.middleware import Metrics

FOLDER = INFRA / "monitoring"
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def labels() -> dict[str, set[str]]:
    """The labels of every metric that the code exports, by the names of its series."""
    exported = {UP: set(), **{metric.name: set(metric.labels) for metric in METRICS}}
    for metric in vars(Metrics()).values():
        if hasattr(metric, "_labelnames"):  # prometheus_client names no public way to a metric without samples
            (family,) = metric.describe()
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
            for suffix in suffixes:
                le = {"le"} if suffix == "_bucket" else set()
                exported[family.name + suffix] = {*metric._labelnames, *le}
    return exported


EXPORTED = labels()


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of the rules and of the dashboard, by whose it is."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def named(expression: str) -> Iterable[tuple[str, str]]:
    """Each metric of an expression with its selector."""
    return re.findall(r"\b(housing_[a-z_]+)(?:\{([^}]*)\})?", expression)


@pytest.mark.parametrize(("name", "expression"), expressions())
def test_every_metric_and_label_is_exported(name, expression):
    assert named(expression)
    for metric, selector in named(expression):
        assert metric in EXPORTED, name
        assert set(re.findall(r"(\w+)\s*[=!]", selector)) <= EXPORTED[metric], name


def test_labels_in_texts_are_those_of_the_expression():
    texts = [(r["expr"], json.dumps(r["annotations"])) for r in RULES]
    texts += [(t["expr"], t["legendFormat"]) for panel in PANELS for t in panel["targets"]]
    for expression, text in texts:
        known = set().union(*(EXPORTED[metric] for metric, _ in named(expression)), {"instance"})
        used = set(re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", text))
        assert used <= known, (expression, used)


def test_every_alert_says_how_urgent_it_is_and_has_a_row_in_the_runbook():
    page = (INFRA.parent / "docs/runbook.md").read_text()
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"]
        assert f"| {rule['alert']} |" in page


def test_each_kind_of_work_is_on_the_dashboard():
    shown = {metric for _, expression in expressions() for metric, _ in named(expression)}
    unseen = EXPORTED.keys() - shown
    # The newest read and other times are there for whoever asks; `_sum` and `_count` come with each histogram.
    assert {name for name in unseen if not name.endswith(("_seconds", "_sum", "_count"))} == {"housing_failed_checks"}


def test_the_dashboard_can_be_imported():
    assert DASHBOARD["id"] is None
    assert DASHBOARD["title"]
    assert DASHBOARD["schemaVersion"] >= 36
    (source,) = DASHBOARD["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        own = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells |= own
    for panel in PANELS:
        assert panel["type"] in ("stat", "timeseries", "table")
        assert panel["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)


def test_the_rules_hold_where_their_tool_is_there():
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    assert {*groups[0]} == {"name", "rules"}
    tested = {t["alertname"] for case in yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
              for t in case["alert_rule_test"]}  # fmt: skip
    assert tested <= {rule["alert"] for rule in RULES}
    if promtool := shutil.which("promtool"):  # Debian's package prometheus; the workflow has it
        for command in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]):
            done = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
