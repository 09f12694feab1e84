"""What `droptune prepare` says when it is done: for people, and as JSON for programs."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shared.chatdata.splits import SPLITS
from shared.conversion.converter import CHANGES
from shared.conversion.recognition import SHAPES
from shared.conversion.values import REASONS
from shared.validation.rules import RULES

if TYPE_CHECKING:
    from cli.prepare import PreparedPart, PreparedSnapshot

_MORE_REASONS = {"columns-differ": "it has another number of values than the line of column names"}


def as_json(done: PreparedSnapshot, dataset: str) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "out": str(done.out),
        "dataset": dataset,
        "rows": dict(done.rows),
        "files": dict(done.files),
        "parts": [
            {
                "name": part.name,
                "container": part.kind,
                "split": part.split,
                "shape": part.reading.shape,
                "template": part.reading.template or None,
                "columns": {name: list(columns) for name, columns in part.reading.columns.items()},
                "columns_not_used": part.not_used,
                "rows_read": part.counts.read,
                "rows_sampled": part.counts.sampled,
                "rows_written": part.counts.written,
                "left_out": dict(part.counts.left_out),
                "changed": dict(part.counts.changed),
                "first_rows": part.counts.first_rows,
            }
            for part in done.parts
        ],
        "next": f"droptune drop {shlex.quote(str(done.out))} --dataset {dataset}",
    }


def as_lines(done: PreparedSnapshot, dataset: str) -> Iterator[str]:
    """What people read, a line at a time."""
    for part in done.parts:
        yield from _part(part)
    for split, names in done.files.items():
        shown = names[0] if len(names) == 1 else f"{names[0]} ... ({len(names)} files)"
        yield f"{split}: {done.rows[split]} rows in {done.out / shown}"
    if missing := [split for split in SPLITS[1:] if split not in done.files]:
        yield f"no {' and no '.join(missing)} split: the app holds rows out for that, always the same ones"
    named = "" if done.out.name == dataset else f" --dataset {dataset}"
    yield f"next: droptune drop {shlex.quote(str(done.out))}{named}"


def _part(part: PreparedPart) -> Iterator[str]:
    counts, reading = part.counts, part.reading
    template = f", in the template of {reading.template}" if reading.template else ""
    yield f"{part.name}: {part.kind}, {SHAPES[reading.shape].title}{template} ({_columns(reading.columns)})"
    sample = f", {counts.sampled} of them sampled" if counts.sampled != counts.read else ""
    yield f"  {counts.read} rows read{sample}, {counts.written} written"
    yield from _counted("left out", counts.left_out, counts.first_rows)
    yield from _counted("changed", counts.changed, counts.first_rows)
    if part.not_used:
        yield f"  columns that are not used: {', '.join(part.not_used[:20])}"


def _columns(columns: Mapping[str, tuple[str, ...]]) -> str:
    return ", ".join(f"{part}: {' + '.join(names)}" for part, names in columns.items())


def _counted(what: str, counts: Counter[str], places: Mapping[str, list[int]]) -> Iterator[str]:
    for reason, count in counts.most_common():
        rows = ", ".join(map(str, places[reason]))
        more = ", ..." if count > len(places[reason]) else ""
        yield f"  {what} {count}: {_explained(reason)} ({reason}; row{'s' if count > 1 else ''} {rows}{more})"


def _explained(reason: str) -> str:
    for known in (CHANGES, REASONS, _MORE_REASONS):
        if reason in known:
            return known[reason]
    text = RULES[reason].explanation.rstrip(".") if reason in RULES else reason
    return text[:1].lower() + text[1:]
