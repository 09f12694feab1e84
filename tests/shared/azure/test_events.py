"""What each recorded Event Grid event means: a path, a run, or nothing; and that nothing makes the reader fail."""

from __future__ import annotations

import json

import azure.functions as func
import pytest

from shared.azure import events
from tests.recorded import MALFORMED, NAMES, event, payload

RUN = "dt-0a1b2c3d-support-bot-20260921141320-0123abcd-1"
PATHS = {
    "blob_created_put_blob": "support-bot.jsonl",
    "blob_created_put_block_list": "support-bot/2026-09-21/train.parquet",
    "blob_created_copy_blob": "support-bot/2026-09-21.jsonl.gz",
    "blob_created_flush_with_close": "support-bot/2026-09-21/_SUCCESS",
    "blob_created_sftp_commit": "support-bot.jsonl",
    "blob_renamed": "support-bot.jsonl",
    "blob_renamed_sftp": "support-bot.jsonl",
    # Of a directory, the marker that may be in it.
    "directory_renamed": "support-bot/2026-09-21/_SUCCESS",
    "directory_renamed_sftp": "support-bot/2026-09-21/_SUCCESS",
    "blob_created_spaces_and_percent": "support bot/50 % ünïcode.jsonl",
}
RUNS = {
    "run_completed": RUN,
    "run_status_changed_notstarted": RUN,
    "run_status_changed_running": RUN,
    "run_status_changed_finalizing": RUN,
    "run_status_changed_completed": RUN,
    "run_status_changed_failed": RUN,
    "run_status_changed_canceled": RUN,
    "run_status_changed_lower_case_status": RUN,
    "run_status_changed_without_tags": RUN,
    "run_status_changed_pascal_case": RUN,
    "run_status_changed_run_in_subject_only": RUN,
    "run_status_changed_child_step": "7c2e2f1e-0000-4000-8000-000000000002",
    "run_status_changed_of_somebody_else": "brave_fig_x1y2z3",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_event_means_its_path_or_its_run_or_nothing(name: str) -> None:
    plain = name.removesuffix("_cloudevent")
    assert events.uploaded_path(event(name)) == PATHS.get(plain)
    assert events.changed_run(event(name)) == RUNS.get(plain)


def test_every_expectation_has_its_recording() -> None:
    assert {*PATHS, *RUNS} <= set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_cloudevent")])
def test_both_schemas_are_handed_over_as_their_own_class(name: str) -> None:
    assert isinstance(event(name), func.CloudEvent)
    assert isinstance(event(name.removesuffix("_cloudevent")), func.EventGridEvent)


@pytest.mark.parametrize("name", NAMES)
def test_recordings_have_every_field_of_their_schema(name: str) -> None:
    envelope = {"id", "subject", "data"}
    if name.endswith("_cloudevent"):
        envelope |= {"specversion", "source", "type", "time"}
    else:
        envelope |= {"topic", "eventType", "eventTime", "dataVersion", "metadataVersion"}
    assert set(payload(name)) == envelope


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_event_never_raises_and_means_no_more_than_its_subject_says(name: str) -> None:
    broken = event(MALFORMED[name])
    assert events.uploaded_path(broken) is None
    assert events.changed_run(broken) == (RUN if name.startswith("run_data_") or name == "run_id_empty" else None)


@pytest.mark.parametrize("api", ["CreateFile", "SftpCreate", "AppendBlock", "putblob", "", None, 5])
def test_only_writes_that_leave_a_whole_blob_count(api: object) -> None:
    body = payload("blob_created_put_blob")
    body["data"]["api"] = api
    assert events.uploaded_path(event(body)) is None


def test_a_path_may_hold_anything_a_blob_name_may() -> None:
    body = json.loads(
        json.dumps(payload("blob_created_put_blob")).replace("support-bot.jsonl", "a/blobs/b%2Fc?d=e.jsonl")
    )
    assert events.uploaded_path(event(body)) == "a/blobs/b%2Fc?d=e.jsonl"
