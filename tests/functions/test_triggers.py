"""Recorded events, messages and timers in; what is recorded and enqueued out."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func
import pytest

from functions.run_changed import run_changed
from functions.snapshot_uploaded import snapshot_uploaded
from functions.step_due import step_due
from functions.sweep_due import sleep_due, sweep_due
from shared import naming
from shared.errors import ServiceBusy
from tests.builders import DATASET, DEPLOYMENT, ENDPOINT, SNAPSHOT, a_dataset, a_release, a_snapshot
from tests.fake_workspace.made import Made
from tests.fakes import START, World, dialogues
from tests.recorded import MALFORMED, NAMES, event, payload

TIMER: Any = None


def _sent(world: World) -> list[str]:
    return [message for _, _, message in world.storage.messages]


def _ours(world: World, name: str) -> func.EventGridEvent:
    """A recorded run event, for a run of this installation."""
    job = naming.job(world.services.installation, SNAPSHOT, 1)
    body = payload(name)
    return event(json.loads(json.dumps(body).replace("dt-0a1b2c3d-support-bot-20260921141320-0123abcd-1", job)))


# --- uploads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", ["", "_cloudevent"])
def test_an_upload_is_recorded_and_its_first_look_enqueued(world: World, schema: str) -> None:
    world.drop("support-bot.jsonl", dialogues(3))
    snapshot_uploaded(event(f"blob_created_put_blob{schema}"))
    (row,) = world.snapshots()
    assert (row["dataset"], row["state"], row["source"]) == (DATASET, "RECEIVED", "support-bot.jsonl")
    assert _sent(world) == [f"snapshot/{row['id']}"]


def test_the_same_event_again_records_nothing_more(world: World) -> None:
    world.drop("support-bot.jsonl", dialogues(3))
    for _ in range(3):
        snapshot_uploaded(event("blob_created_put_blob"))
    assert len(world.snapshots()) == 1


def test_a_marker_completes_its_folder(world: World) -> None:
    for name in ("train.jsonl", "test.jsonl", "_SUCCESS"):
        world.drop(f"support-bot/2026-09-21/{name}", dialogues(3))
    snapshot_uploaded(event("blob_created_put_block_list"))
    assert world.snapshots() == []
    snapshot_uploaded(event("blob_created_flush_with_close"))
    (row,) = world.snapshots()
    assert [file["split"] for file in row["files"]] == ["test", "train"]


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith(("blob_", "directory"))])
def test_what_is_no_upload_of_ours_or_gone_again_is_acknowledged_without_a_trace(world: World, name: str) -> None:
    snapshot_uploaded(event(name))
    assert not world.storage.blobs
    assert not world.storage.messages


FORGED = [
    "../../ledger/budget.json",
    "..",
    ".",
    "support-bot/../../ledger/x/_SUCCESS",
    "support-bot/./x.jsonl",
    "a" * 100_000 + ".jsonl",
    "/" * 100_000,
    "support-bot/" + "\N{GRINNING FACE}" * 2000 + "/_SUCCESS",
    "\ud83d.jsonl",
    "support-bot/\udc00/_SUCCESS",
    "support-bot\0.jsonl",
    "support-bot/\r\nX: y.jsonl",
    "%2e%2e/%2e%2e/ledger",
    "support-bot.jsonl?comp=metadata#x",
    "\\\\server\\share",
    " ",
]


@pytest.mark.parametrize("kind", ["BlobCreated", "BlobRenamed", "DirectoryRenamed"])
@pytest.mark.parametrize("path", FORGED, ids=range(len(FORGED)))
def test_a_forged_path_is_acknowledged_without_a_trace(world: World, path: str, kind: str) -> None:
    """A failure would have it delivered again for a day; an odd path could lead a request elsewhere."""
    asked = []
    head = world.storage.head

    def watched(container: str, name: str) -> Any:
        asked.append(name)
        return head(container, name)

    world.storage.head = watched  # type: ignore[method-assign]
    body = payload("blob_created_put_blob")
    body["eventType"] = f"Microsoft.Storage.{kind}"
    body["subject"] = f"/blobServices/default/containers/snapshots/blobs/{path}"
    body["data"]["url"] = path
    snapshot_uploaded(_forged(body))
    assert not world.storage.blobs
    assert not world.storage.messages
    assert all(len(name) <= 1024 and ".." not in name.split("/") for name in asked)


@pytest.mark.parametrize("odd", [None, 7, True, 1e999, ["x"], {"a": 1}, "", "\ud83d", "x" * 100_000])
@pytest.mark.parametrize("field", ["subject", "eventType", "data", "api", "eTag", "url", "contentLength", "runId"])
def test_a_field_of_any_type_is_acknowledged_without_a_trace(world: World, field: str, odd: Any) -> None:
    for name in ("blob_created_put_blob", "run_completed"):
        body = payload(name)
        (body if field in body else body["data"])[field] = odd
        snapshot_uploaded(_forged(body))
        run_changed(_forged(body))
    assert not world.storage.blobs
    assert not world.storage.messages


def _forged(body: dict[str, Any]) -> func.EventGridEvent:
    """The event, as lenient about its fields as can be."""
    return func.EventGridEvent(
        id="1",
        topic="",
        subject=body["subject"],
        data=body["data"],
        event_type=body["eventType"],
        event_time=None,
        data_version="",
    )


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_events_are_acknowledged_without_a_trace(world: World, name: str) -> None:
    snapshot_uploaded(event(MALFORMED[name]))
    run_changed(event(MALFORMED[name]))
    assert not world.storage.blobs
    assert not world.storage.messages


def test_storage_that_is_busy_fails_the_delivery_so_that_it_comes_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any) -> Any:
        raise ServiceBusy("storage is busy")

    monkeypatch.setattr(world.storage, "head", busy)
    with pytest.raises(ServiceBusy):
        snapshot_uploaded(event("blob_created_put_blob"))


# --- runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "run_completed",
        "run_completed_cloudevent",
        "run_status_changed_completed",
        "run_status_changed_completed_cloudevent",
        "run_status_changed_failed",
        "run_status_changed_canceled",
        "run_status_changed_lower_case_status",
        "run_status_changed_pascal_case",
        "run_status_changed_without_tags",
        "run_status_changed_run_in_subject_only",
    ],
)
def test_a_run_of_ours_is_a_hint_to_look_at_its_snapshot(world: World, name: str) -> None:
    run_changed(_ours(world, name))
    assert _sent(world) == [f"snapshot/{SNAPSHOT}?"]
    assert not world.storage.blobs


@pytest.mark.parametrize("name", NAMES)
def test_runs_of_others_and_everything_else_mean_nothing(world: World, name: str) -> None:
    """The recordings name the runs of another installation, child steps and other kinds of events."""
    run_changed(event(name))
    assert not world.storage.messages


# --- steps ----------------------------------------------------------------------------------------------------


def _message(text: str | bytes) -> func.QueueMessage:
    return func.QueueMessage(id="1", body=text, pop_receipt="p")


def test_a_message_moves_its_row_by_one_step(world: World) -> None:
    world.drop("support-bot.jsonl", dialogues(40))
    snapshot_uploaded(event("blob_created_put_blob"))
    (key,) = _sent(world)
    step_due(_message(key))
    (row,) = world.snapshots()
    assert row["state"] == "VALIDATED"
    for state in ("VALIDATED", "TRAINING"):  # a place is reserved for the job, then it is submitted
        step_due(_message(f"{key}?".encode()))
        assert world.snapshots()[0]["state"] == state


@pytest.mark.parametrize(
    "text", ["", "?", "snapshot/x", "snapshot/x#0", "#0", "dataset/nobody", "hello", '{"key": 1}', "ü" * 999]
)
def test_a_message_that_names_no_row_is_done_with(world: World, text: str) -> None:
    step_due(_message(text))
    assert not world.storage.messages
    assert not world.storage.leases


def test_a_message_that_is_no_text_is_left_for_the_poison_queue(world: World) -> None:
    with pytest.raises(UnicodeDecodeError):
        step_due(_message(b"\xff\xfe"))


# --- timers ---------------------------------------------------------------------------------------------------


def test_the_sweep_enqueues_what_is_overdue_and_finds_what_no_event_told(world: World) -> None:
    sweep_due(TIMER)
    world.services.ledger.create(a_snapshot())
    world.storage.messages.clear()
    world.clock.now += 3600
    world.drop("other.jsonl", dialogues(3))
    sweep_due(TIMER)
    found = _sent(world)
    assert found[0] == f"snapshot/{SNAPSHOT}"
    assert found[1].startswith("snapshot/other-")
    assert len(found) == 2


def test_the_nightly_timer_only_records_a_request(world: World) -> None:
    world.services.ledger.create(a_dataset())
    world.workspace.endpoints.write(ENDPOINT, {}, {})
    world.workspace.deployments.made[ENDPOINT, DEPLOYMENT] = Made(a_release(), START)
    world.clock.now += 2 * 86_400
    sleep_due(TIMER)
    row = world.services.ledger.read(f"dataset/{DATASET}").row
    assert (row.state, row.requested.what, row.requested.by) == ("LIVE", "sleep", "timer")
    assert _sent(world) == [f"dataset/{DATASET}?"]
    sleep_due(TIMER)
    assert len(_sent(world)) == 1
