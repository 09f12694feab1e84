"""What is kept of a snapshot beside its row, for people to read: the validation report, the gate's evaluation, logs.

Called by the HTTP status functions. Each is a blob that was written once; reading changes nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.errors import Damaged, NotFound
from shared.operations import nightly, status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.ledger.rows import Snapshot
    from shared.runtime import Services

# The most characters of one log that are shown: its end says what went wrong.
LOG_END = 20_000
_NIGHT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}")


def report(services: Services, snapshot: str) -> Any:
    """The validation report. Raises NotFound while there is none."""
    return report_of(services, services.ledger.read(f"snapshot/{snapshot}").row)


def report_of(services: Services, row: Snapshot) -> Any:
    """The same of its row."""
    if row.report is None:
        raise NotFound(f"{row.id} has no report: it is {row.state}")
    return _json(services, "reports", row.report.blob)


def evaluation(services: Services, snapshot: str) -> Any:
    """Every prompt of the gate with what was answered. Raises NotFound where the gate has not judged yet."""
    return evaluation_of(services, snapshot, status.snapshot(services, snapshot)["gate"])


def evaluation_of(services: Services, snapshot: str, judged: Mapping[str, Any] | None) -> Any:
    """The same of what the gate said of it."""
    if not judged or not judged.get("evaluation"):
        raise NotFound(f"{snapshot} has no evaluation: the gate has not judged it")
    return _json(services, "evaluations", judged["evaluation"])


def night(services: Services, name: str) -> Any:
    """The report of a nightly round. Raises NotFound."""
    if not _NIGHT.fullmatch(name):
        raise NotFound("there is no such night")
    return _json(services, nightly.CONTAINER, f"{nightly.FOLDER}{name}.json")


def logs(services: Services, snapshot: str) -> dict[str, Any]:
    """The ends of the logs that were kept when a training step or a deployment failed, by what wrote them."""
    return logs_of(services, services.ledger.read(f"snapshot/{snapshot}").row)


def logs_of(services: Services, row: Snapshot) -> dict[str, Any]:
    """The same of its row."""
    found: dict[str, Any] = {}
    for attempt in range(1, row.attempt + 1):
        try:
            data, _ = services.storage.read("reports", naming.training_log(row.id, attempt))
        except NotFound:
            continue
        found[f"training, attempt {attempt}"] = data.decode("utf-8", "replace")[-LOG_END:]
    for blob in services.storage.list("evaluations", f"{row.id}/"):
        if blob.name.endswith(".log.json"):
            deployment = blob.name.removeprefix(f"{row.id}/").removesuffix(".log.json")
            for container, text in _json(services, "evaluations", blob.name).items():
                found[f"deployment {deployment}, {container}"] = str(text)[-LOG_END:]
    return found


def _json(services: Services, container: str, name: str) -> Any:
    try:
        return json.loads(services.storage.read(container, name)[0])
    except ValueError as error:
        raise Damaged.named(f"{container}/{name}", error) from error
