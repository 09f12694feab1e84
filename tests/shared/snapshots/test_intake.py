"""Uploads: which snapshot a path makes, what is refused and why, and that saying it twice changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.ledger.rows import Snapshot
from shared.ledger.states import SnapshotState as S
from shared.snapshots import intake, lost_uploads
from tests.fakes import START, World, dialogues
from tests.hostile import UPLOADS, Upload

FOLDER = "support-bot/2026-09-21"
ROWS = dialogues(3)


@pytest.fixture
def world() -> World:
    return World()


def _drop(world: World, *paths: str, data: bytes = ROWS) -> None:
    for path in paths:
        world.drop(path, data)


def _received(world: World, path: str) -> Snapshot:
    found = intake.receive(world.services, path)
    assert found is not None
    row: Snapshot = world.services.ledger.read(f"snapshot/{found}").row
    return row


def _refusals(world: World) -> list[dict[str, Any]]:
    return [
        json.loads(stored.data)
        for (container, name), stored in world.storage.blobs.items()
        if container == "ledger" and name.startswith("_refused/")
    ]


def test_one_file_becomes_a_received_row_with_its_file_pinned(world: World) -> None:
    _drop(world, "support-bot.jsonl")
    row = _received(world, "support-bot.jsonl")
    blob = world.storage.head("snapshots", "support-bot.jsonl")
    assert (row.state, row.dataset, row.source) == (S.RECEIVED, "support-bot", "support-bot.jsonl")
    assert [(f.path, f.etag, f.size, f.split) for f in row.files] == [(blob.name, blob.etag, len(ROWS), None)]
    assert row.uploaded_at == blob.uploaded_at
    assert [message for _, _, message in world.storage.messages] == [row.key]


def test_a_folder_becomes_one_row_with_every_file_pinned_to_its_split(world: World) -> None:
    data = [f"{FOLDER}/{n}" for n in ("train-0.jsonl", "train-1.jsonl", "dev.parquet", "test_sft.jsonl.gz", "x.jsonl")]
    _drop(world, *data, f"{FOLDER}/snapshot.json", f"{FOLDER}/notes.txt")
    _drop(world, "support-bot/2026-09-21-more/train.jsonl", "support-bot/2026-09-21.jsonl")
    for path in data:
        assert intake.receive(world.services, path) is None
    _drop(world, f"{FOLDER}/_SUCCESS", data=b"")
    row = _received(world, f"{FOLDER}/_SUCCESS")
    assert {f.path: f.split for f in row.files} == dict(
        zip(data, ("train", "train", "validation", "test", None), strict=True)
    )
    assert row.options is not None
    assert row.options.path == f"{FOLDER}/snapshot.json"
    assert {f.etag for f in row.files} == {world.storage.head("snapshots", path).etag for path in data}


def test_a_file_newer_than_the_marker_means_refusal_until_the_marker_comes_again(world: World) -> None:
    marker = f"{FOLDER}/_SUCCESS"
    _drop(world, f"{FOLDER}/train.jsonl", marker)
    world.clock.now += 2
    _drop(world, f"{FOLDER}/test.jsonl")
    assert intake.receive(world.services, marker) is None
    (refusal,) = _refusals(world)
    assert "upload the marker last" in refusal["reason"]
    assert f"{FOLDER}/test.jsonl is newer" in refusal["reason"]
    _drop(world, marker)
    assert [f.split for f in _received(world, marker).files] == ["test", "train"]


def test_files_of_the_markers_own_second_are_in_time(world: World) -> None:
    _drop(world, f"{FOLDER}/_SUCCESS", f"{FOLDER}/train.jsonl")
    assert len(_received(world, f"{FOLDER}/_SUCCESS").files) == 1


def test_a_late_snapshot_json_counts_as_a_late_file(world: World) -> None:
    _drop(world, f"{FOLDER}/train.jsonl", f"{FOLDER}/_SUCCESS")
    world.clock.now += 2
    _drop(world, f"{FOLDER}/snapshot.json")
    assert intake.receive(world.services, f"{FOLDER}/_SUCCESS") is None
    assert "upload the marker last" in _refusals(world)[0]["reason"]


@pytest.mark.parametrize("path", ["support-bot.jsonl", "support-bot.parquet", "support-bot/2026.jsonl.gz"])
def test_options_beside_a_file_go_with_it(world: World, path: str) -> None:
    options = f"{path.removesuffix('.gz').rpartition('.')[0]}.snapshot.json"
    _drop(world, options, f"{options}.bak", "support-bot-2.snapshot.json")
    assert intake.receive(world.services, options) is None
    assert _refusals(world) == []
    _drop(world, path)
    row = _received(world, path)
    assert row.options is not None
    blob = world.storage.head("snapshots", options)
    assert (row.options.path, row.options.etag) == (options, blob.etag)


def test_options_that_come_after_their_file_are_refused_until_it_comes_again(world: World) -> None:
    _drop(world, "support-bot.jsonl")
    world.clock.now += 2
    _drop(world, "support-bot.snapshot.json")
    assert intake.receive(world.services, "support-bot.jsonl") is None
    (refusal,) = _refusals(world)
    assert "support-bot.snapshot.json is newer than support-bot.jsonl: upload it before the rows" in refusal["reason"]
    _drop(world, "support-bot.jsonl")
    assert _received(world, "support-bot.jsonl").options is not None


def test_another_files_options_are_not_taken(world: World) -> None:
    _drop(world, "support-bot.snapshot.json.bak", "support-bot/one.snapshot.json", "support-bot/snapshot.json")
    _drop(world, "support-bot.jsonl")
    assert _received(world, "support-bot.jsonl").options is None


def test_a_folder_without_data_is_refused(world: World) -> None:
    _drop(world, f"{FOLDER}/snapshot.json", f"{FOLDER}/_SUCCESS")
    assert intake.receive(world.services, f"{FOLDER}/_SUCCESS") is None
    assert "holds no file that ends in .jsonl" in _refusals(world)[0]["reason"]


def test_an_upload_that_is_gone_again_means_nothing(world: World) -> None:
    for path in ("support-bot.jsonl", f"{FOLDER}/_SUCCESS", "support-bot.csv"):
        assert intake.receive(world.services, path) is None
    assert not world.storage.blobs


@pytest.mark.parametrize("path", ["support-bot.csv", "support-bot/test.jsonl", f"{FOLDER}/_SUCCESS"])
def test_a_refusal_is_recorded_once_per_upload(world: World, path: str) -> None:
    for upload in (1, 2):
        _drop(world, path)
        for _ in range(3):
            assert intake.receive(world.services, path) is None
        assert len(_refusals(world)) == upload
    assert not world.storage.messages
    assert {(r["path"], r["at"]) for r in _refusals(world)} == {(path, START)}
    assert all(r["reason"] for r in _refusals(world))


def test_the_same_event_again_records_nothing_and_starts_nothing_while_its_look_is_planned(world: World) -> None:
    _drop(world, "support-bot.jsonl")
    row = _received(world, "support-bot.jsonl")
    world.services.ledger.change(row.key, lambda r: r.but(state=S.TRAINING, poll_at=START + 60))
    kept = world.services.ledger.read(row.key)
    world.storage.messages.clear()
    assert intake.receive(world.services, "support-bot.jsonl") == row.id
    assert world.services.ledger.read(row.key) == kept
    assert not world.storage.messages


def test_the_same_event_again_looks_at_a_row_that_is_overdue(world: World) -> None:
    """The first delivery may have died between the row and its message."""
    _drop(world, "support-bot.jsonl")
    row = _received(world, "support-bot.jsonl")
    world.storage.messages.clear()
    world.clock.now += 30
    intake.receive(world.services, "support-bot.jsonl")
    assert [message for _, _, message in world.storage.messages] == [row.key]


def test_an_overwritten_blob_is_another_snapshot(world: World) -> None:
    _drop(world, "support-bot.jsonl")
    first = _received(world, "support-bot.jsonl")
    _drop(world, "support-bot.jsonl", data=dialogues(4))
    second = _received(world, "support-bot.jsonl")
    assert first.id != second.id
    assert second.dataset == first.dataset


AHEAD = [S for S in S if S.value in ["SUBMITTING", "TRAINING", "TRAINED", "REGISTERING", "REGISTERED"]]


@pytest.mark.parametrize("state", S)
def test_an_older_upload_comes_too_late_once_a_newer_one_is_on_its_way(world: World, state: S) -> None:
    _drop(world, "support-bot/old.jsonl")
    world.clock.now += 5
    _drop(world, "support-bot/new.jsonl")
    newer = _received(world, "support-bot/new.jsonl")
    world.services.ledger.change(newer.key, lambda r: r.but(state=state))
    older = _received(world, "support-bot/old.jsonl")
    late = state in AHEAD
    assert older.state == (S.SUPERSEDED if late else S.RECEIVED)
    assert (newer.id in older.waiting) == late
    assert (older.poll_at is None) == late


def test_a_newer_upload_of_another_dataset_is_in_nobodys_way(world: World) -> None:
    _drop(world, "support-bot.jsonl", "support-bot-2.jsonl")
    newer = _received(world, "support-bot-2.jsonl")
    world.services.ledger.change(newer.key, lambda r: r.but(state=S.TRAINING))
    assert _received(world, "support-bot.jsonl").state == S.RECEIVED


@pytest.mark.parametrize(
    "moment", [datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(START, UTC).replace(tzinfo=None)]
)
def test_accept_since_leaves_older_uploads_alone(moment: datetime) -> None:
    world = World(settings={"accept_since": moment})
    world.clock.now = START - 1
    _drop(world, "support-bot/old.jsonl")
    world.clock.now = START
    _drop(world, "support-bot/new.jsonl")
    assert intake.receive(world.services, "support-bot/old.jsonl") is None
    assert intake.receive(world.services, "support-bot/new.jsonl")


def test_the_first_upload_may_be_what_starts_the_app(world: World) -> None:
    _drop(world, "support-bot.jsonl")
    world.clock.now += 90
    assert intake.receive(world.services, "support-bot.jsonl")


def test_a_full_container_is_not_a_backlog_but_what_comes_later_is_found(world: World) -> None:
    _drop(world, "old.jsonl", "old.csv")
    world.clock.now += 60.5
    assert [blob.name for blob in lost_uploads.missed_uploads(world.services)] == []
    _drop(world, "new.jsonl", "new.csv", f"{FOLDER}/train.jsonl")
    world.clock.now += 60
    assert [blob.name for blob in lost_uploads.missed_uploads(world.services)] == ["new.csv", "new.jsonl"]
    world.clock.now += 10 * 86_400
    assert [blob.name for blob in lost_uploads.missed_uploads(world.new_process())] == ["new.csv", "new.jsonl"]


def test_what_has_its_row_or_its_refusal_is_not_lost_until_it_is_uploaded_again(world: World) -> None:
    intake.accept_since(world.services)
    paths = ["new.csv", "new.jsonl", f"{FOLDER}/_SUCCESS"]
    _drop(world, *paths)
    known = {found for path in paths if (found := intake.receive(world.services, path))}
    assert len(known) == 1
    assert [blob.name for blob in lost_uploads.missed_uploads(world.services)] == []
    _drop(world, *paths)
    assert [blob.name for blob in lost_uploads.missed_uploads(world.services)] == paths


def test_the_first_start_is_remembered_by_every_later_process(world: World) -> None:
    first = intake.accept_since(world.services)
    world.clock.now += 1000
    assert intake.accept_since(world.new_process()) == first == START


def test_a_blob_that_is_still_being_copied_is_left_to_the_sweep_until_it_is_whole(world: World) -> None:
    """Some accounts tell of a copy when it begins, and of nothing when it is done."""
    intake.accept_since(world.services)
    _drop(world, "support-bot.jsonl")
    world.storage.copying.add(("snapshots", "support-bot.jsonl"))
    assert intake.receive(world.services, "support-bot.jsonl") is None
    assert lost_uploads.missed_uploads(world.services) == []
    world.storage.copying.clear()
    (blob,) = lost_uploads.missed_uploads(world.services)
    assert intake.receive_listed(world.services, blob)


def test_a_folder_with_a_file_that_is_still_being_copied_is_refused_until_the_marker_comes_again(world: World) -> None:
    marker = f"{FOLDER}/_SUCCESS"
    _drop(world, f"{FOLDER}/train.jsonl", marker)
    world.storage.copying.add(("snapshots", f"{FOLDER}/train.jsonl"))
    assert intake.receive(world.services, marker) is None
    assert "is still being copied: upload _SUCCESS again" in _refusals(world)[0]["reason"]
    world.storage.copying.clear()
    _drop(world, marker)
    assert len(_received(world, marker).files) == 1


def test_a_folder_of_too_many_files_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file stands in the snapshot's row, which is written at every step."""
    monkeypatch.setattr(intake, "MOST_FILES", 3)
    monkeypatch.setattr(intake, "MOST_LISTED", 6)
    _drop(world, *(f"{FOLDER}/train-{number}.jsonl" for number in range(4)), f"{FOLDER}/_SUCCESS")
    assert intake.receive(world.services, f"{FOLDER}/_SUCCESS") is None
    assert "holds 4 files with rows; at most 3" in _refusals(world)[0]["reason"]
    _drop(world, *(f"{FOLDER}/note {number}.md" for number in range(4)), f"{FOLDER}/_SUCCESS")
    assert intake.receive(world.services, f"{FOLDER}/_SUCCESS") is None
    assert any("holds more than 6 files" in refusal["reason"] for refusal in _refusals(world))


