"""Which held-out prompts a candidate is asked, and which of them a model was trained on after all.

They are the first rows of the frozen test file: it is written in the order of a seeded hash, so they are a sample that
stays the same. A row that was once held out by hash stays held out. But people also name test files themselves, cuts
can rise, and two dialogues may ask the same and differ in the answer. So when something is live, the training files of
both releases are searched for the prompts, and a prompt that either model was trained on is not compared.

The selection is stored once (`prompts.json`) and keeps prompts and parameters of this gate as they are, whatever
settings become. The search goes on where it was cut off (`search.json`).
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
from shared.ledger.record import Struct
from shared.releases.gate.measures import TEXT_LIMIT

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.ledger.release import Release
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

CONTAINER = "evaluations"
# The longest that one call searches training files (s).
SEARCH_SECONDS = 60.0
_ROWS_BETWEEN_CHECKS = 5000
# For each prompt that is wanted, so many rows are looked at for one that is short enough.
_ROWS_TRIED = 10

type Turns = list[dict[str, str]]


class HeldOutPrompt(Struct, frozen=True, kw_only=True):
    """A held-out dialogue up to its last user turn, and the answer it had.

    `key` names the stored answers: equal turns asked with equal parameters have the same. `trained_on_by`: the
    snapshots whose training files hold it.
    """

    key: str
    turns: Turns
    reference: str = ""
    trained_on_by: tuple[str, ...] = msgspec.field(default=(), name="seen_by")

    @property
    def comparable(self) -> bool:
        """Whether answers to it say which model is better."""
        return bool(self.reference.strip()) and not self.trained_on_by


class PromptSelection(Struct, frozen=True, kw_only=True):
    """What one gate asks: the blob `prompts.json`.

    `live`: the snapshot that is compared with. `unsearched`: snapshots whose training files are gone, so that nobody
    can say what they were trained on.
    """

    parameters: dict[str, Any]
    prompts: tuple[HeldOutPrompt, ...]
    live: str = ""
    unsearched: tuple[str, ...] = ()


class TrainingSearch(Struct, frozen=True, kw_only=True):
    """How far training files were searched: the number of the file, the byte in it, and by prompt who trained on it."""

    file: int = 0
    offset: int = 0
    trained_on: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict, name="seen")
    unsearched: tuple[str, ...] = ()


_SELECTION, _SEARCH = msgspec.json.Decoder(PromptSelection), msgspec.json.Decoder(TrainingSearch)


def folder(release: Release) -> str:
    """Where all that is known of a release's answers is kept."""
    return f"{release.snapshot}/{release.deployment}"


def select(services: Services, row: Dataset, release: Release, lease: HeldLease) -> PromptSelection | None:
    """The prompts of this gate, the same at each call; None while training files are still being searched."""
    name = f"{folder(release)}/prompts.json"
    try:
        return _SELECTION.decode(services.storage.read(CONTAINER, name)[0])
    except NotFound:
        pass
    live, search = "", TrainingSearch()
    by_digest = dict(islice(_askable(services, release.snapshot), services.settings.gate_prompts))
    if row.live:
        live, snapshots = row.live.snapshot, (release.snapshot, row.live.snapshot)
        searched = _search(services, f"{folder(release)}/search.json", by_digest, snapshots, lease)
        if searched is None:
            return None
        search = searched
    selection = _selection(services, by_digest, live, search)
    try:
        services.storage.create(CONTAINER, name, msgspec.json.encode(selection))
    except LedgerConflict:
        return select(services, row, release, lease)
    return selection


def held_out(services: Services, snapshot: str) -> Iterator[tuple[str, tuple[Turns, str]]]:
    """The held-out dialogues of a snapshot by digest: the turns up to the last user turn, and the answer to them."""
    name = naming.frozen(snapshot, "test")
    with services.storage.open("frozen", name, services.storage.head("frozen", name).etag) as file:
        for line in file:
            turns = orjson.loads(line)["messages"]
            user_turns = list(digests(turns))
            if user_turns:
                end, digest = user_turns[-1]
                reference = turns[end]["content"] if end < len(turns) else ""
                yield digest, (turns[:end], reference)


