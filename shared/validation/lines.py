"""A binary stream cut into lines with exact numbers and offsets, in bounded memory however long a line is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

CHUNK = 1 << 20


class Line(NamedTuple):
    """One line without its line feed; `content` is None where it is longer than allowed."""

    number: int
    offset: int
    length: int
    content: bytes | None


def lines_of(read: Callable[[int], bytes], limit: int) -> Iterator[Line]:
    """Cut what `read` gives into lines. A last line without line feed counts, an empty rest does not."""
    number, offset = 1, 0
    pieces: list[bytes] = []
    held = 0

    while chunk := read(CHUNK):
        parts = chunk.split(b"\n")
        last = parts.pop()
        if parts:
            if held:
                held += len(parts[0])
                whole = b"".join((*pieces, parts[0])) if held <= limit else None
                yield Line(number, offset, held, whole)
                number, offset = number + 1, offset + held + 1
                del parts[0]
                pieces, held = [], 0
            for part in parts:
                length = len(part)
                yield Line(number, offset, length, part if length <= limit else None)
                number += 1
                offset += length + 1
        held += len(last)
        if held <= limit:
            pieces.append(last)
        else:
            pieces.clear()
    if held:
        yield Line(number, offset, held, b"".join(pieces) if held <= limit else None)
