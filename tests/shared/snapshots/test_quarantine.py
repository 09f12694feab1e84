"""Rows that training goes on without: told one by one, counted exactly, and never all in memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest

from shared import naming
from shared.azure.storage.blocks import BLOCK
from shared.snapshots.quarantine import quarantine_of
from shared.validation import BadRow
from tests.fakes import World, dialogues

BAD = [
    (b"{}", "messages-missing"),
    (b'{"messages": [', "invalid-json"),
    (b'{"messages": [{"role": "user", "content": "SENSITIVE \xff"}]}', "invalid-utf8"),
    (b'{"messages": [{"role": "b\\u0000t\\ud83d\\ude00", "content": "SENSITIVE"}]}', "role-unknown"),
]


def the_quarantine(world: World) -> list[dict[str, Any]]:
    (name,) = [name for container, name in world.storage.blobs if container == "quarantine"]
    return [json.loads(line) for line in world.storage.blobs["quarantine", name].data.splitlines()]


def the_report(world: World) -> dict[str, Any]:
    (snapshot,) = world.states()
    name = naming.report(snapshot)
    found: dict[str, Any] = json.loads(world.storage.blobs["reports", name].data)
    return found


def test_bad_rows_are_listed_and_every_row_is_counted_once() -> None:
    good = dialogues(60).splitlines()
    lines = [*good[:20], *(line for line, _ in BAD), *good[20:], *good[:5], b""]
    world = World(settings={"validation_max_bad_percent": 10.0})
    world.drop("support-bot.jsonl", b"\n".join(lines))
    world.run()

    (state,) = world.states().values()
    assert state == "LIVE"
    told, report = the_quarantine(world), the_report(world)
    assert [(row["row"], row["rule"]) for row in told] == [(21 + at, rule) for at, (_, rule) in enumerate(BAD)]
    offset = len(b"\n".join(good[:20])) + 1
    assert [row["byte_offset"] for row in told] == [
        offset + sum(len(line) + 1 for line, _ in BAD[:at]) for at in range(len(BAD))
    ]
    assert all(set(row) == {"split", "file", "row", "byte_offset", "rule", "message"} for row in told)
    assert "SENSITIVE" not in json.dumps([told, report])

    assert (report["rows"], report["good_rows"], report["bad_rows"], report["duplicate_rows"]) == (69, 60, 4, 5)
    files = {name.split("/")[1]: blob.data for (c, name), blob in world.storage.blobs.items() if c == "frozen"}
    assert {name.removesuffix(".jsonl"): len(data.splitlines()) for name, data in files.items()} == report["splits"]
    assert sum(report["splits"].values()) == report["good_rows"]


def test_too_large_a_share_of_bad_rows_refuses_and_still_lists_them() -> None:
    world = World(settings={"validation_max_bad_percent": 5.0})
    world.drop("support-bot.jsonl", dialogues(60) + b"{}\n" * 4)
    world.run()
    (state,) = world.states().values()
    assert state == "REJECTED"
    assert [row["row"] for row in the_quarantine(world)] == [61, 62, 63, 64]
    assert not [name for container, name in world.storage.blobs if container == "frozen"]


def test_without_the_setting_nothing_is_quarantined() -> None:
    world = World()
    world.drop("support-bot.jsonl", dialogues(60) + b"{}\n")
    world.run()
    assert not [name for container, name in world.storage.blobs if container == "quarantine"]


class Blocks:
    """Storage that only counts."""

    def __init__(self) -> None:
        self.largest = self.total = 0
        self.staged: list[str] = []
        self.committed: list[str] = []

    def stage_block(self, container: str, name: str, block: str, data: bytes) -> None:
        self.staged.append(block)
        self.largest, self.total = max(self.largest, len(data)), self.total + len(data)

    def commit_blocks(self, container: str, name: str, blocks: Iterable[str]) -> None:
        self.committed = list(blocks)


@pytest.mark.parametrize("rows", [0, 1, 20_000])
def test_memory_is_bounded_however_many_rows_are_bad(rows: int) -> None:
    blocks: Any = Blocks()
    quarantine = quarantine_of(blocks, "support-bot-1")
    bad = BadRow("train", "a/train.jsonl", 1, 0, "messages-missing", "The row has no messages." * 100, b"{}")
    tracemalloc.start()
    try:
        for _ in range(rows):
            quarantine.add(bad)
        quarantine.close()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert blocks.staged == blocks.committed
    assert len({len(block) for block in blocks.staged}) <= 1, "block ids of one blob have one length"
    assert blocks.largest <= BLOCK
    assert peak < 3 * BLOCK
    assert (blocks.total > 8 * BLOCK) == (rows > 1)
