"""Reading a delimited file again, slowly, to find the lines of its invalid values."""

import csv
from collections.abc import Mapping, Sequence

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.source.containers import not_utf8_error
from housing_assets.core.source.content import Content
from housing_assets.core.source.parsing import Spelling
from housing_assets.core.source.values import LISTED, PREDICT_RULES, Problem, Rules, normalize_rows, refusal_of
from housing_assets.core.text import first_line

_DIAGNOSIS_ROWS = 8_192


def diagnose_csv(
    content: Content,
    columns: Mapping[int, str],
    literals: Sequence[pl.Expr],
    rules: Rules,
    spelling: Spelling,
    reason: str,
) -> SourceError:
    """The error of a file that failed, which names the lines of its first bad values.

    Args:
        content: of the file.
        columns: of the contract, by position.
        literals: columns that the file's folders give.
        rules: what is asked of it.
        spelling: how it writes days and numbers.
        reason: what failed, for the case that no line is to blame.
    """
    problems: list[Problem] = []
    lines: list[int] = []
    rows: list[list[str]] = []

    def check() -> None:
        data = {n: pl.Series(n, [row[i] for row in rows], dtype=pl.String()) for i, n in columns.items()}
        invalid = normalize_rows(pl.DataFrame(data).with_columns(literals), rules, spelling).problems
        problems.extend(Problem(lines[p.row], p.column, p.text) for p in invalid)
        lines.clear()
        rows.clear()

    start = content.preamble + 1
    try:
        with content.open_text() as text:
            reader = csv.reader(text, delimiter=content.delimiter, strict=True)
            header_seen = False
            for row in reader:
                line, start = start, content.preamble + reader.line_num + 1
                if not row:
                    continue
                if not header_seen:
                    header_seen = True
                elif len(row) != len(content.header):
                    complaint = f"has {len(row)} fields, expected {len(content.header)}: mend its commas and quotes"
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
        return not_utf8_error(content.name)
    except csv.Error as error:
        check()
        problems.append(Problem(start, "", f"{error}: mend its quotes"))
    if problems:
        return refusal_of(content.name, "line", sorted(problems, key=lambda p: p.row))
    return SourceError(f"{content.name}: cannot be read as CSV ({reason}): export it again")


def unreadable_error(content: Content, error: Exception) -> SourceError:
    """The error of a file that is no table throughout: it names the lines whose number of values is another."""
    return diagnose_csv(content, {}, (), PREDICT_RULES, Spelling(), first_line(error))