def test_files_that_are_passed_over_are_named(world: World) -> None:
    names = ["README.md", "notes\n2.txt", *(f"picture {number}.png" for number in range(30))]
    _drop(world, f"{FOLDER}/train.jsonl", *(f"{FOLDER}/{name}" for name in names), f"{FOLDER}/_SUCCESS")
    passed_over = _received(world, f"{FOLDER}/_SUCCESS").passed_over
    assert passed_over[:2] == ("README.md", "notes\N{REPLACEMENT CHARACTER}2.txt")
    assert passed_over[-1] == "and 12 more"
    assert len(passed_over) == 21


@pytest.mark.parametrize("upload", UPLOADS, ids=lambda upload: upload.name)
def test_hostile_upload_is_refused_on_record_with_its_reason(world: World, upload: Upload) -> None:
    for path, data in (*upload.beside, (upload.path, upload.data)):
        world.drop(path, data)
    world.run()
    rows = [json.loads(blob.data) for (c, name), blob in world.storage.blobs.items() if name.startswith("snapshots/")]
    told = [row["history"][-1]["reason"] for row in rows if row["state"] == "REJECTED"]
    told += [refusal["reason"] for refusal in _refusals(world) if refusal["path"] == upload.path]
    assert len(told) == 1
    assert upload.reason in told[0]
    assert told[0].isprintable()
