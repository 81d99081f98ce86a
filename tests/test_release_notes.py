"""The notes of a release: those of the changelog's section, or a reason why there are none."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("notes", ROOT / ".ci/notes.py")
assert SPEC
assert SPEC.loader
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)
PROJECT = '[project]\nversion = "1.2.0"\n'
CHANGELOG = """# Changelog

## [Unreleased]

### Added
- Something to come.

## [1.2.0] - 2026-11-27

### Fixed
- A fault.

## [1.1.0] - 2026-10-01

- Earlier.
"""


def test_the_section_of_the_version_and_no_other():
    assert MODULE.notes(CHANGELOG, PROJECT) == "### Fixed\n- A fault."
    assert MODULE.notes(CHANGELOG, PROJECT, "1.2.0") == MODULE.notes(CHANGELOG, PROJECT)


@pytest.mark.parametrize(
    ("changelog", "version", "reason"),
    [
        (CHANGELOG, "1.3.0", "pyproject.toml says 1.2.0"),
        (CHANGELOG.replace("[1.2.0]", "[1.2.1]"), "", "no section"),
        (CHANGELOG.replace(" - 2026-11-27", ""), "", "write the heading as"),
        (CHANGELOG.replace("### Fixed\n- A fault.\n", ""), "", "says nothing of 1.2.0"),
    ],
)
def test_a_changelog_that_is_not_ready_is_refused(changelog, version, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        MODULE.notes(changelog, PROJECT, version)


def test_the_changelog_is_in_the_form_that_is_read():
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    for heading in headings[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds
