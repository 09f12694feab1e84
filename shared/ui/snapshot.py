"""The view of one snapshot: its timeline, what was found in its rows, how it was judged, its logs. Reads only.

Of its rows it shows what the report has: places and the names of rules. The gate's prompts and answers are those of the
evaluation, which the same people may read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.errors import Damaged, NotFound
from shared.operations import documents, status, training
from shared.ui import charts, timeline
from shared.ui.page_actions import offered
from shared.ui.view import LATER, SOON, View
from shared.ui.wording import tone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.ledger.rows import Snapshot
    from shared.runtime import Services

# Findings and their places are cut here; the report itself has them all.
PLACES, PROMPTS = 5, 12
_CURVES, _MOST_CURVES = ("loss", "eval_loss", "learning_rate"), 6
_CAN_BE_TRIED_AGAIN = ("TRAINING_FAILED", "REGISTER_FAILED", "DEPLOY_FAILED", "ROLLED_BACK", "CANCELED")
_SPREADS = (("turns", "turns"), ("characters", "characters"), ("estimated_tokens", "tokens"))


def view(services: Services, snapshot: str) -> View:
    """One snapshot. Raises NotFound, and Damaged where its row cannot be read."""
    stored: Snapshot = services.ledger.read(f"snapshot/{snapshot}").row
    dataset = status.dataset_of(services, stored)
    row = status.of_snapshot(services, stored, dataset)
    busy = tone(row["state"]) == "busy" and not row["needs_attention"]
    values = {
        "row": row,
        "timeline": timeline.of_snapshot(row, status.of_dataset(dataset) if dataset else None),
        "report": _report(services, stored),
        "training": _training(services, stored),
        "evaluation": _evaluation(services, row),
        "logs": documents.logs_of(services, stored),
        "next_step": next_step(row),
        "actions": offered("snapshots", _possible(row)),
        "busy": busy,
    }
    return View("snapshot.html", snapshot, values, here="snapshots", refresh=SOON if busy else LATER)


def next_step(row: dict[str, Any]) -> str:
    """What a person does with a snapshot that is where it is, in a sentence; nothing where nothing is to be done."""
    if row["needs_attention"]:
        return "A step failed again and again. Mend the cause, then try again."
    match row["state"]:
        case "LIVE" | "ASLEEP":
            return "It answers. Ask it something, or watch its calls."
        case "REJECTED" if row["report"]:
            return "Mend the rows that are named below and drop the file again, or take it as it is."
        case "REJECTED":
            return "Mend what the reason names and drop it again."
        case "DUPLICATE":
            return "The same rows were trained before. Take it all the same, or leave it."
        case "WITHHELD":
            return "Compare the answers below. If they are good enough, release it all the same."
        case "TRAINING_FAILED" | "REGISTER_FAILED" | "DEPLOY_FAILED" | "ROLLED_BACK":
            return "Mend the cause that the reason and the logs name, then try again."
        case "CANCELED":
            return "Somebody canceled it. Try again if it is wanted after all."
    return "It is blocked. Excuse it from the check, or wait." if row["blocked"] and row["waiting"] else ""


def _possible(row: dict[str, Any]) -> list[str]:
    """What makes sense to ask for it now; whether it can be done is decided when it is asked."""
    found, state = [], row["state"]
    if row["needs_attention"] or state in _CAN_BE_TRIED_AGAIN:
        found.append("retry")
    if state in ("REJECTED", "DUPLICATE", "SUPERSEDED", "WITHHELD") or row["blocked"]:
        found.append("override")
    if tone(state) == "busy":
        found.append("cancel")
    return found


def _report(services: Services, row: Snapshot) -> dict[str, Any] | None:
    """The validation report with its histograms drawn; None where there is none yet."""
    try:
        found = documents.report_of(services, row)
    except (NotFound, Damaged):
        return None
    spreads = [
        {"name": what, "chart": charts.histogram(map(tuple, spread["histogram"]), what), **spread}
        for name, what in _SPREADS
        if (spread := found["statistics"][name])["histogram"]
    ]
    return {**found, "spreads": spreads, "most_places": PLACES}


def _training(services: Services, row: Snapshot) -> dict[str, Any] | None:
    """How far its training is, with the curves that its job logged; None where it has no job, or logged nothing."""
    try:
        found = training.training_of(services, row)
    except (NotFound, Damaged):
        return None
    drawn = [
        {"name": name, "chart": chart, "latest": found.latest.get(name)}
        for name in _first(found.curves)
        if (chart := charts.curve(name, [(point.step, point.value) for point in found.curves[name]]))
    ]
    return {"progress": found, "curves": drawn} if drawn or found.share is not None else None


def _first(curves: Mapping[str, object]) -> list[str]:
    """The names of curves, those that people look for first."""
    wanted = [name for name in _CURVES if name in curves]
    return [*wanted, *sorted(name for name in curves if name not in wanted and name != "epoch")][:_MOST_CURVES]


def _evaluation(services: Services, row: dict[str, Any]) -> dict[str, Any] | None:
    """What the gate asked and was answered; None where it has not judged."""
    try:
        found = documents.evaluation_of(services, row["id"], row["gate"])
    except (NotFound, Damaged):
        return None
    prompts = [_prompt(one) for one in found.get("prompts", ())]
    worst = sorted(prompts, key=lambda one: (not one["candidate_flaw"], one["gap"] is None, -(one["gap"] or 0.0)))
    return {**found, "prompts": worst[:PROMPTS], "of": len(prompts)}


def _prompt(one: dict[str, Any]) -> dict[str, Any]:
    """One prompt with both answers side by side; the worst for the candidate are shown first."""
    candidate, live = one.get("candidate") or {}, one.get("live") or {}
    ours, theirs = candidate.get("likeness"), live.get("likeness")
    turns = one["prompt"]
    return {
        "question": turns[-1]["content"] if turns else "",
        "reference": one["reference"],
        "candidate": candidate,
        "live": live,
        "candidate_flaw": candidate.get("failed") or candidate.get("flaw") or "",
        "gap": None if ours is None or theirs is None else theirs - ours,
        "left_out": one.get("left_out", ""),
    }
