"""What everything on record is made of. Called by the rows of the ledger and by whoever stores a record beside them."""

from __future__ import annotations

from typing import Any

import msgspec

# What decoding a damaged blob raises: msgspec goes into fields that it does not know as deep as they go.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all records: immutable, compared by value."""

    def but(self, **changes: Any) -> Any:
        """The same record with these fields changed."""
        return msgspec.structs.replace(self, **changes)
