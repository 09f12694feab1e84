"""Watches the pages of a parquet file as Arrow reads them: how large they really are, whatever the footer says.

A footer is written by whoever wrote the file. Arrow believes the head of each page: it makes room for as many bytes and
values as that tells, and repeats a text of a dictionary for every value that points to it. So the bytes pass through
here on their way to Arrow, and each head is read before Arrow sees it. Called by `parquet` only; loads pyarrow when
called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from shared.validation.policy import Policy
from shared.validation.repeats import Levels, longest_text, most_often
from shared.validation.rows import FileRefused, check_expansion
from shared.validation.sources import ReadOnlyFile, WatchedFile
from shared.validation.thrift import Compact

if TYPE_CHECKING:
    import pyarrow.parquet  # type: ignore[import-untyped]

VALUE_BYTES = 8
"""What even a null takes in memory."""
_PAGE_BYTES = 1 << 14  # what even an empty page costs, in time
_HEAD = 1 << 16  # bytes in which the head of a page ends
_MOST_AT_ONCE = 128 * 2**20
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_DICTIONARY_CODED, _DELTA_BYTE_ARRAY, _RUNS = (2, 8), 7, 3
_PLAIN_HEADS = {_DATA_PAGE: 5, _DICTIONARY_PAGE: 7, _DATA_PAGE_V2: 8}
_WANTED = {
    1: None,  # kind of page
    2: None,  # size after decompression
    3: None,  # size as stored
    5: {1: None, 2: None, 3: None, 4: None},  # data page: values, encoding, encodings of the levels
    7: {1: None},  # dictionary page: values
    8: {1: None, 4: None, 5: None, 6: None, 7: None},  # data page of version 2: values, encoding, bytes of the levels,
}  # whether it is compressed
_ENCODINGS = {_DATA_PAGE: 2, _DATA_PAGE_V2: 4}


class MustStayShared(Exception):
    """Texts of this column are repeated so often that each must stay one in memory."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} repeats long texts")
        self.path = path


@dataclass(slots=True)
class _Column:
    """A column of a row group, of which the pages before `next_head` were seen."""

    path: str
    next_head: int
    end: int
    codec: str
    width: int
    """Bytes of a value in memory, but for a text's."""
    has_texts: bool
    is_shared: bool
    """Whether texts of its dictionary stay one in memory."""
    levels: int = 0
    """Whether its values may be null, and whether they are in lists: that many kinds of levels are in each page."""
    dictionary: _Page | None = None
    dictionary_at: int = 0
    longest: int | None = None
    """Of the texts of its dictionary, if it was looked into."""
    repeated: int = 0
    """Bytes that the values may come to that repeat an earlier text."""


@dataclass(frozen=True, slots=True)
class _Page:
    """The head of a page."""

    kind: int
    size: int
    stored: int
    values: int
    encoding: int
    levels: int | None
    """Bytes of levels that are not compressed, in a page of version 2."""
    is_compressed: bool
    is_understood: bool
    """Whether it is known where its values start."""

    @property
    def is_dictionary(self) -> bool:
        """Whether it has the texts that the other pages point to."""
        return self.kind == _DICTIONARY_PAGE


