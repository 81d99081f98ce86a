"""Metadata that assets show in the UI: column schemas, tables and pictures."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from housing_assets.core.panel.schema import BY_NAME


def column_schema(
    schema: Mapping[str, pl.DataType], further: Mapping[str, str] | None = None
) -> dict[str, dg.TableSchema]:
    """Definition metadata: the columns of an asset with types, and descriptions from the contract.

    Args:
        schema: the columns.
        further: descriptions of columns that the contract of the raw panel does not have.
    """
    descriptions = {name: f"{column.description} ({column.unit})" for name, column in BY_NAME.items()} | dict(
        further or {}
    )
    columns = [dg.TableColumn(name, str(kind), descriptions.get(name)) for name, kind in schema.items()]
    return {"dagster/column_schema": dg.TableSchema(columns)}


def table(frame: pl.DataFrame) -> dg.TableMetadataValue:
    """A small frame as a metadata table; numbers rounded to what people read."""
    number = {pl.Float64: "float", pl.Float32: "float", pl.Int64: "int", pl.UInt32: "int"}
    rounded = frame.with_columns(pl.col(pl.Float64, pl.Float32).round_sig_figs(6))
    columns = [dg.TableColumn(n, number.get(type(t), "string")) for n, t in frame.schema.items()]
    records: list[dict[str, Any]] = rounded.to_dicts()
    return dg.MetadataValue.table([dg.TableRecord(r) for r in records], dg.TableSchema(columns))


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG as metadata that the UI shows in place."""
    import base64

    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")
