"""What an error says, in one line: also one that says nothing."""

import ast
from pathlib import Path

import psycopg2
import pytest

import housing_assets
from housing_assets.config.databases import create_databases
from housing_assets.core.errors import HousingError
from housing_assets.core.text import first_line


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("one", "one"),
        (" one \ntwo", "one"),
        ("\n \ntwo", "two"),
        ("", "ValueError"),
        (" \n", "ValueError"),
    ],
)
def test_the_first_line_with_words_or_the_kind_of_error(told, expected):
    assert first_line(ValueError(told)) == expected
    assert first_line(told, "ValueError") == expected


def test_a_database_server_that_refuses_without_a_word_is_told(monkeypatch):
    def refuse(*_args) -> None:
        raise psycopg2.OperationalError("")

    monkeypatch.setattr(psycopg2, "connect", refuse)
    with pytest.raises(HousingError, match=r"HOUSING_STUDY_STORAGE: its server .* studies: OperationalError"):
        create_databases({"HOUSING_STUDY_STORAGE": "postgresql+psycopg2://me@127.0.0.1/studies"})


def test_no_module_takes_the_first_line_of_an_error_by_itself():
    """It is forgotten too easily that a message may be empty."""
    packages = Path(housing_assets.__file__).parents[1]
    for package in ("housing_assets", "housing_serving", "housing_dashboard"):
        for path in (packages / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Subscript) and ast.unparse(node.slice) == "0":
                    told = ast.unparse(node.value)
                    assert "splitlines()" not in told, f"{path.name}:{node.lineno}: {told}"
