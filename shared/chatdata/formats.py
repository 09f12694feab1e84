"""What the name of a file says of what is in it. Asked when files arrive (`intake`) and when they are validated."""

from __future__ import annotations

from typing import Literal

from shared.chatdata.splits import splits_in

Format = Literal["jsonl", "jsonl.gz", "parquet"]
_FORMATS: tuple[tuple[str, Format], ...] = (
    (".jsonl", "jsonl"),
    (".jsonl.gz", "jsonl.gz"),
    (".parquet", "parquet"),
)
EXTENSIONS = tuple(ending for ending, _ in _FORMATS)
_TABLES = {
    *("jsonl", "ndjson", "jsonlines", "json", "parquet", "pq", "csv", "tsv", "psv", "arrow", "feather", "orc", "avro"),
    *("xls", "xlsx", "ods", "pkl", "pickle", "npy", "npz", "h5", "hdf5", "tfrecord", "tfrecords", "sqlite", "db"),
    *("jl", "msgpack", "lance"),
}
CONVERTIBLE = frozenset(
    {
        *("jsonl", "ndjson", "jsonlines", "jl", "json", "parquet", "pq", "csv", "tsv", "tab", "psv"),
        *("arrow", "feather"),
    }
)
"""Endings of files that `droptune prepare` reads, also with that of a compression behind them."""
_ARCHIVES = {"zip", "gz", "gzip", "bz2", "xz", "zst", "zstd", "lz4", "br", "tar", "tgz", "7z", "rar"}
_TEXTS = {"json", "txt"}
_UNFINISHED = {"part", "partial", "crdownload", "download", "tmp", "temp", "filepart", "opdownload", "aria2", "bak"}
# Compressions inside a parquet file, which Spark and others write into its name.
_CODECS = {"gz", "gzip", "zst", "zstd", "lz4", "br"}
# What lies beside data without being data: the snapshot's own options, and what `datasets` writes about data.
_ABOUT = {"snapshot.json", "dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json"}
_PAPERS = {"readme", "license", "licence", "notice", "changelog", "changes", "authors", "copying", "citation"}


def format_of(path: str) -> Format | None:
    """Format by the file's ending (in lower case), or None."""
    return next((form for ending, form in _FORMATS if path.endswith(ending)), None)


def seems_to_hold_rows(path: str) -> bool:
    """Whether a file of a folder must not be passed over: data of any format, readable here or not, whole or not.

    A README.md or a notes.txt may lie beside the data; a train.txt, a part-1.json, a more.jsonl.txt, an unfinished
    download and a file without any ending may not.
    """
    name = path.rsplit("/", 1)[-1].lower()
    stem, *endings = name.split(".")
    if name in _ABOUT or name.startswith((".", "_")):
        return False
    found = {ending.rstrip("~").split(" ")[0] for ending in endings}
    if splits_in(name) or found & (_TABLES | _ARCHIVES | _UNFINISHED):
        return True
    if any(ending.startswith("json") for ending in found):  # `data.jsonl_`, `data.jsonl5`
        return True
    return not endings and stem not in _PAPERS


def is_convertible(path: str) -> bool:
    """Whether a name is that of a file which the command line makes rows of."""
    _, *endings = path.rsplit("/", 1)[-1].lower().split(".")
    if endings and endings[-1] in ("gz", "bz2", "xz"):
        endings.pop()
    return bool(endings) and endings[-1] in CONVERTIBLE


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
            if extension == ".parquet" and inner in _CODECS:
                return ""
            return f".{inner}" if dot and inner in _TABLES | _ARCHIVES | _TEXTS else ""
    return ""
