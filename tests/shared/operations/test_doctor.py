"""Every check of the doctor, in both directions: what it says when all is well, and what when it is not."""

from __future__ import annotations

import sys
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest

from shared.azure.events import RUN_EVENTS
from shared.azure.workspace.quota import QuotaUsage, family_key
from shared.errors import ServiceBusy
from shared.ledger.outbox import Notice
from shared.operations import backlog, doctor
from shared.operations.doctor import events, places, versions
from shared.operations.doctor.report import CheckResult
from tests.fake_workspace import FAMILY
from tests.fake_workspace.made import DATA_SCIENTIST, READER
from tests.fakes import World

UPLOADS_FILTER = {
    "includedEventTypes": ["Microsoft.Storage.BlobCreated", "Microsoft.Storage.BlobRenamed", "Microsoft.Storage.DirectoryRenamed"],
    "subjectBeginsWith": "/blobServices/default/containers/snapshots/blobs/",
}  # fmt: skip
RUNS_FILTER = {"includedEventTypes": list(RUN_EVENTS)}


def subscription(function: str, wanted: dict[str, Any], **more: Any) -> dict[str, Any]:
    target = {"properties": {"resourceId": f"/subscriptions/s/sites/app/functions/{function}"}}
    dead: dict[str, Any] = {"deadLetterWithResourceIdentity": {"identity": {}}}
    properties = {"destination": target, "filter": wanted, "provisioningState": "Succeeded", **dead, **more}
    return {"name": f"droptune-{function}", "properties": properties}


def a_world(**settings: Any) -> World:
    """An installation in which nothing is wrong."""
    world = World(settings=settings)
    account = world.storage.account
    world.workspace.documents.found = {
        "datastores/droptune_frozen": {
            "properties": {"accountName": account, "containerName": "frozen", "credentials": {"credentialsType": "AccountKey"}}
        },
    }  # fmt: skip
    world.workspace.documents.subscriptions = [
        (f"/x/storageAccounts/{account}", subscription("snapshot_uploaded", UPLOADS_FILTER)),
        ("/x/workspaces/W", subscription("run_changed", RUNS_FILTER)),
    ]
    return world


def say(world: World, check: str) -> CheckResult:
    return next(one for one in doctor.examine(world.services).checks if one.check == check)


def test_nothing_is_wrong_where_nothing_is_wrong() -> None:
    report = doctor.examine(a_world().services)
    assert [(one.check, one.found) for one in report.checks if one.result != "well"] == []
    assert {one.check for one in report.checks} == {check.name for check in doctor.CHECKS}
    assert all(one.found for one in report.checks)


def test_the_checks_leave_nothing_behind() -> None:
    world = a_world()
    before = set(world.storage.blobs)
    doctor.examine(world.services)
    assert set(world.storage.blobs) - before <= {("locks", "_doctor/lease")}


def _no_store(world: World) -> None:
    world.workspace.documents.found = {}


def _other_store(world: World) -> None:
    world.workspace.documents.found["datastores/droptune_frozen"]["properties"]["accountName"] = "somebodys"


def _open_store(world: World) -> None:
    world.workspace.documents.found["datastores/droptune_frozen"]["properties"]["credentials"] = {
        "credentialsType": "None"
    }


def _changed(function: str, **changes: Any) -> Callable[[World], None]:
    def change(world: World) -> None:
        for _, one in world.workspace.documents.subscriptions:
            if function in one["name"]:
                one["properties"].update(changes)

    return change


def _unsubscribed(world: World) -> None:
    world.workspace.documents.subscriptions.clear()


def _twice(world: World) -> None:
    world.workspace.documents.subscriptions *= 2


def _elsewhere(world: World) -> None:
    world.workspace.documents.found["computes/gpu"] = {"properties": {"provisioningState": "Failed"}}


def _cluster(**document: Any) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.workspace.documents.found["computes/gpu"] = document
        _open_store(world)

    return change


def _untold(world: World) -> None:
    two = tuple(Notice(id=name, type="t", subject="s", at=world.clock(), data={}, to=("topic",)) for name in "ab")
    troubles = {"topic": backlog.ChannelTrouble(since=world.clock(), error="HTTP 503")}
    backlog.change(world.services, lambda known: known.but(waiting=two, troubles=troubles))


