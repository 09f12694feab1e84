"""The last log lines of a deployment that is about to be removed: kept as a blob, and quoted where it never came up.

Called by the steps that remove a deployment which failed. Repeated: the same blob is written again.

Whatever looks like a secret is blotted out before anything is kept. Once a deployment was asked, its log may hold what
was asked: then nothing is quoted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.azure import log_text
from shared.errors import ServiceBusy

if TYPE_CHECKING:
    from shared.ledger.release import Release
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

CONTAINER = "evaluations"


@dataclass(frozen=True, slots=True)
class SavedLog:
    """Where a log is kept (empty: there is none), and how it ends."""

    blob: str = ""
    end: str = ""


def save(services: Services, row: Dataset, release: Release) -> SavedLog:
    """Keeps the log as a blob in `evaluations`."""
    try:
        found = services.workspace.deployments.logs(row.endpoint, release.deployment)
    except ServiceBusy:
        found = {}
    if not found:
        return SavedLog()
    kept = {container: log_text.without_secrets(text) for container, text in found.items()}
    name = f"{release.snapshot}/{release.deployment}.log.json"
    services.storage.put(CONTAINER, name, json.dumps(kept, indent=1).encode("utf-8", "replace"))
    return SavedLog(name, _end(kept))


def with_log(reason: str, blob: str | None) -> str:
    """A reason with the place of the log, if there is one."""
    return f"{reason}; its log is in {CONTAINER}/{blob}" if blob else reason


def with_end(release: Release, reason: str, saved: SavedLog) -> str:
    """A reason with the end of the log, if the deployment never came so far that it was asked anything."""
    return reason if release.api else f"{reason}{quoted(saved)}"


def quoted(saved: SavedLog) -> str:
    """The end of a log, to be added to a reason."""
    return f"; its log ends: {saved.end}" if saved.end else ""


def _end(kept: Mapping[str, str]) -> str:
    """The last lines of the server, or of the fetching of the model where the server wrote nothing."""
    return next(filter(None, map(log_text.end, (kept.get("inference-server", ""), *kept.values()))), "")
