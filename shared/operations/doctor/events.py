"""Whether Event Grid tells the app of uploads and runs: subscriptions, filters, dead letters, an event and back."""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

from shared.azure import events
from shared.operations.doctor.places import SCRATCH
from shared.operations.doctor.report import CheckResult, well, wrong
from shared.runtime import Services
from shared.snapshots.paths import PROBES

_EVENT_GRID = "2025-02-15"
_MEND = "azd hooks run postdeploy, or docs/deploy.md#without-azd"
DEAD_LETTERS = "deadletters"
ROUND_TRIP_SECONDS = 60.0
# What the field says of a file or folder that was renamed; the app takes such an event whatever it says.
_RENAMES = ("RenameFile", "RenameDirectory", "SftpRename")


def uploads(services: Services) -> CheckResult:
    """The subscription for uploads."""
    source = f"/storageaccounts/{services.storage.account}".lower()
    return _subscription(services, "snapshot_uploaded", lambda found: found.lower().endswith(source), _wrong_uploads)


def runs(services: Services) -> CheckResult:
    """The subscription for runs of the workspace."""
    source = f"/workspaces/{services.settings.azureml_workspace}".lower()
    return _subscription(services, "run_changed", lambda found: found.lower().endswith(source), _wrong_runs)


def dead_letters(services: Services) -> CheckResult:
    """What could not be delivered."""
    names = [blob.name for blob in services.storage.list(DEAD_LETTERS)]
    if names:
        return wrong(
            f"{len(names)} files of undelivered events, the newest {max(names)}",
            f"read why in the container {DEAD_LETTERS}, mend that, delete them; the sweep finds the uploads themselves",
        )
    return well("none")


def round_trip(services: Services) -> CheckResult:
    """Uploads a file that means nothing, and waits until the app was told of it."""
    probe = uuid.uuid4().hex
    path, mark = f"{PROBES}{probe}/probe.jsonl", f"{SCRATCH}{probe}"
    began = time.monotonic()
    services.storage.put("snapshots", path, b"")
    try:
        while time.monotonic() - began < ROUND_TRIP_SECONDS:
            if any(blob.name == mark for blob in services.storage.list("work", mark)):
                return well(f"an upload was told of after {time.monotonic() - began:.1f} s")
            time.sleep(0.2)
        return wrong(f"an upload was not told of within {ROUND_TRIP_SECONDS:.0f} s", _MEND)
    finally:
        services.storage.delete("snapshots", path)
        services.storage.delete("work", mark)


def acknowledge(services: Services, path: str) -> bool:
    """Marks a probe of the doctor as arrived; False for any other upload. Called by the trigger."""
    rest = path.removeprefix(PROBES)
    if rest == path or not rest.endswith("/probe.jsonl"):
        return False
    probe = rest.removesuffix("/probe.jsonl")
    if len(probe) == 32 and probe.isalnum():
        services.storage.put("work", f"{SCRATCH}{probe}", b"")
    return True


def _subscription(services: Services, function: str, is_source: Any, complaints: Any) -> CheckResult:
    """The subscription that tells a function, found by what its topic is about."""
    found = [
        one
        for one in services.workspace.documents.event_subscriptions(_EVENT_GRID, is_source)
        if function in _target(one)
    ]
    if not found:
        return wrong(f"no event subscription tells {function}", _MEND)
    properties = found[0].get("properties", {})
    problems = list(complaints(properties.get("filter") or {}))
    if (state := properties.get("provisioningState", "Succeeded")) != "Succeeded":
        problems.append(f"it is {state}")
    site = os.environ.get("WEBSITE_SITE_NAME", "")
    if site and f"/sites/{site}/".lower() not in _target(found[0]).lower():
        problems.append(f"it tells {_target(found[0])}, not this app")
    if not (properties.get("deadLetterWithResourceIdentity") or properties.get("deadLetterDestination")):
        problems.append("what cannot be delivered is dropped")
    if len(found) > 1:
        problems.append(f"{len(found)} subscriptions tell of the same")
    if problems:
        return wrong(f"{found[0].get('name')}: {'; '.join(problems)}", _MEND)
    return well(f"{found[0].get('name')} tells {function}")


def _target(subscription: dict[str, Any]) -> str:
    destination = subscription.get("properties", {}).get("destination") or {}
    return f"{(destination.get('properties') or {}).get('resourceId', '')}/"


def _wrong_uploads(wanted: dict[str, Any]) -> list[str]:
    """What a filter lets through too much or too little, by the events that the app takes."""
    kinds = {events.BLOB_CREATED, events.BLOB_RENAMED, events.DIRECTORY_RENAMED}
    problems = _wrong_kinds(wanted, kinds)
    subject = str(wanted.get("subjectBeginsWith") or "").rstrip("/")
    if not "/blobServices/default/containers/snapshots/blobs".startswith(subject) or "/snapshots" not in subject:
        problems.append(f"it is for {subject or 'every container'}, not for the container snapshots")
    for one in wanted.get("advancedFilters") or ():
        left_out = {*events.COMPLETE_WRITES, *_RENAMES} - set(one.get("values") or ())
        if one.get("key") == "data.api" and left_out:
            problems.append(f"uploads by {', '.join(sorted(left_out))} are left out")
    return problems


def _wrong_runs(wanted: dict[str, Any]) -> list[str]:
    return _wrong_kinds(wanted, set(events.RUN_EVENTS))


def _wrong_kinds(wanted: dict[str, Any], kinds: set[str]) -> list[str]:
    """Kinds of events that are left out."""
    included = set(wanted.get("includedEventTypes") or kinds)
    return [f"events {', '.join(sorted(kinds - included))} are left out"] if kinds - included else []
