"""The text of a gzip file, given to one chunk of it after the other. Called by `inspect` and `jsonl`.

Gzip is unpacked from its beginning. Whoever wants only the end of a text unpacks all of it, three times as fast as its
rows are checked; whoever has read a chunk goes on with the next one without that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shared.validation.gunzip import DamagedGzip, Gunzip
from shared.validation.lines import READ_SIZE
from shared.validation.rows import TELLING, ByteMeter, FileRefused, sniff
from shared.validation.shapes import HEAD_BYTES, text_kind
from shared.validation.sources import Chunk, Readable, WatchedFile


class ZippedText:
    """The text of an open gzip file. `heartbeat` is called at each read of the file; it may be replaced."""

    def __init__(self, file: Readable) -> None:
        self.heartbeat: Callable[[], None] = lambda: None
        self.file = WatchedFile(file, lambda: self.heartbeat())
        self._gunzip = Gunzip(self.file.read)
        self._first = self._rest = b""
        self.at = 0
        """So many bytes of text were read."""

    def pieces(self, chunk: Chunk, meter: ByteMeter) -> Iterator[tuple[int, bytes]]:
        """The lines of a chunk in pieces, each with its offset in the text; `at` is where the next chunk begins then.

        Raises FileRefused for what is no gzip, is damaged, or is too large.
        """
        start, end = chunk.text
        self.skip_to(start)
        meter.before = start
        is_last = False
        while not is_last and (end is None or self.at < end):
            offset = self.at
            if not (data := self._read()):
                return
            if end is not None:
                data = self._keep(data, end - offset)
            elif chunk.end is not None and self.file.bytes_read >= chunk.end and (line := data.rfind(b"\n") + 1):
                data, is_last = self._keep(data, line), True
            meter.add(len(data), max(self.file.bytes_read, 1))
            yield offset, data

    def is_over(self) -> bool:
        """Whether no text is left. Raises FileRefused for what comes next, if that is damaged."""
        data = self._read()
        self._keep(data, 0)
        return not data

    def close(self) -> None:
        """Closes the file."""
        self.file.close()

    def skip_to(self, start: int) -> None:
        """Unpacks up to there, and forgets what comes before."""
        while (left := start - self.at) > 0 and (data := self._read()):
            self._keep(data, left)

    def _read(self) -> bytes:
        """What was given back, or the next piece; nothing at the end."""
        data, self._rest = self._rest or self._unpacked(), b""
        self.at += len(data)
        return data

    def _keep(self, data: bytes, size: int) -> bytes:
        """The first bytes of what was just read; all others are given back."""
        self._rest = data[size:]
        self.at -= len(self._rest)
        return data[:size]

    def _unpacked(self) -> bytes:
        file = self.file
        try:
            data = self._gunzip.read(READ_SIZE)
        except DamagedGzip as damage:
            file.raise_failure()
            if not b"\x1f\x8b".startswith(file.start[:2]):
                sniff(file.start + file.read(TELLING), "gzip")
                found = text_kind(file.beginning(HEAD_BYTES)) or f"bytes {file.start[:2].hex(' ')}"
                raise FileRefused("file-format", found, "gzip (bytes 1f 8b)") from damage
            raise FileRefused("file-unreadable", str(damage)[:120].rstrip("."), "a whole gzip file") from damage
        if len(self._first) < TELLING:  # the first member may hold a few bytes only
            self._first += data[:TELLING]
            sniff(self._first, "JSONL")
        return data
