"""Reads dataset files as the component does.

One row a line (jsonl), a list (json), or a table (parquet, csv, tsv).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from local.azureml.training.job import StepError

Row = dict[str, Any]


def read_rows(path: Path) -> Iterator[Row]:
    """Every row of a file, by its extension; StepError names the file and the row that cannot be read."""
    readers: dict[str, Callable[[Path], Iterator[Row]]] = {
        ".jsonl": _read_jsonl,
        ".json": _read_json,
        ".parquet": _read_parquet,
        ".csv": lambda p: _read_table(p, ","),
        ".tsv": lambda p: _read_table(p, "\t"),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise StepError(f"{path.name}: file type is not supported; use {', '.join(sorted(readers))}.")
    yield from reader(path)


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise StepError(f"{path.name}: line {number} is not valid JSON: {error}") from error
            if not isinstance(row, dict):
                raise StepError(f"{path.name}: line {number} is no JSON object.")
            yield row


def _read_json(path: Path) -> Iterator[Row]:
    try:
        rows = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise StepError(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise StepError(f"{path.name} is no list of JSON objects.")
    yield from rows


def _read_parquet(path: Path) -> Iterator[Row]:
    # Imported here: most jobs read jsonl, and pyarrow is slow to import.
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path)
        for batch in table.iter_batches():
            yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise StepError(f"{path.name} is no readable parquet file: {error}") from error


def _read_table(path: Path, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    text = io.StringIO(path.read_text("utf-8"), newline="")
    for row in csv.DictReader(text, delimiter=delimiter):
        if isinstance(row.get("messages"), str):
            try:
                row["messages"] = orjson.loads(row["messages"])
            except orjson.JSONDecodeError:
                row["messages"] = None
        yield row
