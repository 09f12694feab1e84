"""Follows Azurite's access log: the one place where it tells which request did what.

Used by `storage_events`. A line counts once it is complete; a log that was replaced or cut short is read from its
start, after what was left of the old one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import parse_qs, unquote

Operation = Literal["PutBlob", "PutBlockList", "CopyBlob", "DeleteBlob"]
_LINE = re.compile(
    r'"(?P<method>PUT|DELETE) /devstoreaccount1/(?P<container>[^/?" ]+)/(?P<blob>[^?" ]+)'
    r'(?:\?(?P<query>[^" ]*))? HTTP/[\d.]+" (?P<status>\d+) '
)
# Queue messages are put and deleted under paths of the same form, but answered with 204.
_OPERATIONS: dict[tuple[str, str | None, str], Operation] = {
    ("PUT", None, "201"): "PutBlob",
    ("PUT", None, "202"): "CopyBlob",
    ("PUT", "blocklist", "201"): "PutBlockList",
    ("DELETE", None, "202"): "DeleteBlob",
}


@dataclass(frozen=True)
class BlobChange:
    """A request that left a blob complete or deleted it."""

    operation: Operation
    container: str
    blob: str


def parse(line: str) -> BlobChange | None:
    """What a line of the log says was done to a blob; None for every other request and for failed ones."""
    found = _LINE.search(line)
    if found is None:
        return None
    query = parse_qs(found["query"] or "", keep_blank_values=True)
    if found["method"] == "DELETE" and ("snapshot" in query or "versionid" in query):
        return None
    operation = _OPERATIONS.get((found["method"], query.get("comp", [None])[0], found["status"]))
    return BlobChange(operation, unquote(found["container"]), unquote(found["blob"])) if operation else None


@dataclass(frozen=True)
class LogLine:
    """A complete line, and where in the file it starts."""

    text: str
    file: int
    start: int
    end: int


class AccessLog:
    """The log from a position on. `file` is the inode: a position means nothing in another file."""

    def __init__(self, path: Path, file: int = 0, position: int = 0) -> None:
        self._path = path
        self._file = file
        self._position = position
        self._open: BinaryIO | None = None

    def new_lines(self) -> Iterator[LogLine]:
        """Every line completed since the last look."""
        while True:
            if self._open is None and not self._find():
                return
            yield from self._rest()
            if not self._replaced():
                return
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _find(self) -> bool:
        try:
            opened = self._path.open("rb")
        except FileNotFoundError:
            return False
        if os.fstat(opened.fileno()).st_ino != self._file:
            self._file, self._position = os.fstat(opened.fileno()).st_ino, 0
        self._open = opened
        return True

    def _rest(self) -> Iterator[LogLine]:
        assert self._open is not None
        if os.fstat(self._open.fileno()).st_size < self._position:
            self._position = 0
        self._open.seek(self._position)
        for raw in self._open:
            if not raw.endswith(b"\n"):
                return
            start, self._position = self._position, self._position + len(raw)
            yield LogLine(raw.decode("utf-8", "replace"), self._file, start, self._position)

    def _replaced(self) -> bool:
        try:
            return self._path.stat().st_ino != self._file
        except FileNotFoundError:
            return False
