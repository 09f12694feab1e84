"""Watches the pages of a parquet file as Arrow reads them: how large they really are, whatever the footer says.

A footer is written by whoever wrote the file. Arrow believes the head of each page: it makes room for as many bytes and
values as that tells, and repeats a text of a dictionary for every row that points to it. So the bytes pass through here
on their way to Arrow, and each head is read before Arrow sees it. Called by `parquet` only; loads pyarrow when called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from shared.validation.policy import Policy
from shared.validation.rows import FileRefused, check_expansion
from shared.validation.sources import WatchedFile
from shared.validation.thrift import Compact

if TYPE_CHECKING:
    import pyarrow.parquet  # type: ignore[import-untyped]

VALUE_BYTES = 8
"""What even a null takes in memory."""
_PAGE_BYTES = 1 << 14  # what even an empty page costs, in time
_HEAD = 1 << 16  # bytes in which the head of a page ends
_SMALL = 1 << 16  # texts so long may be repeated for every row of a batch
_BATCH = 64 * 2**20
_DICTIONARY_PAGE, _DELTA_BYTE_ARRAY = 2, 7
_LARGEST_LOOKED_AT = 16 * 2**20
_WANTED = {
    1: None,  # kind of page
    2: None,  # size after decompression
    3: None,  # size as stored
    5: {1: None, 2: None},  # data page: values, encoding
    7: {1: None},  # dictionary page: values
    8: {1: None, 4: None},  # data page of version 2: values, encoding
}


class TooManyAtOnce(Exception):
    """So many rows could be too much in memory at once: `rows` may be read."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"only {rows} rows at once")
        self.rows = rows


@dataclass(slots=True)
class _Column:
    """A column of a row group, of which the pages before `next_head` were seen."""

    next_head: int
    end: int
    codec: str
    is_text: bool
    is_shared: bool
    """Whether texts of its dictionary stay one in memory."""


@dataclass(frozen=True, slots=True)
class _Page:
    """The head of a page."""

    kind: int
    size: int
    stored: int
    values: int
    encoding: int


class PageWatch:
    """A file whose pages are watched. It has what Arrow asks of a file."""

    def __init__(self, file: WatchedFile, stored: int, policy: Policy) -> None:
        self._file, self._stored, self._policy = file, stored, policy
        self._columns: list[_Column] = []
        self._at = 0
        self._rows = 0
        self._size = 0
        self.closed = False

    def expect(
        self, group: pyarrow.parquet.RowGroupMetaData, leaves: Sequence[int], shared: Sequence[str], rows: int
    ) -> None:
        """Watch these columns of a row group, which is about to be read so many rows at a time."""
        self._rows = rows
        self._columns = []
        for column in map(group.column, leaves):
            start = min(filter(None, (column.dictionary_page_offset, column.data_page_offset)), default=0)
            self._columns.append(
                _Column(
                    next_head=start,
                    end=start + max(0, column.total_compressed_size),
                    codec=column.compression,
                    is_text=column.physical_type == "BYTE_ARRAY",
                    is_shared=column.path_in_schema in shared,
                )
            )

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, once the pages whose heads are in them were found to be no larger than allowed."""
        start = self._at
        data = self._file.read(size)
        self._at += len(data)
        try:
            for column in self._columns:
                self._look(column, start, data)
        except (FileRefused, TooManyAtOnce) as refused:
            self._file.failure = self._file.failure or refused
            raise
        return data

    def _look(self, column: _Column, start: int, data: bytes) -> None:
        while start <= column.next_head < min(start + len(data), column.end):
            place = column.next_head - start
            page, length = self._head(data[place : place + _HEAD], column)
            self._size += page.size + _PAGE_BYTES + VALUE_BYTES * page.values
            check_expansion(self._size, self._stored, self._policy)
            body = column.next_head + length
            column.next_head = body + page.stored
            if column.is_text and not column.is_shared:
                self._check_repeats(column, page, data[body - start : body - start + page.stored], body)

    def _head(self, data: bytes, column: _Column) -> tuple[_Page, int]:
        try:
            return _parsed(data)
        except ValueError:  # it goes over the end of what was read, or is none
            return _parsed(self._peek(column.next_head, min(_HEAD, column.end - column.next_head)))

    def _peek(self, at: int, size: int) -> bytes:
        """Bytes from elsewhere; the next read goes on where the one before ended."""
        self._file.seek(at)
        found = b""
        while len(found) < size and (more := self._file.read(size - len(found))):
            found += more
        self._file.seek(self._at)
        return found

    def _check_repeats(self, column: _Column, page: _Page, body: bytes, at: int) -> None:
        """Raise if the longest text that this page can give each row is too long for a batch of rows."""
        if page.kind == _DICTIONARY_PAGE:
            longest = page.size - 4 * (page.values - 1)
            if longest > _SMALL and page.size <= _LARGEST_LOOKED_AT:
                longest = _longest_text(body if len(body) == page.stored else self._peek(at, page.stored), column, page)
        elif page.encoding == _DELTA_BYTE_ARRAY:
            longest = page.size
        else:
            return
        if longest > _SMALL and longest * self._rows > _BATCH:
            raise TooManyAtOnce(max(1, _BATCH // longest))

    # -- what Arrow asks besides

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move as `io` does, and say where."""
        self._at = self._file.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        """Say where the next read starts."""
        return self._file.tell()

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

    def close(self) -> None:
        """Nothing to do: the file is closed by whoever opened it."""


def _parsed(data: bytes) -> tuple[_Page, int]:
    reader = Compact(data)
    fields = reader.struct(_WANTED)
    data_page, dictionary = fields.get(8) or fields.get(5) or {}, fields.get(7) or {}
    if not (isinstance(data_page, dict) and isinstance(dictionary, dict)):
        raise ValueError("a page has an impossible head")
    values = data_page.get(1) or dictionary.get(1) or 0
    encoding = data_page.get(4 if fields.get(8) else 2)
    found = [
        number for number in (fields.get(1), fields.get(2), fields.get(3), values, encoding or 0) if _is_size(number)
    ]
    if len(found) < 5:
        raise ValueError("a page has an impossible head")
    return _Page(*found), reader.at


def _is_size(number: object) -> TypeGuard[int]:
    return isinstance(number, int) and number >= 0


def _longest_text(body: bytes, column: _Column, page: _Page) -> int:
    """The longest text of a dictionary; all of it where that cannot be told."""
    import pyarrow as pa

    codec = {"LZ4_RAW": "lz4_raw", "UNCOMPRESSED": ""}.get(column.codec, column.codec.lower())
    try:
        plain = pa.decompress(body, page.size, codec, asbytes=True) if codec else body
    except (pa.ArrowException, OSError, ValueError):
        return page.size
    at = longest = 0
    for _ in range(page.values):
        length = int.from_bytes(plain[at : at + 4], "little")
        longest = max(longest, length)
        at += 4 + length
        if at >= len(plain):
            break
    return longest
