"""The index of snapshots that ended: a line for each, newest upload first, in three blobs of the ledger.

    _index/recent   what ended, or how a release ended, since the last nightly round; written by the sweep
    _index/newest   the newest few thousand of all others
    _index/older    the rest

A list for people reads them in this order and stops when its page is full. A line is `<state> <dataset> <card as
JSON>`, so that a filter looks at bytes and decodes what it shows. What is in `recent` goes for what the others tell of
the same snapshot. The index tells nothing that the rows do not: the nightly round makes it anew from a listing of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from shared import naming
from shared.errors import NotFound
from shared.ledger.cards import Card
from shared.ledger.record import UNREADABLE
from shared.ledger.storage import BlobStore, change_until_still, write_if_still

CONTAINER = "ledger"
RECENT, NEWEST, OLDER = "_index/recent", "_index/newest", "_index/older"
_IN_NEWEST = 4000
_CARD = msgspec.json.Decoder(Card)
_LINE = re.compile(rb"^\S+ (\S+) (\{.*)$", re.MULTILINE)


class EndedIndex:
    """The index of one installation."""

    def __init__(self, storage: BlobStore) -> None:
        self._storage = storage

    def exists(self) -> bool:
        """Whether there is one: no ledger of an older version has it."""
        return any(blob.name == NEWEST for blob in self._storage.list(CONTAINER, NEWEST))

    def add(self, cards: Iterable[Card]) -> None:
        """Notes these among the recent ones. Repeating it changes nothing."""
        if new := {card.id: card for card in cards}:
            self._change(RECENT, lambda known: {**known, **new})

    def recent(self) -> Iterator[Card]:
        """What ended, or how releases ended, since the last nightly round, in no order. One request."""
        yield from _cards(self._read(RECENT)[0]).values()

    def cards(self) -> dict[str, Card]:
        """All of it, by snapshot."""
        found: dict[str, Card] = {}
        for name in (OLDER, NEWEST, RECENT):
            found |= _cards(self._read(name)[0])
        return found

    def newest(self) -> dict[str, Card]:
        """The newest snapshot of each dataset among the recent ones and the newest few thousand, by dataset."""
        found: dict[str, Card] = {}
        for name in (NEWEST, RECENT):
            lines: dict[bytes, bytes] = {}
            for line in _LINE.finditer(self._read(name)[0]):
                lines.setdefault(line[1], line[2])
            for card in filter(None, map(_card, lines.values())):
                if card.id >= found.get(card.dataset, card).id:
                    found[card.dataset] = card
        return found

    def rebuild(self, cards: Mapping[str, Card], merged: Iterable[str]) -> None:
        """Makes the index anew of these. `merged`: the snapshots among the recent ones that need not stay there."""
        lines = _lines(cards).splitlines(keepends=True)
        self._storage.put(CONTAINER, OLDER, b"".join(lines[_IN_NEWEST:]))
        self._storage.put(CONTAINER, NEWEST, b"".join(lines[:_IN_NEWEST]))
        gone = {*merged}
        self._change(
            RECENT,
            lambda known: {name: card for name, card in known.items() if name not in gone or card != cards.get(name)},
        )

    def forget(self, is_gone: Callable[[str], bool]) -> None:
        """Takes the lines away of snapshots that are gone, by their ids. Repeating it changes nothing."""
        for name in (RECENT, NEWEST, OLDER):
            self._change(
                name, lambda known: {snapshot: card for snapshot, card in known.items() if not is_gone(snapshot)}
            )

    def find(self, states: Iterable[str] = (), dataset: str = "", before: str = "") -> Iterator[Card]:
        """The cards of snapshots that ended, newest upload first, each once; a blob is read when it is needed.

        `states`: in one of these states; `dataset`: of this one; `before`: uploaded before this snapshot, which orders
        by `Card.uploaded`. Nothing given: all.
        """
        wanted = b"|".join(re.escape(state.encode()) for state in states) or rb"\S+"
        whose = re.escape(dataset.encode()) or rb"\S+"
        line = re.compile(rb"^(?:%s) %s (\{.*)$" % (wanted, whose), re.MULTILINE)
        last = naming.upload_order(before)
        recent = _cards(self._read(RECENT)[0])
        waiting = list(_matching(line, _lines(recent)))
        for name in (NEWEST, OLDER):
            for card in _matching(line, self._read(name)[0]):
                while waiting and waiting[0].uploaded >= card.uploaded:
                    yield from _if_before(waiting.pop(0), last)
                if card.id not in recent:
                    yield from _if_before(card, last)
        for card in waiting:
            yield from _if_before(card, last)

    def _change(self, name: str, edit: Callable[[dict[str, Card]], Mapping[str, Card]]) -> None:
        """Edits one of the blobs; lines that somebody damaged go with it."""
        change_until_still(
            lambda: self._read(name),
            lambda data: _lines(edit(_cards(data))),
            lambda data, etag: write_if_still(self._storage, CONTAINER, name, data, etag),
        )

    def read_once(self) -> EndedIndex:
        """The index as it is now, for one answer that asks it several things: each blob is read once."""
        return _ReadIndex(self._storage)

    def _read(self, name: str) -> tuple[bytes, str]:
        try:
            return self._storage.read(CONTAINER, name)
        except NotFound:
            return b"", ""


class _ReadIndex(EndedIndex):
    """The index as it was read: at once what every list begins with, the rest when it is needed."""

    def __init__(self, storage: BlobStore) -> None:
        super().__init__(storage)
        self._found = {name: super()._read(name) for name in (RECENT, NEWEST)}

    def _read(self, name: str) -> tuple[bytes, str]:
        if name not in self._found:
            self._found[name] = super()._read(name)
        return self._found[name]


def _if_before(card: Card, last: tuple[str, ...]) -> Iterator[Card]:
    if not last or card.uploaded < last:
        yield card


def _matching(line: re.Pattern[bytes], data: bytes) -> Iterator[Card]:
    return filter(None, (_card(found[1]) for found in line.finditer(data)))


def _card(text: bytes) -> Card | None:
    """A card, unless somebody damaged its line: the next nightly round writes it anew."""
    try:
        return _CARD.decode(text)
    except UNREADABLE:
        return None


def _cards(data: bytes) -> dict[str, Card]:
    found = (_card(b"{" + line.partition(b"{")[2]) for line in data.splitlines())
    return {card.id: card for card in found if card}


def _lines(cards: Mapping[str, Card]) -> bytes:
    newest_first = sorted(cards.values(), key=lambda card: card.uploaded, reverse=True)
    return b"".join(map(_line, newest_first))


def _line(card: Card) -> bytes:
    return b"%s %s %s\n" % (card.state.encode(), card.dataset.encode(), msgspec.json.encode(card))
