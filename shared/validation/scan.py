"""Looking through many bytes at once, where numpy is several times faster than the methods of bytes.

numpy is loaded when it is first needed: whoever only imports the package should not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUOTE, _BACKSLASH, _U, _B, _ZERO, _EIGHT = b'"\\ub08'
_CONTROL_RANGES = (1, 8), (0x0E, 0x1F)
_VERTICAL_TAB, _DELETE, _ANY = b"\x0b\x7f?"
_WINDOW = 1 << 18


def count(data: bytes, code: int) -> int:
    """How many bytes are this one."""
    import numpy

    return int(numpy.count_nonzero(_codes(data) == code))


class JsonText:
    """What some valid JSON tells before anything in it is decoded."""

    def __init__(self, data: bytes) -> None:
        import numpy

        codes = _codes(data)
        escapes = _escapes(codes)
        escaped = codes[escapes + 1]
        self.quotes = int(numpy.count_nonzero(codes == _QUOTE) - numpy.count_nonzero(escaped == _QUOTE))
        """Those before and after its strings, without those inside."""
        numbered = escapes[escaped == _U]
        is_ascii = (codes[numbered + 2] == _ZERO) & (codes[numbered + 3] == _ZERO) & (codes[numbered + 4] < _EIGHT)
        self.is_literal = not (is_ascii.any() or (escaped == _B).any())
        """Whether each ASCII character of its strings is there as it is, but for quotes, slashes and white space."""


def _escapes(codes: NDArray[Any]) -> NDArray[Any]:
    """Where each escape begins: at every second backslash of those that follow each other."""
    import numpy

    places = numpy.flatnonzero(codes == _BACKSLASH)
    follows = numpy.diff(places, prepend=-2) == 1
    if not follows.any():
        return places
    numbers = numpy.arange(len(places))
    first = numpy.maximum.accumulate(numpy.where(follows, 0, numbers))
    escapes: NDArray[Any] = places[(numbers - first) % 2 == 0]
    return escapes


def holds_control_character(data: bytes) -> bool:
    """Whether there are characters that nobody can see; NUL, white space and line ends are none of them."""
    codes = _codes(data)
    # Less than the first of a range makes a number above all others: each range takes one pass.
    ranged = any(int((codes - first).min()) <= last - first for first, last in _CONTROL_RANGES) if data else False
    return ranged or _VERTICAL_TAB in data or _DELETE in data


def windows(data: bytes, overlap: int) -> Iterator[bytes]:
    """The same bytes some at a time, so that what is computed of them stays in the processor's cache.

    So many at the end of each are also at the start of the next.
    """
    if len(data) <= _WINDOW:
        yield data
        return
    for start in range(0, len(data), _WINDOW):
        yield data[start : start + _WINDOW + overlap]


def _codes(data: bytes) -> NDArray[Any]:
    import numpy

    return numpy.frombuffer(data, numpy.uint8)


class ByteSearch:
    """Looks for many short signs in the same bytes. Where a rare byte stands is found once for all signs with it."""

    def __init__(self, data: bytes) -> None:
        self._data, self._codes = data, _codes(data)
        self._places: dict[int, NDArray[Any]] = {}

    def holds(self, sign: bytes, rare: str) -> bool:
        """Whether a sign is there, where ? stands for any byte; `rare` is one of its letters, seldom in text."""
        import numpy

        at = sign.index(code := ord(rare))
        if code not in self._places:
            places = numpy.flatnonzero(self._codes == code) if code in self._data else numpy.empty(0, numpy.intp)
            self._places[code] = places
        starts = self._places[code] - at
        starts = starts[(starts >= 0) & (starts <= len(self._data) - len(sign))]
        for further, wanted in enumerate(sign):
            if not starts.size:
                return False
            if further != at and wanted != _ANY:
                starts = starts[self._codes[starts + further] == wanted]
        return bool(starts.size)
