"""A gzip file's bytes as they were before, however many members it has, in time and memory bounded by what is read.

The standard library reads the name in a member's head byte by byte, and takes tens of microseconds a member: files made
of nothing else take it hours. Used by `jsonl`; what is damaged raises `DamagedGzip`, after all bytes before the damage.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

_GZIP = 31  # window bits that mean a gzip member, whose checksum zlib looks at
_READ = 1 << 16
_SMALL = 1 << 9
_WORDS = {"incorrect data check": "its checksum is wrong", "incorrect length check": "its length is wrong"}
_MOST_SILENT = 1 << 20
"""So many bytes of a file that give none are no accident: a name in a head, members with nothing in them, zeros."""


class DamagedGzip(Exception):
    """The bytes are no gzip, or end too early."""


class Gunzip:
    """Reads what `read` gives, as gzip."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._left = b""
        self._member: zlib._Decompress | None = None
        self._members = self._given = self._silent = 0
        self._is_small = False
        self._damage: DamagedGzip | None = None

    def read(self, size: int) -> bytes:
        """At most `size` bytes, and few only before the end; none at the end."""
        found: list[bytes] = []
        room = size
        try:
            while room > size // 2 and self._damage is None and (data := self._next(room)):
                found.append(data)
                room -= len(data)
        except DamagedGzip as damage:
            self._damage = damage
        if self._damage is not None and not found:
            raise self._damage
        return b"".join(found)

    def _next(self, size: int) -> bytes:
        while True:
            if not self._left:
                self._left = self._read(_READ)
                self._silent += len(self._left)
                if self._silent > _MOST_SILENT:
                    raise DamagedGzip(f"more than {_MOST_SILENT} bytes that stand for nothing")
            is_last = not self._left
            if self._member is None and not self._begin():
                if is_last:
                    return b""
                continue
            if data := self._decompress(size):
                self._given += len(data)
                self._silent = 0
                return data
            if is_last and self._member is not None:
                raise DamagedGzip("the file ends before its end-of-stream marker was reached")

    def _begin(self) -> bool:
        """Begin a member, if bytes of one are left; zeros may fill a file up to its end."""
        if self._members:
            self._left = self._left.lstrip(b"\0")
        if not self._left:
            return False
        self._is_small = self._members > 0 and self._given < _SMALL
        self._member, self._given = zlib.decompressobj(_GZIP), 0
        self._members += 1
        return True

    def _decompress(self, size: int) -> bytes:
        member = self._member
        assert member is not None
        piece = _SMALL if self._is_small else len(self._left)  # what a member does not take is copied
        given, rest = self._left[:piece], self._left[piece:]
        try:
            data = member.decompress(given, size)
        except zlib.error as wrong:
            raise DamagedGzip(_WORDS.get(reason := str(wrong).rpartition(": ")[2], reason)) from wrong
        self._left = (member.unused_data if member.eof else member.unconsumed_tail) + rest
        if member.eof:
            self._member = None
        return data
