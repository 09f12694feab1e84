"""What is prepared: a file, a folder of files, what `datasets` saved, or a name on the Hub; and what each split is.

A split is told by the names of files and folders, as the Hub tells it. Where that leaves a choice, it is refused with
the names to choose from.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.failures import Exit
from cli.preparing.containers import container_of
from cli.preparing.readers import CannotRead, arrow_rows
from shared.chatdata import split_choice
from shared.chatdata.formats import CONVERTIBLE, is_convertible, printable
from shared.chatdata.split_choice import Undecided
from shared.chatdata.splits import Split, split_of, splits_in

_ABOUT = {
    *("snapshot.json", "dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json", "package.json"),
    *("config.json", "metadata.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"),
}


class CannotPrepare(ValueError):
    """Nothing was prepared; the text says why, and what decides or mends it. `status`: how the command ends."""

    def __init__(self, text: str, status: Exit = Exit.USAGE) -> None:
        super().__init__(text)
        self.status = status


@contextmanager
def choices_named() -> Iterator[None]:
    """What only a person can decide ends the command with the choices."""
    try:
        yield
    except Undecided as choice:
        raise CannotPrepare(str(choice)) from choice


@dataclass(frozen=True, slots=True)
class InputPart:
    """Rows of one split, and where they are from; `rows` reads them from the start at each call."""

    split: Split
    name: str
    kind: str
    rows: Callable[[], Iterator[Any]]


def find_parts(
    given: str, *, splits: Sequence[str] = (), subset: str = "", revision: str = "", encoding: str = ""
) -> list[InputPart]:
    """The parts of an input, those to train on first. Raises CannotPrepare, CannotRead, OSError."""
    path = Path(given).expanduser()
    if path.is_dir():
        parts = _folder(path, splits, encoding)
    elif path.exists():
        parts = [_file("train", path, encoding)]
    elif _is_name_on_the_hub(given) and not (path.suffix and _nearest_file(path)):
        from cli.preparing.hub import hub_parts

        parts = hub_parts(given, splits, subset, revision)
    else:
        raise CannotPrepare(f"there is no file or folder {given}{_nearest_file(path)}", Exit.NOT_FOUND)
    if not any(part.split == "train" for part in parts):
        raise CannotPrepare(f"{given} has no split to train on, only {', '.join(part.name for part in parts)}")
    return sorted(parts, key=lambda part: part.split != "train")


def _is_name_on_the_hub(given: str) -> bool:
    """`owner/name`, or a name: what is no path, and has no ending of a file."""
    owner, _, name = given.rpartition("/")
    plain = all(part and part[0] not in ".~" for part in (owner or "x", name)) and "/" not in owner
    return plain and Path(name).suffix.lstrip(".").lower() not in CONVERTIBLE | {"gz", "txt", "zip"}


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    near = difflib.get_close_matches(path.name, [file.name for file in path.parent.iterdir()], n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""


def _file(split: Split, path: Path, encoding: str) -> InputPart:
    container = container_of(path, encoding)
    return InputPart(split, path.name, container.kind, container.rows)


def _folder(folder: Path, wanted: Sequence[str], encoding: str) -> list[InputPart]:
    if (folder / "dataset_dict.json").is_file():
        names = json.loads((folder / "dataset_dict.json").read_text("utf-8"))["splits"]
        return [_saved(split, folder / name) for split, name in chosen_splits(str(folder), names, wanted)]
    if (folder / "state.json").is_file():
        return [_saved("train", folder)]
    files = list(_files(folder))
    if not files:
        raise CannotPrepare(f"{folder} has no file with rows: JSONL, JSON, CSV, TSV, parquet or Arrow, perhaps packed")
    named = {file: split_of(file.name) or split_of(file.parent.name if file.parent != folder else "") for file in files}
    if several := [file.name for file in files if len(splits_in(file.name)) > 1]:
        raise CannotPrepare(f"{several[0]} is named like several splits: rename it")
    if any(named.values()) and (
        unnamed := [str(file.relative_to(folder)) for file, split in named.items() if not split]
    ):
        some = ", ".join(map(printable, unnamed[:5]))
        raise CannotPrepare(f"{some}: the name says no split, and other files' names do; rename it, or take it out")
    parts = [_file(split or "train", file, encoding) for file, split in named.items()]
    return _only(parts, wanted) if wanted else parts


def _only(parts: list[InputPart], wanted: Sequence[str]) -> list[InputPart]:
    splits = {name: split_of(name) for name in wanted}
    if unknown := [name for name in wanted if splits[name] not in {part.split for part in parts}]:
        there = ", ".join(sorted({part.split for part in parts}))
        raise CannotPrepare(f"there is no split {', '.join(unknown)}, only {there}")
    return [part for part in parts if part.split in splits.values()]


def _files(folder: Path) -> Iterator[Path]:
    """The files with rows in a folder and the folders in it, in the order of their names."""
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
        if file.is_file() and not hidden and file.name.lower() not in _ABOUT and is_convertible(file.name):
            yield file


def _saved(split: Split, folder: Path) -> InputPart:
    """What `Dataset.save_to_disk` wrote: Arrow files, in the order of its state."""
    try:
        state = json.loads((folder / "state.json").read_text("utf-8"))
        files = [folder / one["filename"] for one in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise CannotRead(f"{folder}: its state.json is not as `datasets` writes it: {wrong!r}") from wrong
    return InputPart(
        split, folder.name, "Arrow of `datasets`", lambda: (row for file in files for row in arrow_rows(file))
    )


def chosen_splits(where: str, names: Iterable[str], wanted: Sequence[str]) -> list[tuple[Split, str]]:
    """Which of the splits with these names are read, and what each is. Raises CannotPrepare where that is a choice."""
    with choices_named():
        return split_choice.chosen_splits(where, names, wanted)
