"""The view that asks once more before something is done with a dataset or a snapshot. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import naming
from shared.errors import NotFound
from shared.operations import deletion_plan
from shared.ui.page_actions import action_of
from shared.ui.view import View

if TYPE_CHECKING:
    from shared.runtime import Services


def view(services: Services, kind: str, name: str, action_name: str) -> View:
    """The question, and for a deletion what goes and what stays.

    Raises NotFound for what is not there or is no action: the form on the page would not be taken either.
    """
    action = action_of(kind, action_name)
    plan = deletion_plan.plan(services, name) if action.name == "delete" else None
    if plan is None:
        _require(services, kind, name)
    values = {"kind": kind, "name": name, "action": action, "plan": plan}
    return View("confirm.html", f"{action.label}: {name}", values, here=kind, refresh=0)


def _require(services: Services, kind: str, name: str) -> None:
    """Raises NotFound where there is no such row, and of a dataset no snapshot either."""
    try:
        services.ledger.read(f"{kind.removesuffix('s')}/{name}")
    except NotFound:
        known = kind == "datasets" and naming.DATASET.fullmatch(name)
        if not known or not any(services.ledger.list("snapshot", name)):
            raise
