"""One damaged blob in the ledger: it is named, it stops nobody else, and it can be mended or set aside."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli import ledger as command
from shared.errors import NotFound
from shared.ledger import budget
from shared.ledger.states import SnapshotState as S
from shared.operations import access, damage, nightly, orphans, pages, sweep
from shared.snapshots import intake, lost_uploads
from tests.builders import DATASET, NEWER, SNAPSHOT, a_snapshot
from tests.fakes import START, World, dialogues

ROW = f"snapshots/{DATASET}/{SNAPSHOT}.json"
SET = f"datasets/{DATASET}.json"


def _served() -> World:
    """A dataset that serves, a snapshot that waits, and nothing queued."""
    world = World()
    intake.accept_since(world.services)
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    world.run()
    world.services.ledger.create(a_snapshot(S.TRAINING, id=NEWER, poll_at=START))
    world.services.ledger.create(a_snapshot(S.RECEIVED, poll_at=START))
    world.storage.messages.clear()
    return world


def _truncate(world: World, name: str) -> None:
    world.storage.blobs["ledger", name].data = world.storage.blobs["ledger", name].data[:-9]


def _bad_metadata(name: str, value: str) -> Any:
    def do(world: World, blob: str) -> None:
        world.storage.blobs["ledger", blob].metadata[name] = value

    return do


def _nest(world: World, name: str) -> None:
    deep = b'{"of a later version": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    stored = world.storage.blobs.get(("ledger", name))
    world.storage._set("ledger", name, deep, stored.metadata if stored else None)


def _look_at(at: float) -> Any:
    def do(world: World, name: str) -> None:
        stored = world.storage.blobs["ledger", name]
        stored.data = json.dumps({**json.loads(stored.data), "next_look_at": at}).encode()

    return do


def _stray(world: World, name: str) -> None:
    world.storage.put("ledger", name, b"?")


def _other(world: World, name: str) -> None:
    world.storage.put("ledger", name, b'{"runs": 7, "found": 7, "first_start": "never"')


KINDS = {
    "a truncated snapshot": (ROW, _truncate),
    "a truncated dataset": (SET, _truncate),
    "a deeply nested snapshot": (ROW, _nest),
    "a deeply nested dataset": (SET, _nest),
    "deeply nested slots": (budget.BLOB, _nest),
    "deeply nested orphans": (orphans.BLOB, _nest),
    "a look after the end of time": (ROW, _look_at(1e308)),
    "a look before its beginning": (ROW, _look_at(-1e308)),
    "an unknown state": (ROW, _bad_metadata("state", "FLYING")),
    "a wrong next_look_at": (ROW, _bad_metadata("next_look_at", "soon")),
    "a stray blob": ("snapshots/notes.txt", _stray),
    "a stray blob among datasets": ("datasets/a/b.json", _stray),
    "damaged slots": (budget.BLOB, _other),
    "damaged orphans": (orphans.BLOB, _other),
    "a damaged first start": ("_installation.json", _other),
    "a damaged record of damage": (damage.BLOB, _other),
    "damaged roles": (access.BLOB, _other),
}


@pytest.mark.parametrize("kind", ["a truncated snapshot", "damaged slots", "damaged orphans"])
def test_what_a_sweep_needs_itself_is_named_by_it_at_once(kind: str) -> None:
    world = _served()
    name, do = KINDS[kind]
    do(world, name)
    sweep.sweep(world.services)
    assert [one.blob for one in damage.on_record(world.services)] == [f"ledger/{name}"]


@pytest.fixture(params=KINDS)
def damaged(request: pytest.FixtureRequest) -> tuple[World, str]:
    world = _served()
    name, do = KINDS[request.param]
    do(world, name)
    return world, name


def test_a_damaged_blob_stops_no_sweep_and_is_named(damaged: tuple[World, str]) -> None:
    """By the sweep what is open and what it needs itself, by the nightly round the rest, then by every sweep."""
    world, name = damaged
    moved = sweep.sweep(world.services)
    assert f"snapshot/{NEWER}" in moved
    named = [f"ledger/{name}"] if name not in (damage.BLOB, access.BLOB) else []  # which are written anew
    assert pages.snapshots(world.services)["snapshots"]
    nightly.every_night(world.services)
    assert [one.blob for one in damage.on_record(world.services)] == named
    sweep.sweep(world.services)
    assert [one.blob for one in damage.on_record(world.services)] == named


def test_a_damaged_blob_is_mended_or_set_aside_and_kept(damaged: tuple[World, str]) -> None:
    world, name = damaged
    was = world.storage.blobs["ledger", name].data
    assert command.look(world.services, mend=False) == 1
    assert command.look(world.services, mend=True) == 0
    assert damage.find(world.services) == []
    assert damage.on_record(world.services) == ()
    aside = [s.data for (_, n), s in world.storage.blobs.items() if n.startswith(f"{damage.ASIDE}{name}")]
    assert was in aside or world.storage.blobs["ledger", name].data == was
    sweep.sweep(world.services)
    assert damage.on_record(world.services) == ()


def test_nothing_is_damaged_in_a_ledger_that_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.look(_served().services, mend=False) == 0
    assert capsys.readouterr().out == "nothing is damaged\n"


def test_a_snapshot_whose_row_is_damaged_is_shown_so_beside_all_others() -> None:
    world = _served()
    _truncate(world, ROW)
    sweep.sweep(world.services)
    found = pages.snapshots(world.services, damaged=damage.damaged_snapshots(damage.on_record(world.services)))
    shown = {one["id"]: one for one in found["snapshots"]}
    assert (shown[SNAPSHOT]["state"], shown[NEWER]["state"]) == ("DAMAGED", "TRAINING")
    assert "its row cannot be read: Input data was truncated" in shown[SNAPSHOT]["reason"]
    assert shown[SNAPSHOT]["needs_attention"]


def test_the_endpoint_of_a_damaged_dataset_is_no_orphan() -> None:
    world = _served()
    _truncate(world, SET)
    for _ in range(3):
        sweep.sweep(world.services)
        world.clock.now += 7 * 86_400
    assert orphans.on_record(world.services).found == ()
    assert list(world.workspace.endpoints.made)


def test_a_snapshot_that_was_set_aside_is_taken_in_once_more() -> None:
    world = _served()
    (dropped,) = [one["id"] for one in world.snapshots() if one["state"] == "LIVE"]
    world.storage.blobs["ledger", f"snapshots/{DATASET}/{dropped}.json"].data = b"{"
    command.look(world.services, mend=True)
    with pytest.raises(NotFound):
        world.services.ledger.read(f"snapshot/{dropped}")
    assert f"snapshot/{dropped}" in sweep.sweep(world.services)


def test_what_waits_for_a_damaged_dataset_waits_without_a_fault() -> None:
    world = _served()
    _truncate(world, SET)
    world.services.ledger.change(f"snapshot/{SNAPSHOT}", lambda row: row.but(files=row.files))
    world.run(until=600)
    row = world.services.ledger.read(f"snapshot/{SNAPSHOT}").row
    assert not row.attention
    assert row.fault is None or row.fault.type != "Damaged"


def test_a_damaged_claim_is_found_and_keeps_its_content_from_being_trained_twice() -> None:
    world = _served()
    (claim,) = [name for _, name in world.storage.blobs if name.startswith("claims/")]
    world.storage.put("ledger", claim, b"{}")
    assert [one.blob for one in damage.find(world.services)] == [f"ledger/{claim}"]
    assert command.look(world.services, mend=True) == 0


def test_a_part_of_the_sweep_that_fails_keeps_no_other_from_running(caplog: pytest.LogCaptureFixture) -> None:
    world = _served()
    world.drop("other.jsonl", dialogues(40))
    world.events.clear()
    world.clock.now += lost_uploads.EVERY

    def broken(*_: Any) -> None:
        raise ValueError("a defect")

    world.services.budget.audit = broken  # type: ignore[method-assign, assignment]
    moved = sweep.sweep(world.services)
    assert f"snapshot/{NEWER}" in moved
    assert [key for key in moved if key.startswith("snapshot/other-")]
    assert "slots for jobs: failed" in caplog.text


def test_counts_are_kept_while_a_shift_may_still_compare_them() -> None:
    world = World(settings={"rollout_bake_minutes": 5000, "rollout_wait_minutes": 5000, "orphan_grace_hours": 999})
    world.storage.put("work", "calls/202609201413-x.json", json.dumps({}).encode())
    nightly.forget_counts(world.services)
    assert ("work", "calls/202609201413-x.json") in world.storage.blobs
    world.clock.now += 60 * 86_400
    nightly.forget_counts(world.services)
    assert ("work", "calls/202609201413-x.json") not in world.storage.blobs
