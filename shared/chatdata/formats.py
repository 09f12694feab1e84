"""What the name of a file says of what is in it. Asked when files arrive (`intake`) and when they are validated."""

from __future__ import annotations

from typing import Literal

from shared.chatdata.splits import split_of

Format = Literal["jsonl", "jsonl.gz", "parquet"]
_FORMATS: tuple[tuple[str, Format], ...] = (
    (".jsonl", "jsonl"),
    (".jsonl.gz", "jsonl.gz"),
    (".parquet", "parquet"),
)
EXTENSIONS = tuple(ending for ending, _ in _FORMATS)
_TABLES = {"jsonl", "ndjson", "parquet", "csv", "tsv", "arrow", "feather", "orc", "avro", "xls", "xlsx"}
_ARCHIVES = {"zip", "gz", "bz2", "xz", "zst", "tar", "tgz", "7z", "rar"}
_TEXTS = {"json", "txt"}


def format_of(path: str) -> Format | None:
    """Format by the file's ending (in lower case), or None."""
    return next((form for ending, form in _FORMATS if path.endswith(ending)), None)


def seems_to_hold_rows(path: str) -> bool:
    """Whether a file of a folder must not be passed over: data of any format, readable here or not.

    A README.md or a notes.txt may lie beside the data; a train.txt, a train.JSONL or a more.csv may not.
    """
    ending = path.lower().rpartition(".")[2]
    return split_of(path) is not None or ending in _TABLES | _ARCHIVES


def printable(name: str, limit: int = 40) -> str:
    """A name cut short and without what would do harm where it is shown: control characters, changes of direction."""
    kept = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:limit])
    return kept if len(name) <= limit else f"{kept}…"


def inner_ending(name: str) -> str:
    """The ending of another data format before the one that counts: `.csv` of `a.csv.jsonl`; else empty."""
    lower = name.lower()
    for extension in EXTENSIONS:
        if lower.endswith(extension):
            _, dot, inner = lower.removesuffix(extension).rpartition(".")
            return f".{inner}" if dot and inner in _TABLES | _ARCHIVES | _TEXTS else ""
    return ""
