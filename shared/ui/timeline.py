"""What happened to a snapshot: its own history, and that of its dataset while it was released. Pure."""

from __future__ import annotations

from typing import Any

from shared.ledger.states import ROLLOUT


def of_snapshot(row: dict[str, Any], dataset: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Each change, oldest first: `state`, `at`, `reason`; `row` and `dataset` are what status says of them."""
    own: list[dict[str, Any]] = row["history"]
    registered = next((entry["at"] for entry in reversed(own) if entry["state"] == "REGISTERED"), None)
    if registered is None or dataset is None:
        return own
    released = [entry for entry in dataset["history"] if entry["at"] >= registered and _is_about(entry, row, dataset)]
    return [*own, *released]


def _is_about(entry: dict[str, Any], row: dict[str, Any], dataset: dict[str, Any]) -> bool:
    """Whether an entry of the dataset's history is about this snapshot."""
    if row["id"] in entry["reason"]:
        return True
    candidate = (dataset["candidate"] or {}).get("snapshot")
    return entry["state"] in ROLLOUT and candidate in (None, row["id"])
