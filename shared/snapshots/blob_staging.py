"""Training files as uncommitted blocks in the container `frozen`: where validation stages the rows it accepts.

Called by the validate step and by the workers that check single files. Staging a block twice overwrites it, committing
twice makes the same file.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import naming

if TYPE_CHECKING:
    from shared.azure.storage import Storage
    from shared.chatdata.splits import Split


@dataclass(frozen=True, slots=True)
class BlobStaging:
    """The training files of one snapshot, in `frozen/<id>/`."""

    storage: Storage
    snapshot: str

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        """Uploads one block; block ids of one blob all have the same length."""
        self.storage.stage_block("frozen", naming.frozen(self.snapshot, split), _encoded(block_id), data)

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        """Makes the split's file of these blocks, in this order."""
        self.storage.commit_blocks("frozen", naming.frozen(self.snapshot, split), [_encoded(id) for id in block_ids])


def _encoded(block_id: str) -> str:
    return base64.b64encode(block_id.encode()).decode()
