"""Looking through many bytes at once, where numpy is several times faster than the methods of bytes.

numpy is loaded when it is first needed: whoever only imports the package should not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUOTE, _BACKSLASH, _U, _B, _ZERO, _EIGHT = b'"\\ub08'
_WINDOW = 1 << 19


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
    follows = places[1:] - places[:-1] == 1
    if not follows.any():
        return places
    numbers = numpy.arange(len(places))
    first = numbers.copy()
    first[1:][follows] = 0
    numpy.maximum.accumulate(first, out=first)
    escapes: NDArray[Any] = places[(numbers - first) % 2 == 0]
    return escapes


class SignSearch:
    """Looks for many short signs in the same bytes by one pass, which takes as long whatever they are.

    Each sign has a rare letter, seldom in text. Where these letters stand is found for all signs at once, and what is
    before one tells which sign it may be: no two signs have the same two letters there. Before a sign of one letter
    there may be anything.
    """

    def __init__(self, signs: Iterable[tuple[bytes, bytes]]) -> None:
        self._signs = [(sign, sign.rindex(rare)) for sign, rare in signs]
        rare = {sign[at] for sign, at in self._signs}
        self._is_rare = bytes(code in rare for code in range(256))

    @cached_property
    def _numbers(self) -> NDArray[Any]:
        """For each two letters, the number of the sign that they tell, from 1 on; 0 if there is none."""
        import numpy

        numbers = numpy.zeros((256, 256), numpy.uint8)
        for number, (sign, at) in enumerate(self._signs, 1):
            numbers[sign[at - 1] if at else slice(None), sign[at]] = number
        return numbers

    def places_in(self, data: bytes) -> Iterator[tuple[bytes, NDArray[Any]]]:
        """The signs that are there, each with places where it begins; it may come several times."""
        overlap = max(len(sign) for sign, _ in self._signs) - 1
        for start, window in _windows(data, overlap):
            yield from ((sign, places + start) for sign, places in self._in_window(window))

    def _in_window(self, data: bytes) -> Iterator[tuple[bytes, NDArray[Any]]]:
        import numpy

        codes = _codes(data)
        places = numpy.flatnonzero(numpy.frombuffer(data.translate(self._is_rare), bool))
        numbers = self._numbers[codes[places - 1], codes[places]]
        for number in numpy.flatnonzero(numpy.bincount(numbers)).tolist():
            if number:
                sign, at = self._signs[number - 1]
                starts = _starts(sign, codes, places[numbers == number] - at)
                if starts.size:
                    yield sign, starts


def _starts(sign: bytes, codes: NDArray[Any], starts: NDArray[Any]) -> NDArray[Any]:
    """At which of these places a sign is."""
    starts = starts[(starts >= 0) & (starts <= len(codes) - len(sign))]
    for at, code in enumerate(sign):
        starts = starts[codes[starts + at] == code]
    return starts


def _windows(data: bytes, overlap: int) -> Iterator[tuple[int, bytes]]:
    """The same bytes some at a time, and where they start: what is computed of them stays in the processor's cache.

    So many at the end of each are also at the start of the next.
    """
    if len(data) <= _WINDOW:
        yield 0, data
        return
    for start in range(0, len(data), _WINDOW):
        yield start, data[start : start + _WINDOW + overlap]


def _codes(data: bytes) -> NDArray[Any]:
    import numpy

    return numpy.frombuffer(data, numpy.uint8)
