"""Bad rows that training goes on without, as JSONL in `quarantine/<snapshot>/`. Called by the validate step.

One line a row: split, file, row, byte offset, rule and message; never what the row says. Lines leave memory in blocks
while the pass runs, so a million bad rows cost no more than one. Nothing is visible before `close`; a repeat writes the
same blocks again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from shared import naming
from shared.azure.storage.blocks import BlobWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.azure.storage.blocks import BlockStore
    from shared.validation import BadRow


class Quarantine:
    """A file of bad rows: those of a snapshot, or those of one part of it, whose rows count from 1."""

    def __init__(self, storage: BlockStore, container: str, name: str) -> None:
        self._file = BlobWriter(storage, container, name)

    def add(self, bad: BadRow) -> None:
        """Adds one bad row."""
        self._file.write(_line(bad))

    def add_part(self, lines: Iterable[bytes], rows_before: int) -> None:
        """Adds the bad rows of a part. `rows_before`: by how many the numbers of its rows are higher."""
        for line in lines:
            bad = json.loads(line)
            self._file.write(_encoded({**bad, "row": bad["row"] + rows_before}))

    def close(self) -> None:
        """Makes the file; without rows there is none."""
        self._file.commit()


def quarantine_of(storage: BlockStore, snapshot: str) -> Quarantine:
    """The quarantine of a snapshot."""
    return Quarantine(storage, "quarantine", naming.quarantine(snapshot))


def _line(bad: BadRow) -> bytes:
    return _encoded(
        {
            "split": bad.split,
            "file": bad.file,
            "row": bad.row,
            "byte_offset": bad.byte_offset,
            "rule": bad.rule,
            "message": bad.message,
        }
    )


def _encoded(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
