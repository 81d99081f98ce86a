"""What the README and the pages of `docs/` show works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("infra/*.md"), *ROOT.glob("housing_*/**/*.md")]


def test_the_example_runs(tmp_path):
    (example,) = (e for e in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "housing_assets" in e)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("model", "train_median", "metro_median", "last_known_price"):
        assert name in done.stdout


def test_the_page_of_settings_is_the_one_that_make_docs_writes():
    done = subprocess.run([sys.executable, DOCS / "configuration.py"], capture_output=True, text=True, check=True)
    assert (DOCS / "configuration.md").read_text() == done.stdout
    written = "".join(page.read_text() for page in (ROOT / "README.md", *DOCS.glob("*.md")))
    for variable in re.findall(r"`(?:HOUSING|MLFLOW)_[A-Z_]+`", written):
        assert variable in done.stdout, variable


def test_every_command_is_on_the_page_of_commands():
    from housing_assets.cli.main import app

    page = (DOCS / "command-line.md").read_text()
    for command in app.registered_commands:
        assert f"`housing {command.callback.__name__}" in page


@pytest.mark.parametrize("page", sorted(p.relative_to(ROOT) for p in PAGES), ids=str)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), target
