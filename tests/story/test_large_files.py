"""One large file is checked in parts: what was checked is kept, and who ended five workers is named."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
from typing import Any

import pytest

from shared.operations import actions, steps
from shared.snapshots.inputs import inputs_of
from shared.snapshots.memory import OF_THIS_PROCESS
from shared.snapshots.part_results import MOST_LOST, MOST_UNPACKED, Trouble, results_of
from shared.snapshots.training_config import resolve
from tests.fakes import Killed, World, dialogues
from tests.story.parts import alone, asked_for, checked_files, dropped, quarantined, report, same, unsteady


def large(rows: int = 400) -> dict[str, bytes]:
    """Files that are cut: rows that come again in a later part, and in another file."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    lines, twice = dialogues(rows, "large"), dialogues(3, "twice")
    parquet = io.BytesIO()
    table = pa.Table.from_pylist([json.loads(line) for line in (dialogues(rows, "table") + twice).splitlines()])
    pq.write_table(table, parquet, row_group_size=50)
    return {"train-0.jsonl": twice + lines + twice, "train-1.parquet": parquet.getvalue()}


LARGE = large()


def test_a_large_file_is_checked_in_parts_and_makes_what_one_pass_makes() -> None:
    world = dropped(LARGE, validation_part_mb=0.01)
    world.run()
    same(world, alone(LARGE))
    assert list(world.states().values()) == ["LIVE"]
    assert len([name for name in checked_files(world) if name.endswith(".checked")]) >= 8


def test_a_single_large_file_is_checked_in_parts_as_well() -> None:
    files = {"train-0.jsonl": LARGE["train-0.jsonl"]}
    world = dropped(files, validation_part_mb=0.01)
    world.run()
    same(world, alone(files))
    assert len([name for name in checked_files(world) if name.endswith(".checked")]) > 4


