"""Which step is done by whom: the two tables with their hands, for the queue function and the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import admission, notifications, registration, rollout, shifting, sleeping, training
from shared.ledger import advance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.clients import Parts
    from shared.ledger import Hand


def hands(parts: Parts) -> Mapping[str, Mapping[str, Hand]]:
    """The hands of both tables, by table and step; steps that a person asks for are done by `actions`."""
    return {
        "snapshot": {
            "validate": admission.Validate(parts),
            "supersede": training.Supersede(parts),
            "reserve": training.Reserve(parts),
            "submit": training.Submit(parts),
            "finish": training.Finish(parts),
            "register": registration.Register(parts),
            "clean": training.Clean(parts),
        },
        "dataset": {
            "deploy": rollout.Deploy(parts),
            "watch": rollout.Watch(parts),
            "gate": rollout.Gate(parts),
            "shift": shifting.Shift(parts),
            "roll_back": shifting.RollBack(parts),
            "retire": shifting.Retire(parts),
            "sleep": sleeping.Sleep(parts),
            "wake": sleeping.Wake(parts),
        },
    }


def step(parts: Parts, message: str) -> str:
    """Moves the row that a queue message names by one step; says what was done.

    `<key>#<number>` means one file of a snapshot that several workers check.
    """
    key, _, number = message.partition("#")
    if number:
        return admission.check_file(parts, key, number)
    return advance(
        parts.ledger,
        message,
        hands(parts),
        parts.settings.fault_seconds,
        notifications.teller(parts.settings),
    )
