"""What lies ready of the ledger for the lists that people see, read once for all that is shown together.

Called by whoever makes one answer of several lists, such as the page. Reads only; what changes meanwhile is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import naming

if TYPE_CHECKING:
    from shared.ledger.cards import KeptCard
    from shared.ledger.index import EndedIndex
    from shared.ledger.listed import ListedDataset
    from shared.runtime import Services


@dataclass(frozen=True, slots=True)
class LedgerLists:
    """The datasets, the cards of open snapshots, and the index of those that ended."""

    datasets: Sequence[ListedDataset]
    cards: Sequence[KeptCard]
    index: EndedIndex

    def cards_of(self, dataset: str = "") -> Sequence[KeptCard]:
        """The cards of the open snapshots of one dataset, or of all."""
        if not dataset:
            return self.cards
        return [kept for kept in self.cards if naming.dataset_part(kept.snapshot) == dataset]


def read(services: Services) -> LedgerLists:
    """The lists as they are now: two listings, and two blobs of the index; what ends meanwhile is in one of them."""
    ledger = services.ledger
    return LedgerLists(datasets=ledger.datasets(), cards=list(ledger.cards.list()), index=ledger.index.read_once())
