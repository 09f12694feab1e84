"""One JSON document that holds all rows: under a name, by column, as a table, or by id. Asked by readers of files.

The layouts are those of APIs, of pandas (`to_json` with its several `orient`) and of tables written by hand.
"""

from __future__ import annotations

from typing import Any

from shared.conversion.lists import speaker_and_text

_NAMES = ("rows", "data", "train", "examples", "records", "samples", "dialogues", "validation", "test", "valid", "dev")


def rows_of_document(document: Any) -> list[Any] | None:
    """The rows of a document; None if it is no such document, but a row itself.

    Raises ValueError for a document with several lists of rows, such as splits: which are meant is a choice.
    """
    if not isinstance(document, dict) or not document:
        return None
    named = [name for name in _NAMES if _are_rows(document.get(name))]
    if len(named) > 1:
        raise ValueError(f"rows under {' and '.join(named)}: write each of these lists into a file of its own")
    if named:
        rows = document[named[0]]
        return [row["row"] for row in rows if isinstance(row, dict)] if "row" in rows[0] else rows
    return _table(document) or _columns(document) or _by_id(document)


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and speaker_and_text(value) is None


def _table(document: dict[str, Any]) -> list[Any] | None:
    """`{"columns": ["question", "answer"], "data": [["Hi", "Hello."]]}`."""
    columns, data = document.get("columns"), document.get("data")
    if not isinstance(columns, list) or not isinstance(data, list):
        return None
    return [dict(zip(columns, row, strict=False)) for row in data if isinstance(row, list)] or None


def _columns(document: dict[str, Any]) -> list[Any] | None:
    """`{"question": ["Hi"], "answer": ["Hello."]}`, or with row numbers: `{"question": {"0": "Hi"}, ...}`."""
    values = list(document.values())
    if len(values) < 2:
        return None
    if all(isinstance(value, dict) and value and all(key.isdigit() for key in value) for value in values):
        return [{name: column.get(at) for name, column in document.items()} for at in values[0]]
    lists = all(isinstance(value, list) and len(value) == len(values[0]) for value in values)
    if lists and all(isinstance(text, str) for value in values for text in value[:100]):
        return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
    return None


def _by_id(document: dict[str, Any]) -> list[Any] | None:
    """`{"id-1": {"question": "Hi", "answer": "Hello."}, ...}`."""
    values = list(document.values())
    if len(values) < 2 or not all(isinstance(value, dict) and len(value) > 1 for value in values):
        return None
    return values if all(value.keys() == values[0].keys() for value in values[:100]) else None
