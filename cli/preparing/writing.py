"""The folder that is written: shards of each split, the options, and the marker last. It is there as a whole or not.

Everything is written beside it and gets its name at the end, so what was cut off never looks like a snapshot.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from cli.preparing.inputs import CannotPrepare
from shared.config.options import NAME
from shared.snapshots.paths import MARKER

FileFormat = Literal["jsonl", "jsonl.gz", "parquet"]
_PARQUET_ROWS = 10_000


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `out` once all went well. Raises CannotPrepare if something is there."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "already holds a snapshot" if (out / MARKER).exists() else "is there already and not empty"
        raise CannotPrepare(f"{out} {what}; choose another folder")
    working = out.parent / f".{out.name}.unfinished"
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir(parents=True)
    try:
        yield working
        (working / MARKER).write_bytes(b"")
        if out.exists():
            out.rmdir()
        working.rename(out)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def write_options(folder: Path, options: Mapping[str, Any]) -> None:
    """The snapshot's own `snapshot.json`, if there is anything to say."""
    if options:
        (folder / NAME).write_text(json.dumps(options, indent=2, ensure_ascii=False) + "\n", "utf-8")


class _ShardFile(Protocol):
    def add(self, line: bytes) -> None: ...
    def close(self) -> None: ...


class SplitWriter:
    """Writes the rows of one split, in as many files as it takes, and names them at the end."""

    def __init__(self, folder: Path, split: str, file_format: FileFormat, shard_rows: int = 0) -> None:
        self._folder, self._split, self._format = folder, split, file_format
        self._shard_rows = shard_rows
        self._shards: list[Path] = []
        self._file: _ShardFile | None = None
        self.rows = 0

    def add(self, line: bytes) -> None:
        """Write one row, a line of JSON with its line feed."""
        if self._file is None or (self._shard_rows and self.rows % self._shard_rows == 0):
            self.close()
            path = self._folder / f"{self._split}-{len(self._shards):05}.{self._format}"
            self._shards.append(path)
            self._file = _ParquetShard(path) if self._format == "parquet" else _TextShard(path)
        self._file.add(line)
        self.rows += 1

    def finish(self) -> list[str]:
        """Close the files and give them the names that the Hub gives; the names."""
        self.close()
        count = len(self._shards)
        names = []
        for at, path in enumerate(self._shards):
            shard = f"-{at:05}-of-{count:05}" if count > 1 else ""
            names.append(path.rename(path.with_name(f"{self._split}{shard}.{self._format}")).name)
        return names

    def close(self) -> None:
        """Close the file that is being written, if one is."""
        if self._file is not None:
            self._file.close()
            self._file = None


class _TextShard:
    def __init__(self, path: Path) -> None:
        packed = path.suffix == ".gz"
        # without a time, so that the same rows are the same file
        self._file: IO[bytes] = gzip.GzipFile(path, "wb", 6, mtime=0) if packed else path.open("wb", buffering=2**20)  # type: ignore[assignment]

    def add(self, line: bytes) -> None:
        self._file.write(line)

    def close(self) -> None:
        self._file.close()


class _ParquetShard:
    def __init__(self, path: Path) -> None:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        turn = pa.struct([("role", pa.string()), ("content", pa.string())])
        self._schema = pa.schema([("messages", pa.list_(turn))])
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[Any] = []

    def add(self, line: bytes) -> None:
        import orjson

        self._rows.append(orjson.loads(line))
        if len(self._rows) >= _PARQUET_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._file.close()
