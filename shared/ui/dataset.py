"""The view of one dataset: what answers now and for how much, its traffic, its calls, its releases. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.errors import NotFound
from shared.operations import costs, datasets, ledger_lists, pages, status
from shared.ui import charts
from shared.ui.page_actions import offered
from shared.ui.view import LATER, SOON, View
from shared.ui.wording import tone

if TYPE_CHECKING:
    from shared.ledger.rows import Dataset
    from shared.operations.datasets import DatasetSummary
    from shared.operations.ledger_lists import LedgerLists
    from shared.runtime import Services

_SNAPSHOTS, _MINUTES = 10, 60
# The parts of a dataset's traffic, in the order in which they are drawn.
_PARTS = ("live", "candidate", "previous")


def view(services: Services, name: str) -> View:
    """One dataset. Raises NotFound, and Damaged where its row cannot be read."""
    lists = ledger_lists.read(services)
    summary = next((one for one in datasets.summaries(services, name, lists) if one.name == name), None)
    if summary is None:
        raise NotFound(f"there is no dataset {name!r}")
    try:
        stored: Dataset | None = services.ledger.read(f"dataset/{name}").row
    except NotFound:  # its first snapshot is not read yet
        stored = None
    row = status.of_dataset(stored) if stored else {}
    found = pages.snapshots(services, dataset=name, limit=_SNAPSHOTS, lists=lists)
    values = {
        "summary": summary,
        "row": row,
        "traffic": _traffic(row),
        "calls": _calls(services, name),
        "costs": _costs(services, name, stored, lists),
        "releases": row.get("releases", []),
        "history": list(reversed(row.get("history", []))),
        "snapshots": found["snapshots"],
        "more_snapshots": bool(found["next"]),
        "currency": services.settings.currency,
        "actions": offered("datasets", _possible(summary, row)),
    }
    busy = tone(summary.state) == "busy" or any(tone(one["state"]) == "busy" for one in found["snapshots"])
    return View("dataset.html", name, values, here="datasets", refresh=SOON if busy else LATER)


def _traffic(row: dict[str, Any]) -> dict[str, Any] | None:
    """How the traffic is split: a drawing, and the same as lines. None where nothing has any."""
    shares = []
    for part in _PARTS:
        release = row.get(part)
        if release and (percent := row["traffic"].get(release.get("deployment", ""), 0)):
            shares.append((part, percent, release["snapshot"]))
    if not shares:
        return None
    text = ", ".join(f"{part} {percent} %" for part, percent, _ in shares)
    drawn = charts.split([(part, percent, part) for part, percent, _ in shares], f"Traffic: {text}")
    return {"chart": drawn, "shares": shares}


def _calls(services: Services, name: str) -> dict[str, Any] | None:
    """The calls of the last hour, drawn by the minute; None where there was none."""
    last = int(services.clock() // 60)
    first = last - _MINUTES + 1
    found = [
        charts.MinuteOfCalls(at, stats.answered, stats.judged - stats.answered, stats.p50_seconds, stats.p95_seconds)
        for at, stats in services.counts.by_minute(name, first * 60).items()
        if first <= at <= last
    ]
    drawn = charts.calls(found, first, last)
    return {"calls": drawn[0], "seconds": drawn[1]} if drawn else None


def _costs(services: Services, name: str, row: Dataset | None, lists: LedgerLists) -> costs.DatasetCosts | None:
    """What each of its snapshots cost this month; None where nothing is known."""
    times, month = row.machine_time if row else None, costs.month_asked(services, "")
    try:
        return costs.of_times(services, name, month, times, lists.cards_of(name))
    except NotFound:
        return None


def _possible(one: DatasetSummary, row: dict[str, Any]) -> list[str]:
    """What makes sense to ask of it now; whether it can be done is decided when it is asked."""
    found = []
    if one.needs_attention:
        found.append("resume")
    if row.get("candidate") or (row.get("previous") and row["previous"].get("deployment")):
        found.append("rollback")
    if one.state == "LIVE":
        found.append("sleep")
    if one.state == "ASLEEP":
        found.append("wake")
    if one.state != "DELETING":
        found += ["unpause" if one.paused else "pause", "delete"]
    return found
