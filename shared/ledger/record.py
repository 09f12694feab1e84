"""What everything on record is made of. Called by the rows of the ledger and by whoever stores a record beside them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

import msgspec

# What decoding a damaged blob raises: msgspec goes into fields that it does not know as deep as they go.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all records: immutable, compared by value."""

    def but(self, **changes: Any) -> Any:
        """The same record with these fields changed."""
        return msgspec.structs.replace(self, **changes)


def cut(text: str, most: int) -> str:
    """A text of so many characters at most; the last one of a longer text says that it goes on."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def to_metadata(record: Struct) -> str:
    """A record as the value of a blob's metadata, which takes printable ASCII only."""
    return quote(msgspec.json.encode(record), safe=' !"$&()*+,/:;<=>?@[]^`{|}~')


def from_metadata[T](text: str, decoder: msgspec.json.Decoder[T]) -> T | None:
    """The record in a metadata value; None where there is none, or somebody damaged it."""
    try:
        return decoder.decode(unquote(text))
    except UNREADABLE:
        return None
