"""Reading a CSV file again, slowly, to find the lines of its invalid values."""

import csv
from pathlib import Path

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.panel.schema import BY_NAME
from housing_assets.core.source.opening import not_utf8_error, open_text
from housing_assets.core.source.values import LISTED, Problem, Rules, normalize_rows, refusal_of

_DIAGNOSIS_ROWS = 8_192


def diagnose_csv(path: Path, name: str, header: list[str], rules: Rules, reason: str) -> SourceError:
    """Read a CSV that failed row by row, to tell the lines of its first bad values."""
    wanted = {n: i for i, n in enumerate(header) if n in BY_NAME}
    problems: list[Problem] = []
    lines: list[int] = []
    rows: list[list[str]] = []

    def check() -> None:
        data = {n: pl.Series(n, [row[i] for row in rows], dtype=pl.String()) for n, i in wanted.items()}
        found = normalize_rows(pl.DataFrame(data), rules)[1]
        problems.extend(Problem(lines[p.row], p.column, p.text) for p in found)
        lines.clear()
        rows.clear()

    start = 1
    try:
        with open_text(path) as text:
            reader = csv.reader(text, strict=True)
            header_seen = False
            for row in reader:
                line, start = start, reader.line_num + 1
                if not row:
                    continue
                if not header_seen:
                    header_seen = True
                elif len(row) != len(header):
                    complaint = f"has {len(row)} fields, expected {len(header)}: mend its commas and quotes"
                    problems.append(Problem(line, "", complaint))
                else:
                    lines.append(line)
                    rows.append(row)
                if len(rows) == _DIAGNOSIS_ROWS:
                    check()
                if len(problems) >= LISTED:
                    break
        check()
    except UnicodeDecodeError:
        return not_utf8_error(name)
    except csv.Error as error:
        check()
        problems.append(Problem(start, "", f"{error}: mend its quotes"))
    if problems:
        return refusal_of(name, "line", sorted(problems, key=lambda p: p.row))
    return SourceError(f"{name}: cannot be read as CSV ({reason}): export it again")
