"""Refused uploads: recorded once, capped, forgotten in time, and never in the way of what others upload."""

from __future__ import annotations

import heapq

import pytest

from shared.azure.storage import Blob
from shared.errors import NotFound
from shared.snapshots import intake, lost_uploads, refusals
from tests.fakes import World

DAY = 86_400.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(refusals, "MOST_KEPT", 10)
    world = World()
    intake.accept_since(world.services)
    return world


def _sweep(world: World) -> list[str]:
    """One sweep's missed uploads, taken in; their names."""
    missed = heapq.nlargest(
        lost_uploads.MOST_MISSED, lost_uploads.missed_uploads(world.services), key=lambda blob: blob.uploaded_at
    )
    for blob in missed:
        intake.receive_listed(world.services, blob)
    return [blob.name for blob in missed]


def _recorded(world: World) -> int:
    return sum(name.startswith("_refused/") for _, name in world.storage.blobs)


def test_only_the_newest_refusals_are_kept_and_the_others_are_not_made_again(world: World) -> None:
    for number in range(30):
        world.clock.now += 1
        world.drop(f"bad {number:02}.csv", b"x")
    assert len(_sweep(world)) == 30
    for _ in range(3):
        assert _sweep(world) == []
        assert _recorded(world) == 10
    newest = refusals.newest(world.services, 100)
    assert {refusal.path for refusal in newest} == {f"bad {number}.csv" for number in range(20, 30)}


def test_a_refusal_after_a_flood_is_on_record(world: World) -> None:
    for number in range(30):
        world.drop(f"bad {number:02}.csv", b"x")
    _sweep(world)
    world.clock.now += 5
    world.drop("honest.csv", b"x")
    assert _sweep(world) == ["honest.csv"]
    _sweep(world)
    assert "honest.csv" in {refusal.path for refusal in refusals.newest(world.services, 100)}
    assert _recorded(world) == 10


def test_what_makes_a_snapshot_is_found_however_many_refusals_there_are(world: World) -> None:
    world.drop("support-bot.jsonl", b"{}")
    world.clock.now += 1
    for number in range(30):
        world.drop(f"bad {number:02}.csv", b"x")
    assert "support-bot.jsonl" in _sweep(world)
    assert _sweep(world) == []


def test_a_refusal_is_forgotten_after_the_keep_time(world: World) -> None:
    world.drop("bad.csv", b"x")
    _sweep(world)
    del world.storage.blobs["snapshots", "bad.csv"]
    world.clock.now += (world.services.settings.keep_days + 1) * DAY
    _sweep(world)
    assert _recorded(world) == 0


def test_a_damaged_refusal_hides_no_other(world: World) -> None:
    untold = (b"", b'{"path": 1', b'{"other": 1}', b'{"path": "x", "reason": "y", "at": "soon"}', b"[" * 100_000)
    for number in range(len(untold) + 1):
        world.drop(f"{number}.csv", b"x")
    _sweep(world)
    names = sorted(name for _, name in world.storage.blobs if name.startswith("_refused/"))
    for name, data in zip(names, untold, strict=False):
        world.storage._set("ledger", name, data, {"uploaded_at": "never"})
    assert len(refusals.newest(world.services, 100)) == 1
    assert _sweep(world) == []


def test_one_sweep_takes_in_only_so_many_and_the_newest_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_uploads, "MOST_MISSED", 3)
    for number in range(5):
        world.clock.now += 1
        world.drop(f"bot-{number}.jsonl", b"{}")
    assert _sweep(world) == ["bot-4.jsonl", "bot-3.jsonl", "bot-2.jsonl"]


@pytest.mark.parametrize("path", ["../ledger/x.jsonl", "a/../../b.csv", "bad\ud83d.csv", "x" * 2000 + ".csv", ".."])
def test_a_name_that_nothing_can_ask_for_is_told_by_the_sweep_and_asked_by_nobody(world: World, path: str) -> None:
    world.drop("before.csv", b"x")
    world.drop(path, b"x")
    world.drop("zz-after.csv", b"x")
    asked = []

    def head(container: str, name: str) -> Blob:
        asked.append(name)
        raise NotFound(name)

    world.storage.head = head  # type: ignore[method-assign]
    assert set(_sweep(world)) == {"before.csv", path, "zz-after.csv"}
    assert _sweep(world) == []
    assert asked == []
    assert len(refusals.newest(world.services, 100)) == 3


@pytest.mark.parametrize("path", ["../ledger/x.jsonl", "support-bot/a\nb.jsonl", "new\nline.jsonl", ".."])
def test_a_name_that_nothing_can_ask_for_is_told_by_its_event_too(world: World, path: str) -> None:
    assert intake.receive(world.services, path) is None
    assert _recorded(world) == 0, "an event may be forged: nothing is there"
    world.drop(path, b"x")
    world.drop(f"{path}x", b"x")
    assert intake.receive(world.services, path) is None
    assert [refusal.path for refusal in refusals.newest(world.services, 100)] == [path]


def test_directories_of_a_hierarchical_namespace_are_no_uploads(world: World) -> None:
    """A flat listing of such an account names each directory as an empty blob."""
    folder = {"hdi_isfolder": "true"}
    for name in ("support-bot", "support-bot/one", "support-bot/one/more.jsonl", "other.jsonl"):
        world.storage._set("snapshots", name, b"", folder)
    world.drop("support-bot/one/train.jsonl", b"{}")
    world.drop("support-bot/one/_SUCCESS", b"")
    assert _sweep(world) == ["support-bot/one/_SUCCESS"]
    assert intake.receive(world.services, "other.jsonl") is None
    (row,) = [world.services.ledger.read(listed.key).row for listed in world.services.ledger.list("snapshot")]
    assert [file.path for file in row.files] == ["support-bot/one/train.jsonl"]
    assert row.passed_over == ()
    assert _recorded(world) == 0


@pytest.mark.parametrize(
    ("path", "dataset"),
    [
        ("Support_Bot.JSONL", "support-bot"), ("support bot.json", "support-bot"), ("support-bot/x/y", "support-bot"),
        ("Support.Bot/1/train.jsonl", "support-bot"), ("-support-bot-.txt", "support-bot"), ("ü.jsonl", ""), ("", ""),
        ("/x.jsonl", ""), ("a" * 3000, "a" * 64),
    ],
)  # fmt: skip
def test_a_refused_path_is_found_under_the_dataset_that_it_may_have_been_meant_for(path: str, dataset: str) -> None:
    assert refusals.meant_for(path) == dataset
