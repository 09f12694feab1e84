"""Prepare a snapshot from a dataset of the Hugging Face Hub (or a local folder), ready to be dropped.

    python -m cli.prepare HuggingFaceH4/ultrachat_200k --fraction 0.05 --out my-snapshot
    python -m cli.prepare ./folder-of-files --split train --split test --out my-snapshot --format parquet
    python -m cli.prepare ./folder-of-files --drop-unweighted --out my-snapshot

Run by a person; never deployed. It writes one file per split (`train_sft` becomes `train`) and then the empty file
`_SUCCESS`, in the order in which they have to be uploaded. The sample is drawn with a seed, so a second run into
another folder writes the same rows. A folder that already holds a snapshot is not touched.

The trainer learns from every answer, whatever its `weight`. `--drop-unweighted` leaves out answers of weight 0, each
with the user turns that it answers, and rows of which no answer is left; it says how many.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from shared.chatdata.splits import WORDS, Split, split_of

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped]

FileFormat = Literal["jsonl", "parquet"]


class PreparedSplit(NamedTuple):
    """What was written of a split: its rows, and what was left out because of weights of 0."""

    rows: int
    dropped_turns: int = 0
    dropped_rows: int = 0


def prepare(
    dataset: str,
    out: Path,
    *,
    fraction: float = 1.0,
    splits: Sequence[str] = (),
    file_format: FileFormat = "jsonl",
    seed: int = 0,
    drop_unweighted: bool = False,
) -> dict[Split, PreparedSplit]:
    """Write a folder snapshot and say what is in each split. Raises ValueError for what cannot become one."""
    if not 0 < fraction <= 1:
        raise ValueError(f"--fraction must be above 0 and at most 1, not {fraction}")
    if (out / "_SUCCESS").exists():
        raise ValueError(f"{out} already holds a snapshot; choose another folder")
    parts = _load(dataset, splits)
    out.mkdir(parents=True, exist_ok=True)
    prepared: dict[Split, PreparedSplit] = {}
    for split, part in parts.items():
        sample = part.shuffle(seed=seed).select(range(max(1, round(len(part) * fraction)))) if fraction < 1 else part
        kept = _without_unweighted(sample) if drop_unweighted else sample
        _write(kept, out / f"{split}.{file_format}", file_format)
        turns = _turns(sample) - _turns(kept) if drop_unweighted else 0
        prepared[split] = PreparedSplit(len(kept), turns, len(sample) - len(kept))
    (out / "_SUCCESS").write_bytes(b"")
    return prepared


def _turns(rows: Dataset) -> int:
    return sum(len(turns) for turns in rows["messages"])


def _without_unweighted(rows: Dataset) -> Dataset:
    kept = rows.map(lambda row: {"messages": weighted_turns(row["messages"])})
    return kept.filter(lambda row: any(turn["role"] == "assistant" for turn in row["messages"]))


def weighted_turns(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The turns without answers that weigh 0: each goes with the user turns right before it."""
    kept: list[dict[str, Any]] = []
    for turn in turns:
        if turn["role"] == "assistant" and turn.get("weight") == 0:
            while kept and kept[-1]["role"] == "user":
                kept.pop()
        else:
            kept.append(turn)
    return kept


def _load(dataset: str, wanted: Sequence[str]) -> dict[Split, Dataset]:
    from datasets import DatasetDict, load_dataset

    loaded = load_dataset(dataset)
    assert isinstance(loaded, DatasetDict)  # what load_dataset gives when no split is named
    missing = [name for name in wanted if name not in loaded]
    if missing:
        raise ValueError(f"{dataset} has no split {', '.join(missing)}; it has {', '.join(loaded)}")
    named: dict[Split, list[str]] = {}
    for name in wanted or loaded:
        split = split_of(name)
        if split is not None:
            named.setdefault(split, []).append(name)
        elif wanted:
            raise ValueError(f"split {name} is neither for training nor for validation nor for test")
    parts: dict[Split, Dataset] = {}
    for split, names in named.items():
        name = _plainest(split, names)
        if "messages" not in loaded[name].column_names:
            columns = ", ".join(loaded[name].column_names)
            raise ValueError(f"split {name} of {dataset} has no column messages, only {columns}")
        parts[split] = loaded[name]
    if "train" not in parts:
        raise ValueError(f"{dataset} has no split to train on; it has {', '.join(loaded)}")
    return parts


def _plainest(split: Split, names: Sequence[str]) -> str:
    """Which of the splits with these names is meant: `train_sft` rather than `train_gen` or `train_prefs`."""
    plain = [name for name in names if name.removesuffix("_sft") in WORDS] if len(names) > 1 else list(names)
    if len(plain) != 1:
        raise ValueError(f"{' and '.join(names)} would each become {split}; choose one with --split")
    return plain[0]


def _write(rows: Dataset, file: Path, file_format: FileFormat) -> None:
    if file_format == "parquet":
        rows.to_parquet(str(file))
    else:
        rows.to_json(str(file), force_ascii=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; exit status 0, or 2 if nothing could be prepared."""
    options = _parser().parse_args(arguments)
    try:
        prepared = prepare(
            options.dataset,
            options.out,
            fraction=options.fraction,
            splits=options.split,
            file_format=options.format,
            seed=options.seed,
            drop_unweighted=options.drop_unweighted,
        )
    except (OSError, ValueError) as failure:
        print(f"nothing was prepared: {failure}", file=sys.stderr)
        return 2
    for split, part in prepared.items():
        left_out = (
            f"; left out: {part.dropped_turns} turns, {part.dropped_rows} rows" if options.drop_unweighted else ""
        )
        print(f"{options.out / split}.{options.format}: {part.rows} rows{left_out}")
    print(_how_to_drop(options.out))
    return 0


def _how_to_drop(out: Path) -> str:
    target = f"<dataset>/{out.name}"
    return (
        f"check it:  python -m cli.check {out}\n"
        f"drop it:   az storage blob upload-batch --account-name <account> --auth-mode login -s {out} "
        f"-d snapshots --destination-path {target} --pattern '*.*'\n"
        f"then:      az storage blob upload --account-name <account> --auth-mode login -f {out / '_SUCCESS'} "
        f"-c snapshots -n {target}/_SUCCESS\n"
        "(the marker last: it starts everything)"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cli.prepare", description=__doc__.splitlines()[0])
    parser.add_argument("dataset", metavar="DATASET_OR_PATH", help="name on the Hub, or a local folder of files")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; its name becomes the snapshot's")
    parser.add_argument("--fraction", type=float, default=1.0, help="share of each split to keep, drawn at random")
    parser.add_argument("--format", choices=("jsonl", "parquet"), default="jsonl")
    parser.add_argument("--split", action="append", default=[], help="such as train_sft; default: all that fit")
    parser.add_argument(
        "--drop-unweighted", action="store_true", help="leave out answers of weight 0, each with what it answers"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
