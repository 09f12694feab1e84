"""The messages that ask for the parts of a snapshot: `snapshot/<id>#<number>@<until>`.

Sent by the validate step each two minutes for what is missing, and once more by whoever cannot check the part just now.
Only until the step has asked anew: so there are never more than two messages about a part, however long it is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.ledger.storage import BlobStore

# So long after it asked for parts (s) the step asks again for those that are still missing.
ASK_AGAIN = 120


@dataclass(frozen=True, slots=True)
class PartRequest:
    """That a part is to be checked. `until`: seconds since 1970, UTC; from then on the step has asked anew."""

    snapshot: str
    number: int
    until: int

    @classmethod
    def new(cls, snapshot: str, number: int, clock: Callable[[], float]) -> PartRequest:
        """A request of now."""
        return cls(snapshot, number, int(clock()) + ASK_AGAIN)

    @classmethod
    def read(cls, key: str, text: str, clock: Callable[[], float]) -> PartRequest | None:
        """The request in a message, given the key of the row and what is behind `#`; None if that is none."""
        number, has_until, until = text.partition("@")
        snapshot = key.removeprefix("snapshot/")
        if not number.isdecimal() or (has_until and not until.isdecimal()):
            return None
        return cls(snapshot, int(number), int(until)) if has_until else cls.new(snapshot, int(number), clock)

    def send(self, storage: BlobStore) -> None:
        """Asks for the part now."""
        storage.send(self._text())

    def repeat(self, storage: BlobStore, delay: float, clock: Callable[[], float]) -> None:
        """Asks once more in `delay` seconds, unless the step will have asked by then."""
        if clock() + delay < self.until:
            storage.send(self._text(), delay)

    def _text(self) -> str:
        return f"snapshot/{self.snapshot}#{self.number}@{self.until}"
