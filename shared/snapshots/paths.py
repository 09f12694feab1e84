"""What the path of an upload means: which snapshot it makes, or why it makes none. Called when an upload is received.

Pure: the same path always means the same. Whoever may upload chooses every character of it, so what is let through can
stand in an address, a log line and a page without harm.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from shared import naming
from shared.azure.storage.blobs import why_unreadable_name
from shared.chatdata.formats import EXTENSIONS, is_convertible
from shared.chatdata.splits import is_named_like_a_split, split_of

MARKER = "_SUCCESS"
OPTIONS = "snapshot.json"
OPTIONS_ENDING = f".{OPTIONS}"
"""How the options beside a single file end: `support-bot.snapshot.json` goes with `support-bot.jsonl`."""
# The doctor's folder. It never gets its marker: intake passes over what is in it.
PROBES = "droptune-doctor/"
FORM = (
    "drop <dataset>.jsonl, <dataset>/<name>.jsonl, or a folder <dataset>/<name>/ with train, validation and test files "
    "and then an empty _SUCCESS; .jsonl.gz and .parquet are fine too; "
    "a dataset's name has 2 to 41 of a-z, 0-9 and '-'"
)


@dataclass(frozen=True, slots=True)
class SnapshotPath:
    """The snapshot that a path makes: of a dataset, in one file, or in a folder that its marker completes."""

    dataset: str
    folder: str = ""


class InvalidUpload(Exception):
    """The upload makes no snapshot; the text says why, and what the right form is."""


def parse_path(path: str) -> SnapshotPath | None:
    """The snapshot that a path makes; None for a file that waits for another one. Raises InvalidUpload.

    A file in a folder waits for the folder's marker, options beside a file for that file.
    """
    parsed = _parse(path)
    require_printable(path)
    if why := why_unreadable_name(path):
        raise InvalidUpload(f"{path}: {why}; {FORM}")
    return parsed


def options_path(path: str) -> str:
    """Where the options of a single file stand: beside it, under its name."""
    extension = next(extension for extension in EXTENSIONS if path.endswith(extension))
    return path.removesuffix(extension) + OPTIONS_ENDING


def require_printable(path: str) -> None:
    """Raises InvalidUpload for a path with characters that would forge a line of a log, or turn the text around."""
    if not path.isprintable():
        raise InvalidUpload(f"{path}: has characters that cannot be shown, such as line ends; {FORM}")


def _parse(path: str) -> SnapshotPath | None:
    *folders, name = path.split("/")
    if len(folders) < 2 and name.endswith(OPTIONS_ENDING) and name != OPTIONS_ENDING:
        _dataset(folders[0] if folders else name.removesuffix(OPTIONS_ENDING), path)
        return None
    if not folders:
        return _named_file(name)
    dataset = _dataset(folders[0], path)
    if "" in folders:
        raise InvalidUpload(f"{path}: has a folder without a name; {FORM}")
    if len(folders) == 1:
        return _file_of_dataset(dataset, name, path)
    if len(folders) == 2:
        return _file_of_folder(dataset, "/".join(folders), name, path)
    raise InvalidUpload(f"{path}: more than two folders deep; {FORM}")


def _named_file(name: str) -> SnapshotPath:
    """`<dataset>.jsonl`: the file has the dataset's name."""
    stem = _stem(name, name)
    if is_named_like_a_split(name):
        raise InvalidUpload(f"{name}: is named like a split, not like a dataset; {FORM}")
    return SnapshotPath(_dataset(stem, name))


def _file_of_dataset(dataset: str, name: str, path: str) -> SnapshotPath:
    """`<dataset>/<name>.jsonl`: one file with a name of its own."""
    if name == MARKER:
        raise InvalidUpload(f"{path}: the marker belongs into a folder <dataset>/<name>/; {FORM}")
    if name == OPTIONS:
        raise InvalidUpload(
            f"{path}: {OPTIONS} goes with a folder snapshot, <dataset>/<name>/{OPTIONS}, or has the name of a file, "
            f"<name>{OPTIONS_ENDING}; {FORM}"
        )
    if split_of(name):
        raise InvalidUpload(
            f"{path}: a file named like a split belongs into a folder <dataset>/<name>/, completed by {MARKER}"
        )
    _stem(name, path)
    return SnapshotPath(dataset)


def _file_of_folder(dataset: str, folder: str, name: str, path: str) -> SnapshotPath | None:
    """`<dataset>/<name>/...`: one of several files, of which the marker comes last."""
    if name == MARKER:
        return SnapshotPath(dataset, folder)
    if name != OPTIONS:
        _stem(name, path)
    return None


def _stem(name: str, path: str) -> str:
    """The file's name without its extension. Raises InvalidUpload for any other extension."""
    for extension in EXTENSIONS:
        if name.endswith(extension) and len(name) > len(extension):
            return name.removesuffix(extension)
    how = (
        f"; `droptune prepare {shlex.quote(name)} --out FOLDER` makes a snapshot of it" if is_convertible(name) else ""
    )
    raise InvalidUpload(f"{path}: expected a name that ends in {', '.join(EXTENSIONS)}{how}; {FORM}")


def _dataset(name: str, path: str) -> str:
    if not naming.DATASET.fullmatch(name):
        raise InvalidUpload(f"{path}: {name!r} is not a dataset name; {FORM}")
    if naming.dataset_of(name):
        raise InvalidUpload(f"{path}: {name!r} is the form of a snapshot's id, not of a dataset's name; {FORM}")
    return name
