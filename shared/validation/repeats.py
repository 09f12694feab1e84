"""How far a page of parquet repeats the texts of its dictionary: told by where it points to, without decoding a text.

Called by `pages`, for pages that come to more than may be in memory if each value is the longest text there could be.
Whoever wrote the file chose every byte, so whatever cannot be told counts as the worst. Loads pyarrow when called.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LENGTH = struct.Struct("<I")
_WIDEST = 24  # bits of an index
_MOST_RUNS = 1 << 10
_MOST_VALUES = 1 << 16


class Levels(NamedTuple):
    """What is before the values of a page, and tells which of them are null and where lists begin."""

    lengths: int
    """How many times a length and so many bytes, compressed as the values are: in a page of version 1."""
    plain: int
    """How many bytes that are not compressed: in a page of version 2."""


def plain_bytes(body: bytes | memoryview, size: int, codec: str) -> memoryview | None:
    """What was compressed, of this size; None if that is not true."""
    import pyarrow as pa  # type: ignore[import-untyped]

    name = {"LZ4_RAW": "lz4_raw", "UNCOMPRESSED": ""}.get(codec, codec.lower())
    try:
        return memoryview(pa.decompress(body, size, name) if name else body).cast("B")
    except (pa.ArrowException, OSError, ValueError):
        return None


def longest_text(body: bytes | memoryview, size: int, values: int, codec: str) -> int:
    """The longest text of a dictionary; all of it where that cannot be told."""
    plain = plain_bytes(body, size, codec)
    if plain is None:
        return size
    at, last, longest = 0, len(plain) - _LENGTH.size, 0
    unpack = _LENGTH.unpack_from
    for _ in range(values):
        if at + longest > last:  # what is left has no room for a longer one
            break
        (length,) = unpack(plain, at)
        if length > longest:
            longest = length
        at += _LENGTH.size + length
    return longest


def most_often(body: bytes | memoryview, size: int, values: int, codec: str, levels: Levels) -> int:
    """How often the values of a page, at most so many, point to the text that they point to most often."""
    if values > _MOST_VALUES or levels.plain > size:
        return values
    plain = plain_bytes(body[levels.plain :], size - levels.plain, codec)
    if plain is None:
        return values
    try:
        at = 0
        for _ in range(levels.lengths):
            at += _LENGTH.size + _LENGTH.unpack_from(plain, at)[0]
        return _most_often(plain[at:], values)
    except (IndexError, ValueError, struct.error):  # Arrow will find it damaged
        return values


def _most_often(coded: memoryview, values: int) -> int:
    """The same for indices, which are packed as bits or come as runs of one. Raises IndexError or ValueError."""
    import numpy

    width, at, left = coded[0], 1, values
    if not 0 < width <= _WIDEST:
        return values
    found: list[NDArray[Any]] = []
    while left > 0 and at < len(coded):  # it ends early if some values are null
        head, at = _number(coded, at)
        count = head >> 1
        if head & 1:
            end = at + count * width
            found.append(_unpacked(coded[at : min(end, at + (left // 8 + 1) * width)], width)[:left])
            count *= 8
        else:
            end = at + -(-width // 8)
            found.append(numpy.full(min(count, left), int.from_bytes(coded[at:end], "little")))
        at, left = end, left - count
        if len(found) > _MOST_RUNS:
            return values
    return int(numpy.unique_counts(numpy.concatenate(found)).counts.max())


def _number(data: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number, shift, at = number | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return number, at


def _unpacked(packed: memoryview, width: int) -> NDArray[Any]:
    import numpy

    bits = numpy.unpackbits(numpy.frombuffer(packed, numpy.uint8), bitorder="little")
    indices: NDArray[Any] = bits[: len(bits) // width * width].reshape(-1, width) @ (1 << numpy.arange(width))
    return indices
