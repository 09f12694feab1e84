"""Where an answer ends that was asked to stop at certain texts, for deployments that do not know such a parameter.

The answer may come in pieces, cut anywhere: what is passed on is the same as for the whole text at once.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """An answer without the white space around it, up to the first of the stops: the one that is complete first."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self._begun = False
        self.done = False
        """Whether a stop was met: nothing more will be passed on."""

    def feed(self, piece: str) -> str:
        """What can be passed on, now that this piece is there; what may yet be part of a stop is held back."""
        if self.done:
            return ""
        self._held += piece
        if not self._begun:
            self._held = self._held.lstrip()
            self._begun = bool(self._held)
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.done = True
            return self._passed(min(found)[1])
        return self._passed(len(self._held) - self._maybe())

    def rest(self) -> str:
        """What was held back, now that nothing more comes."""
        return "" if self.done else self._passed(len(self._held))

    def _passed(self, end: int) -> str:
        """The text up to `end` without white space at its end, which is kept until it is known what comes after."""
        text = self._held[:end].rstrip()
        self._held = self._held[len(text) :]
        return text

    def _maybe(self) -> int:
        """How many characters at the end may be the beginning of a stop."""
        longest = max(map(len, self._stops), default=1) - 1
        return next(
            (
                size
                for size in range(min(longest, len(self._held)), 0, -1)
                if any(stop.startswith(self._held[-size:]) for stop in self._stops)
            ),
            0,
        )
