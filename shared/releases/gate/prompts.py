"""Which held-out dialogues a candidate is asked, and which of them a model was trained on after all.

The first rows of the frozen test file: it is written in the order of a seeded hash, so they are a sample that stays the
same. A row once held out by hash stays held out, but people also name test files themselves, cuts can rise, and two
dialogues may ask the same and differ in the answer. So when something is live, both training files are searched for
the prompts, and what either model has seen is left out of the comparison.

The choice is stored once (`prompts.json`) and pins prompts and parameters for this gate, whatever settings become.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import xxhash

from shared import naming
from shared.errors import LedgerConflict, NotFound
from shared.ledger.rows import Struct

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.ledger.rows import Dataset, Release
    from shared.runtime import Services

CONTAINER = "evaluations"
# One visit searches training files for so long (s) at most; the next one goes on where it stopped.
SEARCH_SECONDS = 60.0
_ROWS_BETWEEN_CHECKS = 5000

type Turns = list[dict[str, str]]


class Prompt(Struct, frozen=True, kw_only=True):
    """A held-out dialogue up to its last user turn, and the answer it had.

    `key` names the stored answers: equal turns asked with equal parameters have the same. `seen_by`: the snapshots
    whose training files hold it.
    """

    key: str
    turns: Turns
    reference: str = ""
    seen_by: tuple[str, ...] = ()

    @property
    def comparable(self) -> bool:
        """Whether answers to it say which model is better."""
        return bool(self.reference.strip()) and not self.seen_by


class Chosen(Struct, frozen=True, kw_only=True):
    """What one gate asks; the blob `prompts.json`. `live`: the snapshot compared with. `unsearched`: snapshots whose
    training files are not there any more, so that nobody can say what they have seen."""

    parameters: dict[str, Any]
    prompts: tuple[Prompt, ...]
    live: str = ""
    unsearched: tuple[str, ...] = ()


class Search(Struct, frozen=True, kw_only=True):
    """How far the training files have been searched: the file, the byte in it, and who has seen which prompt."""

    file: int = 0
    offset: int = 0
    seen: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - msgspec copies it
    unsearched: tuple[str, ...] = ()


_CHOSEN, _SEARCH = msgspec.json.Decoder(Chosen), msgspec.json.Decoder(Search)


def folder(release: Release) -> str:
    """Where all that is known of a release's answers is kept."""
    return f"{release.snapshot}/{release.deployment}"


def chosen(services: Services, row: Dataset, release: Release, lease: HeldLease) -> Chosen | None:
    """The prompts of this gate; None while the training files are still being searched."""
    name = f"{folder(release)}/prompts.json"
    try:
        return _CHOSEN.decode(services.storage.read(CONTAINER, name)[0])
    except NotFound:
        pass
    parameters = _parameters(services)
    live, search = "", Search()
    by_digest = dict(islice(held_out(services, release.snapshot), services.settings.gate_prompts))
    if row.live:
        files = (release.snapshot, row.live.snapshot)
        searched = _searched(services, f"{folder(release)}/search.json", by_digest, files, lease)
        if searched is None:
            return None
        live, search = row.live.snapshot, searched
    asked_with = naming.short_hash(json.dumps(parameters, sort_keys=True))
    prompts = tuple(
        Prompt(key=f"{digest}-{asked_with}", turns=turns, reference=reference, seen_by=search.seen.get(digest, ()))
        for digest, (turns, reference) in by_digest.items()
    )
    found = Chosen(parameters=parameters, prompts=prompts, live=live, unsearched=search.unsearched)
    try:
        services.storage.create(CONTAINER, name, msgspec.json.encode(found))
    except LedgerConflict:
        return chosen(services, row, release, lease)
    return found


def _parameters(services: Services) -> dict[str, Any]:
    return {"max_new_tokens": services.settings.max_new_tokens, **services.settings.gate_parameters}


def held_out(services: Services, snapshot: str) -> Iterator[tuple[str, tuple[Turns, str]]]:
    """The held-out dialogues of a snapshot, each up to its last user turn, by digest, with the answer that followed."""
    name = naming.frozen(snapshot, "test")
    with services.storage.open("frozen", name, services.storage.head("frozen", name).etag) as file:
        for line in file:
            turns = orjson.loads(line)["messages"]
            asked = list(digests(turns))
            if asked:
                end, digest = asked[-1]
                reference = turns[end]["content"] if end < len(turns) else ""
                yield digest, (turns[:end], reference)


def digests(turns: Sequence[Mapping[str, str]]) -> Iterator[tuple[int, str]]:
    """For each user turn: where the dialogue up to it ends, and its digest."""
    running = xxhash.xxh3_128()
    for end, turn in enumerate(turns, 1):
        running.update(f"{turn['role']}\0{turn['content']}\0".encode())
        if turn["role"] == "user":
            yield end, running.hexdigest()


def _searched(
    services: Services, name: str, wanted: Mapping[str, object], snapshots: Sequence[str], lease: HeldLease
) -> Search | None:
    """Who was trained on which of the wanted prompts; None when time was up before all was read."""
    search = _so_far(services, name)
    until = time.monotonic() + SEARCH_SECONDS
    while search.file < len(snapshots):
        snapshot = snapshots[search.file]
        try:
            search = _further(services, search, wanted, snapshot, lease, until)
        except NotFound:
            search = Search(file=search.file + 1, seen=search.seen, unsearched=(*search.unsearched, snapshot))
        if time.monotonic() > until:
            services.storage.put(CONTAINER, name, msgspec.json.encode(search))
            return None
    return search


def _so_far(services: Services, name: str) -> Search:
    try:
        return _SEARCH.decode(services.storage.read(CONTAINER, name)[0])
    except NotFound:
        return Search()


def _further(
    services: Services, search: Search, wanted: Mapping[str, object], snapshot: str, lease: HeldLease, until: float
) -> Search:
    """The search after this training file, or as far as time allows."""
    name = naming.frozen(snapshot, "train")
    seen, offset = dict(search.seen), search.offset
    with services.storage.open("frozen", name, services.storage.head("frozen", name).etag) as file:
        file.seek(offset)
        while rows := list(islice(file, _ROWS_BETWEEN_CHECKS)):
            for digest in (d for line in rows for _, d in digests(orjson.loads(line)["messages"]) if d in wanted):
                seen[digest] = tuple(sorted({*seen.get(digest, ()), snapshot}))
            offset += sum(map(len, rows))
            lease.check()
            if time.monotonic() > until:
                break
        else:
            return Search(file=search.file + 1, seen=seen, unsearched=search.unsearched)
    return Search(file=search.file, offset=offset, seen=seen, unsearched=search.unsearched)