def test_a_bad_row_of_a_later_part_is_told_with_its_number_in_the_file() -> None:
    data = LARGE["train-0.jsonl"]
    at = data.index(b"\n", len(data) * 3 // 4) + 1
    files = {"train-0.jsonl": data[:at] + b"{}\n" + data[at:]}
    world = dropped(files, validation_part_mb=0.01)
    world.run()
    assert report(world) == report(alone(files))
    (place,) = report(world)["findings"][0]["places"]
    assert (place["row"], place["byte_offset"]) == (data[:at].count(b"\n") + 1, at)


def test_bad_rows_that_are_left_out_of_any_part_are_listed_with_their_numbers_in_the_file() -> None:
    lines = LARGE["train-0.jsonl"].splitlines(keepends=True)
    for at in range(10, len(lines), 60):
        lines[at] = b"\n{}\n"
    settings: dict[str, Any] = {"validation_max_bad_percent": 10.0}
    for files in ({"train-0.jsonl": b"".join(lines)}, {"train-0.jsonl": b"{}\n" * 9 + b"".join(lines), **SECOND}):
        world, one = dropped(files, validation_part_mb=0.01, **settings), alone(files, **settings)
        world.run()
        same(world, one)
        assert len([name for name in checked_files(world) if name.endswith(".checked")]) > 4
        assert quarantined(world) == quarantined(one) != []


def test_a_part_that_is_damaged_ends_the_list_of_bad_rows_where_one_pass_ends_it() -> None:
    """Parts behind the damage were read all the same, and nobody may find their rows in the quarantine."""
    files = {"train-0.jsonl.gz": ZIPPED[: len(ZIPPED) * 2 // 3], **SECOND}
    settings: dict[str, Any] = {"validation_max_bad_percent": 10.0}
    world, one = dropped(files, validation_part_mb=0.2, **settings), alone(files, **settings)
    world.run()
    same(world, one)
    assert quarantined(world) == quarantined(one) != []


SECOND = {"train-1.jsonl": b"[]\n" + dialogues(30, "second")}


def _zipped(rows: int = 1200) -> bytes:
    """More text than is unpacked at once, some of it bad, some of it twice."""
    rng, found = random.Random(1), []
    for number, line in enumerate(dialogues(rows, "zipped").splitlines()):
        row = {**json.loads(line), "noise": rng.randbytes(400).hex()}
        found.append(b"\n{}" if number % 250 == 9 else json.dumps(row).encode())
    return gzip.compress(b"\n".join([*found, *found[20:23]]) + b"\n")


ZIPPED = _zipped()
SKIPS_BAD: dict[str, Any] = {"validation_part_mb": 0.2, "validation_max_bad_percent": 10.0}


def test_a_gzip_file_is_checked_in_parts_one_after_the_other_and_makes_what_one_pass_makes() -> None:
    files = {"train-0.jsonl.gz": ZIPPED, **SECOND}
    world, one = dropped(files, **SKIPS_BAD), alone(files, **SKIPS_BAD)
    world.run()
    same(world, one)
    assert quarantined(world) == quarantined(one) != []
    assert len([name for name in checked_files(world) if name.endswith(".checked")]) > 5
    assert list(world.states().values()) == ["LIVE"]


class Endings:
    """Ends the worker in the middle of what it reads of a gzip file, at these reads of it."""

    def __init__(self, world: World, *reads: int) -> None:
        self.world, self.reads, self.at, self.opens = world, reads, 0, 0
        self.opened = world.storage.open
        world.storage.open = self.open  # type: ignore[method-assign]

    def open(self, container: str, name: str, etag: str) -> Any:
        file = self.opened(container, name, etag)
        if not name.endswith(".gz"):
            return file
        self.opens += 1
        return unsteady(self.world, file.read(), self._is_over)

    def _is_over(self, file: io.BytesIO) -> bool:
        self.at += 1
        return self.at in self.reads


def test_a_gzip_file_goes_on_with_the_part_in_which_its_worker_was_lost() -> None:
    world = dropped({"train-0.jsonl.gz": ZIPPED}, **SKIPS_BAD)
    endings = Endings(world, 4, 12, 20)
    world.run()
    same(world, alone({"train-0.jsonl.gz": ZIPPED}, **SKIPS_BAD))
    assert endings.opens == 4 + 1, "once for each worker, and once more for the part with rows that come again"
    assert not [name for name in checked_files(world) if name.endswith(".trouble")]


def test_who_is_lost_on_the_way_to_a_part_of_a_gzip_file_says_nothing_of_that_part() -> None:
    """Lives may be so short that most end while the text before the part is unpacked."""
    world = dropped({"train-0.jsonl.gz": ZIPPED}, **SKIPS_BAD)
    opened, opens = world.storage.open, 0

    def short_lived(container: str, name: str, etag: str) -> Any:
        nonlocal opens
        if not name.endswith(".gz"):
            return opened(container, name, etag)
        opens += 1
        ends_at, is_short = len(ZIPPED) // 2 if opens == 1 else 65_536, opens <= 8
        data = opened(container, name, etag).read()
        return unsteady(world, data, lambda file: is_short and file.tell() >= ends_at)

    world.storage.open = short_lived  # type: ignore[method-assign]
    world.run(until=86_400)
    same(world, alone({"train-0.jsonl.gz": ZIPPED}, **SKIPS_BAD))
    assert opens > 8


@pytest.mark.parametrize("good", [0, 1], ids=["the first time", "later"])
def test_a_gzip_file_whose_opening_ends_the_worker_is_given_up(good: int) -> None:
    world = dropped({"train-0.jsonl.gz": ZIPPED}, **SKIPS_BAD)
    opened, opens = world.storage.open, 0

    def deadly(container: str, name: str, etag: str) -> Any:
        nonlocal opens
        if not name.endswith(".gz"):
            return opened(container, name, etag)
        opens += 1
        if opens > good:
            world.process.alive = False
            raise Killed
        return unsteady(world, opened(container, name, etag).read(), lambda file: file.tell() >= len(ZIPPED) // 2)

    world.storage.open = deadly  # type: ignore[method-assign]
    world.run(until=86_400)
    (row,) = world.snapshots()
    assert row["state"] == "REJECTED"
    assert "train-0.jsonl.gz" in row["reason"]
    assert opens == 5 if not good else 5 < opens <= 1 + MOST_UNPACKED + MOST_LOST


def test_a_row_of_a_gzip_file_that_ends_its_worker_is_named_by_its_part() -> None:
    world = dropped({"train-0.jsonl.gz": ZIPPED}, **SKIPS_BAD)
    opened, lost = world.storage.open, 0

    def deadly(container: str, name: str, etag: str) -> Any:
        file = io.BytesIO(opened(container, name, etag).read())
        read = file.read

        def read_or_end(size: int | None = -1, /) -> bytes:
            nonlocal lost
            if file.tell() > len(ZIPPED) // 2:
                lost += 1
                world.process.alive = False
                raise Killed
            return read(size)

        file.read = read_or_end  # type: ignore[method-assign]
        return file if name.endswith(".gz") else opened(container, name, etag)

    world.storage.open = deadly  # type: ignore[method-assign]
    world.run(until=86_400)
    (row,) = [world.services.ledger.read(listed.key).row for listed in world.services.ledger.list("snapshot")]
    assert row.state == "REJECTED"
    found = re.search(
        r"train-0.jsonl.gz \(bytes as stored (\d+) to (\d+)\): its check ended the worker 5 times", row.reason
    )
    assert found
    assert lost == 5
    assert int(found[1]) - 3 * 65_536 < len(ZIPPED) // 2 < int(found[2]) + 3 * 65_536


def test_a_part_that_was_lost_in_company_runs_alone_and_only_who_is_to_blame_is_named() -> None:
    """A process may check several parts at once; when one of them ends it, the others are lost as well."""
    files = {"train-0.jsonl": LARGE["train-0.jsonl"]}
    world = dropped(files, validation_part_mb=0.01)
    key = asked_for(world)
    steps.step(world.services, f"{key}?")
    row = world.services.ledger.read(key).row
    inputs = inputs_of(world.services, row, resolve(world.services, row).policy)
    results_of(world.services.storage, inputs, world.clock).put_trouble(1, Trouble(begun=True))
    with OF_THIS_PROCESS.room_for(0, 1000):
        assert steps.step(world.services, f"{key}#1") == "waits for memory", "somebody else is at work here"
        assert steps.step(world.services, f"{key}#2") == "checked"
    assert steps.step(world.services, f"{key}#1") == "checked"


def test_a_row_that_ends_its_worker_is_named_by_its_part_and_the_other_parts_are_kept() -> None:
    files = {"train-0.jsonl": LARGE["train-0.jsonl"]}
    world = dropped(files, validation_part_mb=0.01)
    opened, deadly_at = world.storage.open, len(files["train-0.jsonl"]) // 2
    read: list[int] = []

    class Deadly(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            start = self.tell()
            read.append(start)
            if start > 0 and start <= deadly_at < start + 10_000:
                world.process.alive = False
                raise Killed
            return super().read(min(size or 0, 10_000) if size and size > 0 else size)

    def unsteady(container: str, name: str, etag: str) -> Any:
        return (
            Deadly(opened(container, name, etag).read()) if name.endswith(".jsonl") else opened(container, name, etag)
        )

    world.storage.open = unsteady  # type: ignore[method-assign]
    world.run(until=86_400)
    (row,) = [world.services.ledger.read(listed.key).row for listed in world.services.ledger.list("snapshot")]
    assert row.state == "REJECTED"
    assert re.search(r"train-0.jsonl \(bytes \d+ to \d+\): its check ended the worker 5 times", row.reason)
    world.storage.open = opened  # type: ignore[method-assign]
    actions.override(world.services, row.id, "me", ["superseded"])
    world.run()
    same(world, alone(files))
