"""The last log lines of a deployment that is about to be removed: kept as a blob, and quoted where it never came up.

Called by the steps that remove a deployment which failed. Repeated: the same blob is written again.

A serving image writes its whole environment into its log, secrets of the platform included; so whatever looks like one
is blotted out before anything is kept. Once a deployment was asked, its log may hold what was asked: then nothing is
quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.chatdata.formats import printable
from shared.errors import ServiceBusy

if TYPE_CHECKING:
    from shared.ledger.release import Release
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

CONTAINER = "evaluations"
_LINES_QUOTED = 4
_CHARACTERS_QUOTED = 600
_LONGEST_LINE = 2000
_BLOTTED = "***"
# Each is tried on one line of bounded length; what follows the name, up to the next blank, is the secret.
_SECRETS = (
    re.compile(r"(\benv: ?\w{1,80} ?= ?)(.*)"),
    re.compile(r"(?i)(\bauthorization[\"']? ?[:=] ?)(.*)"),
    re.compile(r"(?i)(\b(?:bearer|basic) )([\w.~+/=-]{8,})"),
    re.compile(
        r"(?i)((?:key|token|secret|password|passwd|pwd|credential|signature|connection_?string|sas)\w{0,20}"
        r"[\"']? ?[:=] ?[\"']?)([^\s\"',;&]+)"
    ),
    re.compile(r"(?i)([?&](?:sig|code|se|sv)=)([^&\s\"']+)"),
    re.compile(r"(\beyJ)([\w-]{10,}[\w.-]*)"),
)


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
    kept = {container: without_secrets(text) for container, text in found.items()}
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


def without_secrets(text: str) -> str:
    """The text with everything blotted out that looks like a secret, and its lines cut to a bounded length."""
    return "\n".join(_blotted(line[:_LONGEST_LINE]) for line in text.splitlines())


def _blotted(line: str) -> str:
    for secret in _SECRETS:
        line = secret.sub(rf"\1{_BLOTTED}", line)
    return line


def _end(kept: Mapping[str, str]) -> str:
    """The last lines of the server, or of the fetching of the model where the server wrote nothing."""
    containers = [kept.get("inference-server", ""), *kept.values()]
    lines = next((lines for text in containers if (lines := [line for line in text.splitlines() if line.strip()])), [])
    end = " / ".join(line.strip() for line in lines[-_LINES_QUOTED:])[-_CHARACTERS_QUOTED:]
    return printable(end, _CHARACTERS_QUOTED)
