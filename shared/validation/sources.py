"""The files of a snapshot: what their names say, and their bytes as they are read.

A failing read (the network, a lease) must never look like a damaged file. `WatchedFile` remembers what the
caller's file raised, so that readers can tell the two apart and raise it again.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from shared.chatdata.formats import Format, format_of, inner_ending, seems_to_hold_rows
from shared.chatdata.splits import WORDS, Split, split_of, splits_in

# Dialogues as JSON are about so many times as long as they are gzipped.
_EXPANSION = 4


class Readable(Protocol):
    """What an opener returns: a binary file. Parquet needs `seek` and `tell`; a chunk of JSONL `seek`."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file of a snapshot. `split` None: not said by the person, so rows are cut from it by hash."""

    path: str
    open: Callable[[], Readable]
    size: int
    split: Split | None = None
    format: Format | None = None

    @property
    def known_format(self) -> Format | None:
        """The given format, else that of the path."""
        return self.format or format_of(self.path)

    @property
    def text_size(self) -> int:
        """How many bytes it has when they are read, by estimate."""
        return self.size * _EXPANSION if self.known_format == "jsonl.gz" else self.size


@dataclass(frozen=True, slots=True)
class Chunk:
    """One file, or the piece of it from `start` up to `end`: bytes of JSONL or gzip, row groups of parquet.

    A chunk of gzip is read after the one before it, which tells where its text begins. `text`: the range of text that
    it has, as far as it is known; without an end it goes on to the line in which its stored bytes end.
    """

    source: Source
    start: int = 0
    end: int | None = None
    text: tuple[int, int | None] = (0, None)

    @property
    def goes_on(self) -> bool:
        """Whether it can only be read after the chunk before it."""
        return self.start > 0 and self.source.known_format == "jsonl.gz"


def local_source(path: str | os.PathLike[str], *, alone: bool = True) -> Source:
    """Make a source of a file on disk. In a folder (`alone=False`) its name says the split.

    Raises ValueError for what is no file: a pipe or a device never ends.
    """
    file = Path(path)
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is {_kind(status.st_mode)}, not a file")
    return Source(
        path=str(path).encode("utf-8", "backslashreplace").decode(),
        open=partial(_opened, file),
        size=status.st_size,
        split=None if alone else split_of(file.name),
    )


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def files_of(path: str | os.PathLike[str]) -> list[Path]:
    """The files of a folder that make a snapshot: all but its marker, its options, and what holds no rows.

    Raises ValueError for a folder in it, whose files would be passed over.
    """
    inside = [file for file in sorted(Path(path).iterdir()) if not file.name.startswith((".", "_SUCCESS"))]
    for folder in inside:
        if folder.is_dir():
            raise ValueError(f"{folder} is a folder inside a folder; the files of a snapshot are in one folder")
    return [file for file in inside if seems_to_hold_rows(file.name)]


def _opened(file: Path) -> Readable:
    return file.open("rb", buffering=0)


class ListingProblem(NamedTuple):
    """One thing that is wrong; `source` is None where it is about the snapshot as a whole."""

    rule: str
    source: Source | None
    found: str
    expected: str


def listing_problems(sources: Sequence[Source]) -> Iterator[ListingProblem]:
    """Everything that names and number of the files tell."""
    if not sources:
        yield ListingProblem("no-files", None, "no file", "at least one")
    elif all(source.split in ("test", "validation") for source in sources):
        yield ListingProblem("no-train-split", None, "only held-out files", "a file to train on")
    several = [splits_in(source.path) for source in sources] if len(sources) > 1 else []
    named = any(source.split for source in sources) or any(len(splits) > 1 for splits in several)
    for source in sources:
        if named and source.split is None:
            yield ListingProblem("split-unknown", source, _name(source)[-40:], _likely(source))
        if ending := inner_ending(_name(source)):
            yield ListingProblem(
                "double-extension", source, f"{ending} inside {_name(source)[-40:]}", "one format in the name"
            )


def _name(source: Source) -> str:
    return source.path.rsplit("/", 1)[-1]


def _likely(source: Source) -> str:
    if len(splits := splits_in(source.path)) > 1:
        return f"the name of one split, not of {' and '.join(sorted(splits))}"
    word = _name(source).split(".", 1)[0].lower()
    near = difflib.get_close_matches(word, WORDS, n=1, cutoff=0.6)
    likely = f"{split_of(near[0])} (probably), " if near else ""
    return f"{likely}a name with the word train, validation or test"


class ReadOnlyFile:
    """What Arrow asks of a file besides reading it."""

    def readable(self) -> bool:
        """A snapshot is only ever read."""
        return True

    def writable(self) -> bool:
        """See `readable`."""
        return False

    def seekable(self) -> bool:
        """Parquet is read from its end."""
        return True

    def flush(self) -> None:
        """Nothing to do; Arrow asks for it."""


class WatchedFile(ReadOnlyFile):
    """A caller's file, with a heartbeat at every read and a memory of the error it raised."""

    def __init__(self, file: Readable, beat: Callable[[], None]) -> None:
        self._file, self._beat = file, beat
        self.failure: BaseException | None = None
        self.start = b""
        """The first bytes that were read."""
        self.bytes_read = 0
        self.closed = False
        self._kept: bytearray | None = None
        self._again = b""

    def keep(self) -> None:
        """Remember what is read from now on, so that it can be read `again`."""
        self._kept = bytearray()

    def again(self) -> None:
        """Give what was kept once more, before what comes after it. The caller's file is still read once only."""
        self._again, self._kept = bytes(self._kept or b""), None

    def beat(self) -> None:
        """Tell the caller that work goes on; what it raises is kept like a failed read."""
        try:
            self._beat()
        except BaseException as failure:
            self.failure = failure
            raise

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes."""
        if self._again:
            end = len(self._again) if size < 0 else size
            data, self._again = self._again[:end], self._again[end:]
            return data
        try:
            self._beat()
            data = bytes(self._file.read(size))
        except BaseException as failure:
            self.failure = failure
            raise
        if self._kept is not None:
            self._kept += data
        self.start = self.start or data[:16]
        self.bytes_read += len(data)
        return data

    def beginning(self, size: int) -> bytes:
        """The first bytes once more; where the file is read next is not where it was."""
        self._again = b""
        self.seek(0)
        return self.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move as `io` does, and say where."""
        try:
            self._file.seek(offset, whence)
            return self._file.tell()
        except BaseException as failure:
            self.failure = failure
            raise

    def tell(self) -> int:
        """Say where the next read starts."""
        return self._file.tell()

    def close(self) -> None:
        """Close the caller's file."""
        if not self.closed:
            self.closed = True
            self._file.close()

    def raise_failure(self) -> None:
        """Raise again what the caller's file or the heartbeat raised, if anything."""
        if self.failure is not None:
            raise self.failure