@pytest.mark.parametrize(
    ("check", "settings", "breaks", "found", "mend"),
    [
        ("containers", {}, lambda w: w.storage.missing.add("evaluations"), "missing: evaluations", "restart the app"),
        ("queue", {}, lambda w: w.storage.queues.update({"due": None}), "there is no queue due", "restart the app"),
        ("queue", {}, lambda w: w.storage.queues.update({"due-poison": 3}), "3 messages in due-poison", "Poison queue"),
        ("datastore", {}, _no_store, "there is no datastore droptune_frozen", "azd provision"),
        ("datastore", {}, _other_store, "points at somebodys/frozen", "point droptune_frozen at the container frozen"),
        ("cluster", {}, _open_store, "serverless compute has no identity", "set TRAINING_COMPUTE"),
        ("cluster", {"training_compute": "gpu"}, _no_store, "there is no cluster gpu", "CREATE_COMPUTE"),
        ("cluster", {"training_compute": "gpu"}, _elsewhere, "could not be made", "Studio"),
        ("cluster", {"training_compute": "gpu"}, _cluster(identity={"type": "None"}), "has no identity", "az ml compute update"),
        ("model", {"base_model": "Nothing-7"}, lambda w: None, "Nothing-7 is not in the registry", "set BASE_MODEL"),
        ("machines", {"serving_instance_type": "Standard_NC6"}, lambda w: None, "SERVING_INSTANCE_TYPE = Standard_NC6", "quota"),
        ("metrics", {}, lambda w: w.workspace.missing.add(READER), "request counts may not be read", "Monitoring Reader"),
        ("scoring keys", {"scoring_keys": "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/scoring-keys)"},
         lambda w: None, "could not read", "Key Vault Secrets User"),
        ("scoring keys", {"scoring_keys": None}, lambda w: None, "nobody can ask", "scoring-keys"),
        ("page keys", {"page_keys": "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/page-keys)"},
         lambda w: None, "could not read", "Key Vault Secrets User"),
        ("roles", {}, lambda w: w.workspace.missing.add(DATA_SCIENTIST), DATA_SCIENTIST, "docs/security.md"),
        ("uploads", {}, _unsubscribed, "no event subscription tells snapshot_uploaded", "azd hooks run postdeploy"),
        ("runs", {}, _unsubscribed, "no event subscription tells run_changed", "azd hooks run postdeploy"),
        ("uploads", {}, _twice, "2 subscriptions tell of the same", "postdeploy"),
        ("uploads", {}, _changed("snapshot", filter={**UPLOADS_FILTER, "subjectBeginsWith": "/blobServices/default/containers/frozen/"}),
         "not for the container snapshots", "postdeploy"),
        ("uploads", {}, _changed("snapshot", filter={"includedEventTypes": ["Microsoft.Storage.BlobCreated"]}),
         "events Microsoft.Storage.BlobRenamed, Microsoft.Storage.DirectoryRenamed are left out", "postdeploy"),
        ("uploads", {}, _changed("snapshot", filter={**UPLOADS_FILTER, "advancedFilters": [{"key": "data.api", "values": ["PutBlob"]}]}),
         "uploads by CopyBlob, FlushWithClose", "postdeploy"),
        ("uploads", {}, _changed("snapshot", provisioningState="Failed"), "it is Failed", "postdeploy"),
        ("uploads", {}, _changed("snapshot", deadLetterWithResourceIdentity=None), "is dropped", "postdeploy"),
        ("runs", {}, _changed("run", filter={"includedEventTypes": list(RUN_EVENTS)[:1]}),
         "RunStatusChanged are left out", "postdeploy"),
        ("dead letters", {}, lambda w: w.storage.put("deadletters", "DROPTUNE-UPLOADS/1.json", b"[]"),
         "1 files of undelivered events", "read why in the container deadletters"),
        ("notifications", {"notify_key": "a-key"}, lambda w: None, "NOTIFY_KEY is set and NOTIFY_TOPIC is not", "NOTIFY_TOPIC"),
        ("notifications", {"notify_webhook_secret": "of-a-webhook-secret"}, lambda w: None, "NOTIFY_WEBHOOK is not", "NOTIFY_WEBHOOK"),
        ("notifications", {"notify_webhook": "https://example.org/h", "notify_webhook_secret": "@Microsoft.KeyVault(SecretUri=https://v/s)"},
         lambda w: None, "NOTIFY_WEBHOOK_SECRET is in a vault", "Key Vault Secrets User"),
        ("imports", {"import_sources": "owner/*"}, lambda w: setattr(w.hub, "broken", ServiceBusy("no route")),
         "the Hub cannot be reached: no route", "HF_ENDPOINT"),
        ("notifications", {}, _untold, "2 notices wait: topic: HTTP 503, since 2026-", "docs/notifications.md"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_mends_it(
    check: str, settings: dict[str, Any], breaks: Callable[[World], Any], found: str, mend: str
) -> None:
    world = a_world(**settings)
    breaks(world)
    line = say(world, check)
    assert line.result == "wrong", line
    assert found in line.found
    assert mend in line.mend


def test_a_cluster_with_an_identity_reads_a_datastore_without_a_credential() -> None:
    world = a_world(training_compute="gpu")
    _cluster(identity={"type": "UserAssigned"}, properties={"provisioningState": "Succeeded"})(world)
    assert say(world, "cluster") == CheckResult(
        check="cluster", result="well", found="gpu is Succeeded, identity UserAssigned"
    )


def test_quota_for_one_deployment_is_not_enough_for_a_rollout() -> None:
    world = a_world()
    world.workspace.quota.allowed = {family_key(FAMILY): QuotaUsage(used=0, limit=24)}
    line = say(world, "machines")
    assert (line.result, "serving on 1 x" in line.found, "twice takes 48 cores" in line.found) == ("wrong", True, True)
    world.workspace.quota.allowed = {family_key(FAMILY): QuotaUsage(used=0, limit=48)}
    assert say(world, "machines").result == "well"


def test_a_check_that_is_refused_says_so_and_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world()

    def refuse() -> str:
        raise ServiceBusy(
            "workspace: the app's identity may not do workspaces/read: it needs the role Monitoring Reader"
        )

    monkeypatch.setattr(world.workspace, "location", refuse)
    line = say(world, "workspace")
    assert (line.result, "Monitoring Reader" in line.found, "docs/security.md" in line.mend) == ("wrong", True, True)
    assert say(world, "uploads").result == "well"


def test_an_identity_that_gets_no_token_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world()

    def refuse() -> str:
        raise ServiceBusy("no token: run az login")

    monkeypatch.setattr(world.workspace.documents, "identity", refuse)
    assert say(world, "identity").result == "wrong"


def test_storage_that_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world()

    def refuse(*_: object, **__: object) -> str:
        raise ServiceBusy("HTTP 403 AuthorizationPermissionMismatch")

    monkeypatch.setattr(world.storage, "put", refuse)
    assert [say(world, check).result for check in ("storage", "clock")] == ["wrong", "wrong"]


def test_a_clock_that_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world()
    late = world.services.clock
    monkeypatch.setattr(world.services, "clock", lambda: late() + 300)
    line = say(world, "clock")
    assert (line.result, line.found) == ("wrong", "this clock is 300 s from that of storage")


def test_another_python_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    version = namedtuple("version", "major minor micro")
    monkeypatch.setattr(sys, "version_info", version(3, 11, 2))
    line = versions.versions(a_world().services)
    assert (line.result, line.found) == ("wrong", "Python 3.11.2")


def test_an_event_that_comes_back_is_timed_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world()
    put = world.storage.put

    def told(container: str, name: str, data: bytes) -> str:
        done = put(container, name, data)
        if container == "snapshots":
            assert events.acknowledge(world.services, name)
        return done

    monkeypatch.setattr(world.storage, "put", told)
    line = doctor.examine(world.services, with_event=True).checks[-1]
    assert (line.check, line.result) == ("event", "well")
    assert [key for key in world.storage.blobs if places.SCRATCH in key[1] and key[0] == "work"] == []
    assert [key for key in world.storage.blobs if key[0] == "snapshots"] == []


def test_an_event_that_does_not_come_back_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "ROUND_TRIP_SECONDS", 0.0)
    line = doctor.examine(a_world().services, with_event=True).checks[-1]
    assert (line.result, line.found) == ("wrong", "an upload was not told of within 0 s")


@pytest.mark.parametrize("path", ["support-bot.jsonl", "droptune-doctor/x/train.jsonl", "droptune-doctor.jsonl"])
def test_no_upload_of_anybody_else_is_taken_for_a_probe(path: str) -> None:
    assert not events.acknowledge(a_world().services, path)


def test_a_probe_with_a_forged_name_writes_nothing() -> None:
    world = a_world()
    before = set(world.storage.blobs)
    assert events.acknowledge(world.services, "droptune-doctor/../../ledger/x/probe.jsonl")
    assert set(world.storage.blobs) == before
