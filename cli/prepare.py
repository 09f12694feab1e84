"""`droptune prepare`: makes a snapshot, ready to be dropped, of data in whatever shape it comes.

    droptune prepare alpaca_data.json --out support-bot
    droptune prepare HuggingFaceH4/ultrachat_200k --fraction 0.05 --out ultrachat

What is left out or changed is counted and said. Where the shape is a choice, nothing is written, and the choices are
named. The same input, options and seed give the same files. A folder that is there already is not touched.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import xxhash

from cli.failures import Exit, in_a_sentence, status_of
from cli.preparing.inputs import CannotPrepare, InputPart, choices_named, find_parts
from cli.preparing.writing import FileFormat, SplitWriter, new_folder, write_options
from cli.printing import one_line, print_json
from shared import naming
from shared.chatdata.splits import SPLITS, Split
from shared.config.hyperparameters import merged
from shared.config.options import parsed
from shared.conversion import ColumnChoice, Reading
from shared.conversion.choice import decided_reading
from shared.conversion.recognition import SHAPES
from shared.errors import BadSnapshot
from shared.validation.prepared_rows import (
    Pipeline,
    RowCounts,
    UnreadableRow,
    first_rows,
    kept_at_random,
    sampled,
    why_none_left,
)


@dataclass(frozen=True, slots=True)
class Preparation:
    """What somebody asked for."""

    given: str
    out: Path
    columns: ColumnChoice = field(default_factory=ColumnChoice)
    splits: Sequence[str] = ()
    subset: str = ""
    revision: str = ""
    encoding: str = ""
    fraction: float = 1.0
    rows: int = 0
    seed: int = 0
    test_share: float = 0.0
    file_format: FileFormat = "jsonl"
    shard_rows: int = 0
    keep_unweighted: bool = False
    keep_tools: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class PreparedPart:
    """What became of one part of the input."""

    name: str
    kind: str
    split: Split
    reading: Reading
    not_used: list[str]
    counts: RowCounts = field(default_factory=RowCounts)


@dataclass(slots=True)
class PreparedSnapshot:
    """The folder that was written, and what is in it."""

    out: Path
    parts: list[PreparedPart]
    rows: Mapping[Split, int]
    files: Mapping[Split, list[str]]


def run(given: Mapping[str, Any]) -> Exit:
    """The command, given its options by name: prepares, and prints what was done, or in one sentence why not."""
    from cli.preparing import report

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of texts in tables, which are looked at as Python's lists
            done = prepare(_preparation(given))
    except (ValueError, BadSnapshot, OSError) as failure:
        print(f"nothing was prepared: {in_a_sentence(failure)}", file=sys.stderr)
        return status_of(failure)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    dataset = dataset_name(given["given"], done.out)
    if given["as_json"]:
        print_json(report.as_json(done, dataset))
    else:
        for line in report.as_lines(done, dataset):
            print(one_line(line))
    return Exit.DONE


def _preparation(given: Mapping[str, Any]) -> Preparation:
    asked = tuple(name.strip() for name in given["user"].split(",") if name.strip())
    options = options_of(given["base_model"], given["base_model_version"], given["hyperparameter"] or (), given["note"])
    alike = ("given", "out", "subset", "revision", "encoding", "fraction", "rows", "seed", "test_share", "shard_rows")
    return Preparation(
        **{name: given[name] for name in (*alike, "keep_unweighted", "keep_tools")},
        columns=ColumnChoice(given["shape"], asked, given["assistant"], given["system"], given["turns"]),
        splits=given["split"] or (),
        file_format=given["file_format"].value,
        options=options,
    )


def prepare(wanted: Preparation) -> PreparedSnapshot:
    """Write a snapshot. Raises CannotPrepare, CannotRead, UnknownColumn (all ValueError), BadSnapshot, or OSError."""
    _check(wanted)
    parts = find_parts(
        wanted.given,
        splits=wanted.splits,
        subset=wanted.subset,
        revision=wanted.revision,
        encoding=wanted.encoding,
    )
    prepared = [_recognised(part, wanted.columns) for part in parts]
    with new_folder(wanted.out) as folder:
        writers: dict[Split, SplitWriter] = {}
        try:
            for part, outcome in zip(parts, prepared, strict=True):
                _write(part, outcome, wanted, folder, writers)
        finally:
            for writer in writers.values():
                writer.close()
        files = {split: writers[split].finish() for split in SPLITS if split in writers}
        rows = {split: writers[split].rows for split in SPLITS if split in writers}
        if not rows.get("train"):
            left_out = sum((part.counts.left_out for part in prepared), start=Counter[str]())
            raise CannotPrepare(why_none_left(sum(part.counts.read for part in prepared), left_out))
        write_options(folder, wanted.options)
    return PreparedSnapshot(wanted.out, prepared, rows, files)


def _check(wanted: Preparation) -> None:
    """Raises CannotPrepare for options that make no sense, before anything is read."""
    if not 0 < wanted.fraction <= 1:
        raise CannotPrepare(f"--fraction must be above 0 and at most 1, not {wanted.fraction}")
    if not 0 <= wanted.test_share < 1:
        raise CannotPrepare(f"--test-share must be from 0 on and below 1, not {wanted.test_share}")
    if wanted.columns.shape and wanted.columns.shape not in SHAPES:
        raise CannotPrepare(f"--shape {wanted.columns.shape}: there is no such shape; there are {', '.join(SHAPES)}")
    if bool(wanted.columns.user) != bool(wanted.columns.assistant):
        raise CannotPrepare("--user and --assistant go together: the columns of the question and of the answer")


def _why_unreadable(part: InputPart) -> str:
    """What its first rows are."""
    found = {row.reason for row in islice(part.rows(), 100) if isinstance(row, UnreadableRow)}
    known = {"not-an-object": "its rows are no objects with named columns (not-an-object)"}
    return ", ".join(known.get(reason, reason) for reason in sorted(found)) or "there is none"


def _recognised(part: InputPart, choice: ColumnChoice) -> PreparedPart:
    """How the rows of a part are read. Raises CannotPrepare where that cannot be told, or is a choice."""
    rows = first_rows(part.rows())
    if not rows:
        raise CannotPrepare(f"{part.name}: no row of it can be read ({part.kind}): {_why_unreadable(part)}")
    with choices_named():
        reading = decided_reading(part.name, rows, choice)
    columns = list(dict.fromkeys(str(name) for row in rows for name in row))
    not_used = [name for name in columns if name not in reading.used]
    return PreparedPart(part.name, part.kind, part.split, reading, not_used)


def _write(
    part: InputPart,
    outcome: PreparedPart,
    wanted: Preparation,
    folder: Path,
    writers: dict[Split, SplitWriter],
) -> None:
    counts = outcome.counts
    pipeline = Pipeline(outcome.reading, keep_unweighted=wanted.keep_unweighted, keep_tools=wanted.keep_tools)
    lines = pipeline.lines(sampled(part.rows(), wanted.fraction, wanted.seed, counts), counts)
    if wanted.rows:
        kept = kept_at_random(lines, wanted.rows, wanted.seed)
        counts.written = len(kept)
        lines = iter(kept)
    test_below = wanted.test_share * 2**64 if part.split == "train" else 0.0
    for line in lines:
        split: Split = part.split
        if test_below and xxhash.xxh3_64_intdigest(line, wanted.seed) < test_below:
            split = "test"  # by content, so that the same dialogue is never on both sides
        writer = writers.get(split)
        if writer is None:
            writer = writers[split] = SplitWriter(folder, split, wanted.file_format, wanted.shard_rows)
        writer.add(line)


def options_of(base_model: str, version: str, hyperparameters: Sequence[str], note: str) -> dict[str, Any]:
    """What goes into `snapshot.json`. Raises BadSnapshot for what the app would refuse, with the nearest name."""
    values: dict[str, Any] = {}
    for given in hyperparameters:
        name, equals, value = given.partition("=")
        if not equals:
            raise CannotPrepare(f"--hyperparameter {given}: write it as name=value")
        values[name.strip()] = _number_or_text(value.strip())
    merged(("--hyperparameter", values))
    found = {"base_model": base_model, "base_model_version": version, "hyperparameters": values, "note": note}
    options = {key: value for key, value in found.items() if value}
    if options:
        import orjson

        parsed(orjson.dumps(options), "the options")
    return options


def _number_or_text(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def dataset_name(given: str, out: Path) -> str:
    """A name for the dataset: that of the folder, if it is one, else one made of the input's."""
    for name in (out.name, Path(given).name.split(".", 1)[0].lower(), "my-data"):
        plain = re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:41] if name != out.name else name
        if naming.DATASET.fullmatch(plain):
            return plain
    return "my-data"
