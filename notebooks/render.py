"""Executes `eda.ipynb` against the store and writes it as one HTML page: `make notebook`."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from housing_assets.core.errors import HousingError
from housing_assets.core.limits import DEFAULT_STORE_URI
from housing_assets.store.blobs import FolderBlobs
from housing_assets.store.layout import Store
from housing_assets.store.pointers import load_champion

NOTEBOOK = Path(__file__).with_name("eda.ipynb")
PAGE = Path("data/eda.html")
NEEDED = ("cleaned", "monthly_predictions")


def execute(store_uri: str, folder: Path) -> nbformat.NotebookNode:
    """Run every cell.

    Args:
        store_uri: the store to look at.
        folder: that the kernel starts in; a relative store is under it.

    Returns:
        The notebook with its outputs.

    Raises:
        HousingError: the store has nothing to look at yet.
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    store = Store.open(store_uri)
    for asset in NEEDED:
        if not store.months(asset).available():
            raise HousingError(f"{store.uri} has no {asset} yet: run `make run` first, or set HOUSING_STORE_URI")
    load_champion(store)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, "HOUSING_STORE_URI": store_uri})
    return notebook


def page(notebook: nbformat.NotebookNode) -> str:
    """The executed notebook as one HTML page that needs nothing from outside."""
    # The default template drops the words of pictures. No cell has formulas, diagrams or widgets, whose scripts
    # would be fetched from elsewhere.
    nowhere = {"require_js_url": "", "mathjax_url": "", "mermaid_js_url": "", "jquery_url": ""}
    exporter = HTMLExporter(template_name="classic", **nowhere)
    return exporter.from_notebook_node(notebook, {"metadata": {"name": "Housing prices by month"}})[0]


def main() -> None:
    """Execute it and write the page; a message and exit code 1 where there is nothing to look at."""
    try:
        notebook = execute(os.environ.get("HOUSING_STORE_URI") or DEFAULT_STORE_URI, Path.cwd())
    except HousingError as error:
        sys.exit(f"error: {error}")
    FolderBlobs(PAGE.parent).write(PAGE.name, page(notebook).encode())
    print(PAGE.absolute())


if __name__ == "__main__":
    main()
