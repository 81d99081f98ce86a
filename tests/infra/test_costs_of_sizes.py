"""The costs by size: they add up, and the middle one is the runbook's."""

import re

import pytest
from stacks import INFRA

SECTION = (INFRA / "README.md").read_text().partition("## What it costs")[2].partition("\n## ")[0]
ROWS = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in SECTION.splitlines() if "|" in line][2:]


@pytest.mark.parametrize("column", [1, 2, 3])
def test_a_size_adds_up(column):
    *parts, whole = (float(row[column]) for row in ROWS)
    assert sum(parts) == pytest.approx(whole)


def test_the_sample_costs_what_the_runbook_says():
    (whole,) = re.findall(r"\*\*All\*\*.*?([0-9.]+)\*\*", (INFRA.parent / "docs/runbook.md").read_text())
    assert ROWS[-1][2] == whole