class PageWatch(ReadOnlyFile):
    """A file whose pages are watched. It has what Arrow asks of a file."""

    def __init__(self, file: WatchedFile, stored: int, policy: Policy) -> None:
        self._file, self._stored, self._policy = file, stored, policy
        self._columns: list[_Column] = []
        self._at = 0
        self._group = -1
        self._size = self._size_before = self._size_given = 0
        self.closed = False

    def expect(
        self, metadata: pyarrow.parquet.FileMetaData, group: int, leaves: Sequence[int], shared: Sequence[str]
    ) -> None:
        """Watch these columns of a row group, which is about to be read. What is read again does not count again."""
        if group == self._group:
            self._size = self._size_before
        self._group = group
        self._columns = []
        for column, leaf in ((metadata.row_group(group).column(leaf), metadata.schema.column(leaf)) for leaf in leaves):
            offsets = (column.dictionary_page_offset or 0, column.data_page_offset)
            start = min((offset for offset in offsets if offset > 0), default=0)
            self._columns.append(
                _Column(
                    path=column.path_in_schema,
                    next_head=start,
                    end=start + max(0, column.total_compressed_size),
                    codec=column.compression,
                    width=max(VALUE_BYTES, leaf.length or 0),
                    has_texts=column.physical_type == "BYTE_ARRAY",
                    is_shared=column.path_in_schema in shared,
                    levels=(leaf.max_repetition_level > 0) + (leaf.max_definition_level > 0),
                )
            )
        self._size_before = self._size_given = self._size

    def given(self) -> None:
        """The rows of the pages up to now have been taken, and are no longer in memory."""
        self._size_given = self._size

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, once the pages whose heads are in them were found to be no larger than allowed."""
        start = self._at
        data = self._file.read(size)
        self._at += len(data)
        try:
            for column in self._columns:
                self._look(column, start, data)
        except (FileRefused, MustStayShared) as refused:
            self._file.failure = self._file.failure or refused
            raise
        return data

    def _look(self, column: _Column, start: int, data: bytes) -> None:
        while start <= column.next_head < min(start + len(data), column.end):
            place = column.next_head - start
            page, length = self._head(data[place : place + _HEAD], column)
            self._size += page.size + _PAGE_BYTES + column.width * page.values
            check_expansion(self._size, self._stored, self._policy)
            if self._size - self._size_given > _MOST_AT_ONCE:
                found = f"{self._size - self._size_given} bytes in pages that are read at once"
                raise FileRefused("file-expands", found, f"at most {_MOST_AT_ONCE}; write smaller pages and rows")
            body = column.next_head + length
            column.next_head = body + page.stored
            if column.has_texts:
                self._look_for_repeats(column, page, memoryview(data)[body - start : body - start + page.stored], body)

    def _look_for_repeats(self, column: _Column, page: _Page, body: bytes | memoryview, at: int) -> None:
        """Raise if the values of the pages up to this one could repeat texts to more than may be in memory."""
        if page.is_dictionary:
            column.dictionary, column.dictionary_at, column.longest = page, at, None
        elif page.encoding in _DICTIONARY_CODED and not column.is_shared and column.dictionary:
            column.repeated += self._comes_to(column, column.dictionary, page, body, at)
            if column.repeated > _MOST_AT_ONCE:
                raise MustStayShared(column.path)
        elif page.encoding == _DELTA_BYTE_ARRAY:  # a value repeats the start of the one before
            column.repeated += page.values * page.size
            if column.repeated > _MOST_AT_ONCE:
                found = f"up to {column.repeated} bytes in column {column.path}, which is encoded as DELTA_BYTE_ARRAY"
                raise FileRefused("file-expands", found, "another encoding, such as PLAIN")

    def _comes_to(self, column: _Column, dictionary: _Page, page: _Page, body: bytes | memoryview, at: int) -> int:
        """The bytes that the texts of a page may come to: as few as must be known, as most dictionaries are large."""
        room = _MOST_AT_ONCE - column.repeated
        size = page.values * dictionary.size
        if size > room and page.is_understood:
            body = body if len(body) == page.stored else self._peek(at, page.stored)
            codec = column.codec if page.is_compressed else "UNCOMPRESSED"
            levels = Levels(column.levels, 0) if page.levels is None else Levels(0, page.levels)
            size = dictionary.size * most_often(body, page.size, page.values, codec, levels)
        if size > room:
            if column.longest is None:
                texts = self._peek(column.dictionary_at, dictionary.stored)
                column.longest = longest_text(texts, dictionary.size, dictionary.values, column.codec)
            size = min(size, page.values * column.longest)
        return size

    def _head(self, data: bytes, column: _Column) -> tuple[_Page, int]:
        try:
            return head_of(data)
        except ValueError:  # it goes over the end of what was read, or is none
            return head_of(self._peek(column.next_head, min(_HEAD, column.end - column.next_head)))

    def _peek(self, at: int, size: int) -> bytes:
        """Bytes from elsewhere; the next read goes on where the one before ended."""
        self._file.seek(at)
        found = bytearray()
        while len(found) < size and (more := self._file.read(size - len(found))):
            found += more
        self._file.seek(self._at)
        return bytes(found)

    # -- what Arrow asks besides

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move as `io` does, and say where."""
        self._at = self._file.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        """Say where the next read starts."""
        return self._file.tell()

    def close(self) -> None:
        """Nothing to do: the file is closed by whoever opened it."""


def head_of(data: bytes) -> tuple[_Page, int]:
    """The head of the page that starts here, and how long it is. Raises ValueError."""
    reader = Compact(data)
    fields = reader.struct(_WANTED)
    kind = fields.get(1)
    inner = fields.get(_PLAIN_HEADS.get(kind, 0)) if isinstance(kind, int) else None
    if inner is not None and not isinstance(inner, dict):
        raise ValueError("a page has an impossible head")
    inner = inner or {}
    encoding = inner.get(_ENCODINGS.get(kind or 0, 0), 0)
    levels = inner.get(5, 0), inner.get(6, 0)
    found = [number for number in (kind, fields.get(2), fields.get(3), inner.get(1, 0), encoding) if _is_size(number)]
    if len(found) < 5:
        raise ValueError("a page has an impossible head")
    kind, size, stored, values, encoding = found
    if kind == _DATA_PAGE_V2:
        plain, is_compressed = sum(filter(_is_size, levels)), inner.get(7) is not False
        return _Page(kind, size, stored, values, encoding, plain, is_compressed, True), reader.at
    is_understood = (inner.get(3), inner.get(4)) == (_RUNS, _RUNS)
    return _Page(kind, size, stored, values, encoding, None, True, is_understood), reader.at


def _is_size(number: object) -> TypeGuard[int]:
    return isinstance(number, int) and 0 <= number < 1 << 31