def _askable(services: Services, snapshot: str) -> Iterator[tuple[str, tuple[Turns, str]]]:
    """The held-out dialogues that a caller could ask, each with as much of its answer as is measured.

    Of the first rows only: where hardly any row is short enough, the rest is not searched for more.
    """
    longest, first = services.settings.call_max_bytes, services.settings.gate_prompts * _ROWS_TRIED
    for digest, (turns, reference) in islice(held_out(services, snapshot), first):
        if sum(len(turn["content"].encode()) for turn in turns) <= longest:
            yield digest, (turns, reference[:TEXT_LIMIT])


def digests(turns: Sequence[Mapping[str, str]]) -> Iterator[tuple[int, str]]:
    """For each user turn: how many turns the dialogue has up to it, and the digest of those."""
    running = xxhash.xxh3_128()
    for end, turn in enumerate(turns, 1):
        running.update(f"{turn['role']}\0{turn['content']}\0".encode())
        if turn["role"] == "user":
            yield end, running.hexdigest()


def _selection(
    services: Services, by_digest: Mapping[str, tuple[Turns, str]], live: str, search: TrainingSearch
) -> PromptSelection:
    parameters = {"max_new_tokens": services.settings.max_new_tokens, **services.settings.gate_parameters}
    asked_with = naming.short_hash(json.dumps(parameters, sort_keys=True))
    prompts = tuple(
        HeldOutPrompt(
            key=f"{digest}-{asked_with}",
            turns=turns,
            reference=reference,
            trained_on_by=search.trained_on.get(digest, ()),
        )
        for digest, (turns, reference) in by_digest.items()
    )
    return PromptSelection(parameters=parameters, prompts=prompts, live=live, unsearched=search.unsearched)


def _search(
    services: Services, name: str, wanted: Mapping[str, object], snapshots: Sequence[str], lease: HeldLease
) -> TrainingSearch | None:
    """Which of the wanted prompts these snapshots were trained on; None when time was up before all was read."""
    search = _read_search(services, name)
    until = time.monotonic() + SEARCH_SECONDS
    while search.file < len(snapshots):
        snapshot = snapshots[search.file]
        try:
            search = _search_file(services, search, wanted, snapshot, lease, until)
        except NotFound:
            search = search.but(file=search.file + 1, offset=0, unsearched=(*search.unsearched, snapshot))
        if time.monotonic() > until:
            services.storage.put(CONTAINER, name, msgspec.json.encode(search))
            return None
    return search


def _read_search(services: Services, name: str) -> TrainingSearch:
    try:
        return _SEARCH.decode(services.storage.read(CONTAINER, name)[0])
    except NotFound:
        return TrainingSearch()


def _search_file(
    services: Services,
    search: TrainingSearch,
    wanted: Mapping[str, object],
    snapshot: str,
    lease: HeldLease,
    until: float,
) -> TrainingSearch:
    """The search after this training file, or as far as time allows. Raises NotFound when the file is gone."""
    name = naming.frozen(snapshot, "train")
    trained_on, offset = dict(search.trained_on), search.offset
    with services.storage.open("frozen", name, services.storage.head("frozen", name).etag) as file:
        file.seek(offset)
        while rows := list(islice(file, _ROWS_BETWEEN_CHECKS)):
            for digest in (d for line in rows for _, d in digests(orjson.loads(line)["messages"]) if d in wanted):
                trained_on[digest] = tuple(sorted({*trained_on.get(digest, ()), snapshot}))
            offset += sum(map(len, rows))
            lease.check()
            if time.monotonic() > until:
                further: TrainingSearch = search.but(offset=offset, trained_on=trained_on)
                return further
    done: TrainingSearch = search.but(file=search.file + 1, offset=0, trained_on=trained_on)
    return done
