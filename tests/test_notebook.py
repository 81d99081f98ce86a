"""The notebook runs from a store, shows what is in it, and is kept without what a run leaves behind."""

import importlib.util
import json
import re
from pathlib import Path

import nbformat
import polars as pl
import pytest
from platform_fixtures import MONTHS

from housing_assets.core.errors import HousingError
from housing_assets.store.pointers import champion_version

FOLDER = Path(__file__).parents[1] / "notebooks"
SPEC = importlib.util.spec_from_file_location("render", FOLDER / "render.py")
render = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(render)


@pytest.fixture(scope="module")
def executed(made, tmp_path_factory) -> nbformat.NotebookNode:
    return render.execute(str(made.folder), tmp_path_factory.mktemp("kernel"))


def shown(notebook: nbformat.NotebookNode, cell: str) -> str:
    """The Markdown that a cell shows."""
    (found,) = (c for c in notebook.cells if c.id == cell)
    return "\n".join(o["data"]["text/markdown"] for o in found.outputs if "text/markdown" in o.get("data", {}))


def rows_of(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_every_cell_runs_and_every_section_ends_with_what_is_seen(executed):
    for cell in executed.cells:
        if cell.cell_type == "code":
            assert cell.execution_count
            assert not [o for o in cell.outputs if o.output_type in ("error", "stream")], cell.id
    pictures = [o for c in executed.cells for o in c.get("outputs", ()) if "image/png" in o.get("data", {})]
    assert len(pictures) >= 8
    for section in ("panel", "split", "leakage", "model"):
        assert shown(executed, f"{section}-seen").startswith("**Seen:**")


def test_its_figures_are_those_of_the_store(executed, made):
    panel = made.store.months("cleaned").read_many(MONTHS)
    size = shown(executed, "panel-size")
    assert f"**{panel.height:,} rows**: {panel['zipcode'].n_unique()} zips in {panel['city_full'].n_unique()}" in size
    assert f"**{len(MONTHS)} months** ({MONTHS[0]} to {MONTHS[-1]})" in size
    priced = panel.drop_nulls("price")
    told = {row[0]: row[2:4] for row in rows_of(shown(executed, "split-table"))}
    for split in ("train", "eval", "holdout"):
        part = priced.filter(pl.col("split") == split)
        assert told[split] == [f"{part.height:,}", f"{part['price'].median():,.2f}"]


def test_the_errors_are_those_that_the_platform_found(executed, made):
    version = champion_version(made.store)
    assert version in shown(executed, "model-card")
    overall = made.store.read_table("model_evaluation").filter(pl.col("by") == "overall")
    found = dict(overall.select(pl.concat_str("split", "predictor", separator=" "), "mae").iter_rows())
    kind = version.rpartition("-")[0]
    told = {(split, name): mae for split, name, mae, *_ in rows_of(shown(executed, "model-errors"))}
    for split in ("eval", "holdout"):
        assert told[split, "champion"] == f"{found[f'{split} {kind}_model']:,.1f}"
        assert told[split, "last_known_price"] == f"{found[f'{split} last_known_price']:,.1f}"
    predictions = made.store.months("monthly_predictions")
    known = predictions.read_many(predictions.available()).drop_nulls("actual_price")
    inside = 100 * known["actual_price"].is_between(known["predicted_low"], known["predicted_high"]).mean()
    assert f"hold {inside:.1f}% of {known.height:,} prices" in shown(executed, "model-seen")


def test_the_future_changes_nothing_and_the_controls_are_noticed(executed):
    changes = rows_of(shown(executed, "leakage-month-computed"))
    assert len(changes) == 7
    for _, disturbed, change in changes:
        assert float(change.replace(",", "")) > 1 if "control" in disturbed else float(change) < 1e-4, disturbed


def test_the_page_needs_nothing_from_outside_and_tells_pictures_in_words(executed, caplog):
    page = render.page(executed)
    assert "Alternative text is missing" not in caplog.text
    assert page.count("<strong>Seen:</strong>") == 4
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//[^"']*""", page)


def test_a_store_with_nothing_in_it_is_told_at_once(tmp_path):
    with pytest.raises(HousingError, match="has no cleaned yet: run `make run` first"):
        render.execute(str(tmp_path), tmp_path)


def test_it_is_kept_without_outputs_and_without_traces_of_a_machine():
    text = (FOLDER / "eda.ipynb").read_text()
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
        assert cell["metadata"] == {}
    assert notebook["metadata"].keys() == {"kernelspec", "language_info"}
    assert "/home/" not in text
    assert str(FOLDER.parent) not in text
