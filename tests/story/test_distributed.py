"""A snapshot whose files are checked one by one, by anybody, in any order, any number of times, cut off anywhere."""

from __future__ import annotations

import gzip
import io
import json
import random
from typing import Any

import pytest

from shared.errors import LeaseHeld, ServiceBusy
from shared.operations import actions, steps
from shared.validation.digests import RowSet
from tests.fakes import Killed, Process, World, dialogues
from tests.story.kills import EVERY_THIRD_CALL, STEP
from tests.story.parts import FOLDER, alone, asked_for, checked_files, dropped, quarantined, report, same, trained


def shards(rows: int = 24) -> dict[str, bytes]:
    """Files with rows of their own, rows that other files have too, and one row three times in one file."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    own = [dialogues(rows, f"shard {number}") for number in range(3)]
    shared_rows = dialogues(5, "everywhere")
    parquet = io.BytesIO()
    table = pa.Table.from_pylist([json.loads(line) for line in (own[1] + shared_rows).splitlines()])
    pq.write_table(table, parquet, row_group_size=8)
    return {
        "train-00000-of-00003.jsonl": own[0] + shared_rows + own[0][: own[0].index(b"\n") + 1] * 2,
        "train-00001-of-00003.parquet": parquet.getvalue(),
        "train-00002-of-00003.jsonl.gz": gzip.compress(shared_rows + own[2]),
        "test.jsonl": dialogues(10, "held out"),
    }


FILES = shards()
ONE = alone(FILES)


def test_files_checked_one_by_one_make_what_one_pass_makes() -> None:
    world = dropped(FILES)
    world.run()
    same(world, ONE)
    assert list(world.states().values()) == ["LIVE"]
    found = checked_files(world)
    assert [name for name in found if name.endswith(".checked")] == [f"{number:05d}.checked" for number in range(4)]
    # The test file comes first; the second and third training file have rows that the first has.
    assert [name for name in found if name.endswith(".staged")] == ["00002.staged", "00003.staged"]
    assert report(world)["duplicate_rows"] == 2 + 2 * 5


@pytest.mark.parametrize(
    ("files", "settings"),
    [
        ({"train-0.jsonl": dialogues(30), "train-1.jsonl": dialogues(30)}, {}),  # the second one adds nothing
        ({"train-0.jsonl": dialogues(8), "train-1.jsonl": dialogues(5, "b")}, {}),  # splits topped up from all files
        ({"train-0.jsonl": dialogues(3), "train-1.jsonl": dialogues(3, "b")}, {}),  # too few in all
        ({"train-0.jsonl": dialogues(30), "train-1.jsonl": b"{}\n" + dialogues(30, "b")}, {}),
        (
            {"train-0.jsonl": dialogues(30) + b"{}\n[]\n", "train-1.jsonl": b"{}\n" + dialogues(30, "b")},
            {"validation_max_bad_percent": 20.0},
        ),
        ({"train.jsonl": dialogues(30), "test.jsonl": dialogues(3)}, {}),  # leaked
        ({"train-0.jsonl": dialogues(30), "train-1.parquet": b"PAR1"}, {}),
        ({"train-0.jsonl": dialogues(30), "train-1.jsonl": dialogues(30, "b")}, {"validation_max_rows": 40}),
        ({"train-0.jsonl": dialogues(30), "rest.jsonl": dialogues(30, "b")}, {}),
        ({"train.jsonl": dialogues(90), "test.jsonl": dialogues(9, "b"), "dev.jsonl": dialogues(9, "c")}, {}),
    ],
)
def test_any_snapshot_gets_the_report_of_one_pass(files: dict[str, bytes], settings: dict[str, Any]) -> None:
    world = dropped(files, **settings)
    world.run()
    same(world, alone(files, **settings))
    assert quarantined(world) == quarantined(alone(files, **settings))


def validated(process: Process) -> World:
    """A world that ran until the snapshot was validated, or for an hour."""
    world = dropped(FILES, process)
    for _ in range(360):
        world.run(until=10.0)
        states = {stored.metadata["state"] for (_, name), stored in world.storage.blobs.items() if "snapshots/" in name}
        if states - {"RECEIVED", "VALIDATING"}:
            break
    process.die_at, process.alive = -1, True
    return world


@EVERY_THIRD_CALL
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_kill_at_any_call_ends_the_same(before: bool, first: int) -> None:
    for call in range(first, validated(Process()).process.calls + 1, STEP):
        world = validated(Process(die_at=call, before=before))
        try:
            same(world, ONE)
        except (AssertionError, ValueError) as error:
            raise AssertionError(f"killed {'before' if before else 'after'} call {call}: {world.states()}") from error


@pytest.mark.parametrize("seed", range(6))
def test_messages_in_any_order_twice_and_lost_make_the_same(seed: int) -> None:
    world = dropped(FILES)
    rng = random.Random(seed)
    while world.events:
        world._event(world.events.pop(0))
    for _ in range(40):
        if not world.storage.messages:
            break
        message = rng.choice(world.storage.messages)
        if rng.random() < 0.6:
            world.storage.messages.remove(message)  # else it is delivered again
        if rng.random() < 0.9:
            steps.step(world.new_process(), message[2])
    world.run()
    same(world, ONE)
    assert list(world.states().values()) == ["LIVE"]


def test_a_file_checked_by_a_stalled_worker_as_well_counts_once() -> None:
    """Two workers read the same file at the same time: the lease of one of them was lost."""
    world = dropped(FILES)
    while world.events:
        world._event(world.events.pop(0))
    key = f"snapshot/{next(iter(world.states()))}"
    steps.step(world.services, f"{key}?")
    listed = world.storage.list

    def stall(container: str, prefix: str = "") -> Any:
        world.storage.list = listed  # type: ignore[method-assign]
        found = listed(container, prefix)
        world.storage.leases.clear()
        assert steps.step(world.new_process(), f"{key}#1") == "checked"
        return found

    world.storage.list = stall  # type: ignore[method-assign]
    with pytest.raises(LeaseHeld):
        steps.step(world.services, f"{key}#1")
    world.run()
    same(world, ONE)


def test_a_file_overwritten_meanwhile_supersedes_the_snapshot() -> None:
    world = dropped(FILES)
    while world.events:
        world._event(world.events.pop(0))
    key = f"snapshot/{next(iter(world.states()))}"
    steps.step(world.services, f"{key}?")
    steps.step(world.services, f"{key}#0")
    world.storage._set("snapshots", f"{FOLDER}/train-00000-of-00003.jsonl", dialogues(9, "other"), None)
    for number in (1, 2, 3):
        steps.step(world.services, f"{key}#{number}")
    world.run()
    assert list(world.states().values()) == ["SUPERSEDED"]
    assert trained(world) == {}


def test_cuts_that_rose_meanwhile_have_the_files_read_again_under_them() -> None:
    """What was held out by another snapshot meanwhile must not be trained on."""
    world = dropped(FILES)
    while world.events:
        world._event(world.events.pop(0))
    key = f"snapshot/{next(iter(world.states()))}"
    steps.step(world.services, f"{key}?")
    for number in range(3):
        steps.step(world.services, f"{key}#{number}")
    world.services.ledger.change("dataset/support-bot", lambda d: d.but(cut_test=0.3, cut_validation=0.5))
    world.run()
    assert list(world.states().values()) == ["LIVE"]
    assert len(trained(world)["train.jsonl"]) < 0.8 * len(trained(ONE)["train.jsonl"])
    assert len([name for name in checked_files(world) if name.endswith(".checked")]) == 3 + 4


def test_a_file_that_cannot_be_read_is_a_fault_on_record_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = dropped(FILES)
    broken, opened = True, world.storage.open

    def open_(container: str, name: str, etag: str) -> Any:
        if broken and name.endswith(".parquet"):
            raise ServiceBusy("storage is busy")
        return opened(container, name, etag)

    monkeypatch.setattr(world.storage, "open", open_)
    world.run(until=20)
    (row,) = [world.services.ledger.read(listed.key).row for listed in world.services.ledger.list("snapshot")]
    assert row.state == "VALIDATING"
    assert row.fault is not None
    assert "train-00001-of-00003.parquet could not be checked: ServiceBusy" in row.fault.message
    broken = False
    world.run()
    same(world, ONE)


def test_files_that_were_checked_a_week_ago_are_read_again() -> None:
    """Azure deletes staged blocks after a week, and the records of what was found out outlive them."""
    world = dropped(FILES)
    key = asked_for(world)
    for number in range(3):
        steps.step(world.services, f"{key}#{number}")
    world.storage.messages.clear()
    world.clock.now += 7.5 * 86_400
    world.run()
    assert list(world.states().values()) == ["LIVE"]
    assert report(world) == report(ONE)
    assert trained(world) == trained(ONE)


def test_an_override_after_a_week_trains_on_what_it_reads_then() -> None:
    files = {"train-0.jsonl": dialogues(30) + b"{}\n", "train-1.jsonl": dialogues(30, "b")}
    world = dropped(files)
    world.run()
    assert list(world.states().values()) == ["REJECTED"]
    world.clock.now += 8 * 86_400
    actions.override(world.services, next(iter(world.states())), "me")
    world.run()
    assert list(world.states().values()) == ["LIVE"]
    assert sum(map(len, trained(world).values())) == 60


def test_blocks_that_vanish_before_their_time_have_the_files_read_again() -> None:
    world = dropped(FILES)
    key = asked_for(world)
    for number in range(4):
        steps.step(world.services, f"{key}#{number}")
    world.storage.staged.clear()
    world.run()
    assert list(world.states().values()) == ["LIVE"]
    assert trained(world) == trained(ONE)


def test_a_check_that_ends_its_worker_is_given_up_after_five_and_says_which_file() -> None:
    world = dropped(FILES)
    opened = world.storage.open
    ended = 0

    def deadly(container: str, name: str, etag: str) -> Any:
        nonlocal ended
        if name.endswith("train-00002-of-00003.jsonl.gz"):
            ended += 1
            world.process.alive = False
            raise Killed
        return opened(container, name, etag)

    world.storage.open = deadly  # type: ignore[method-assign]
    world.run(until=86_400)
    (row,) = [world.services.ledger.read(listed.key).row for listed in world.services.ledger.list("snapshot")]
    assert row.state == "REJECTED"
    assert "train-00002-of-00003.jsonl.gz: its check ended the worker 5 times" in row.reason
    assert ended == 5
    world.storage.open = opened  # type: ignore[method-assign]
    actions.override(world.services, row.id, "me", ["superseded"])
    world.run()
    assert list(world.states().values()) == ["LIVE"], "a person may ask for it once more"


def test_a_worker_that_is_ended_now_and_then_does_no_harm() -> None:
    world = dropped(FILES)
    opened = world.storage.open
    opens = 0

    def unsteady(container: str, name: str, etag: str) -> Any:
        nonlocal opens
        opens += 1
        if opens in (1, 2, 4, 5, 7, 9):
            world.process.alive = False
            raise Killed
        return opened(container, name, etag)

    world.storage.open = unsteady  # type: ignore[method-assign]
    world.run(until=86_400)
    same(world, ONE)
    assert not [name for name in checked_files(world) if name.endswith(".trouble")]


def test_a_file_that_can_never_be_read_waits_for_a_person_after_five_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for it again is no success in between, from which the faults would be counted anew."""
    world = dropped(FILES)
    opened, tried = world.storage.open, 0

    def open_(container: str, name: str, etag: str) -> Any:
        nonlocal tried
        if name.endswith(".parquet"):
            tried += 1
            raise ServiceBusy("storage is busy")
        return opened(container, name, etag)

    monkeypatch.setattr(world.storage, "open", open_)
    world.run(until=6 * 3600)
    (row,) = [world.services.ledger.read(listed.key).row for listed in world.services.ledger.list("snapshot")]
    assert (row.state, row.attention) == ("VALIDATING", True)
    assert row.fault.count == 5
    assert tried >= 5


@pytest.mark.parametrize("odd", ["", "x", "-1", "4", "99999", "1#2"])
def test_a_message_for_no_file_is_done_with(odd: str) -> None:
    world = dropped(FILES)
    while world.events:
        world._event(world.events.pop(0))
    key = f"snapshot/{next(iter(world.states()))}"
    steps.step(world.services, f"{key}?")
    before = checked_files(world)
    assert steps.step(world.services, f"{key}#{odd}") in ("unknown", "not due")
    assert checked_files(world) == before


def test_a_set_of_rows_is_the_same_after_the_journey() -> None:
    rows = RowSet(100)
    for row in (1, 8, 99):
        rows.add(row)
    again = RowSet.unpacked(rows.packed())
    assert [row for row in range(101) if row in again] == [1, 8, 99]
