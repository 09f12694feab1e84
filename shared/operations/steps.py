"""Which step is done by whom: the handlers of both tables. Called by the queue function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ledger.engine import Engine
from shared.ledger.imports import MESSAGE as IMPORT
from shared.ledger.store import PUBLISH
from shared.operations import deletion, nightly, publish
from shared.releases import cancel as release_cancel
from shared.releases import deploy, probe, sleep, traffic
from shared.snapshots import admission, cleanup, imports, part_check
from shared.training import cancel, finish, register, submit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.ledger.engine import StepHandler
    from shared.runtime import Services


def handlers(services: Services) -> Mapping[str, Mapping[str, StepHandler]]:
    """The handlers of both tables, by table and step. Retry and override are one write, made by `actions` itself."""
    return {
        "snapshot": {
            "cancel": cancel.Cancel(services),
            "validate": admission.Validate(services),
            "reserve": submit.Reserve(services),
            "submit": submit.Submit(services),
            "finish": finish.Finish(services),
            "register": register.Register(services),
            "cancel_release": release_cancel.CancelRelease(services),
            "clean": cleanup.Clean(services),
        },
        "dataset": {
            "deploy": deploy.Deploy(services),
            "watch": deploy.Watch(services),
            "gate": deploy.Gate(services),
            "shift": traffic.Shift(services),
            "roll_back": traffic.RollBack(services),
            "retire": traffic.Retire(services),
            "confirm_sleep": sleep.ConfirmSleep(services),
            "sleep": sleep.Sleep(services),
            "wake": sleep.Wake(services),
            "erase": deletion.Erase(services),
            "probe": probe.Probe(services),
        },
    }


def step(services: Services, message: str) -> str:
    """Moves the row that a queue message names by one step; says what was done.

    `<key>#<number>@<until>` means one part of a snapshot that several workers check, `<key>!` what people are to be
    told, `import/<id>` an import that goes on.
    """
    if message.endswith(PUBLISH):
        return publish.publish(services, message.removesuffix(PUBLISH))
    if message.startswith(IMPORT):
        return imports.go_on(services, message.removeprefix(IMPORT))
    if message == nightly.MESSAGE:
        return nightly.every_night(services)
    key, _, number = message.partition("#")
    if number:
        return part_check.check_part(services, key, number)
    engine = Engine(services.ledger, handlers(services), services.settings.fault_seconds)
    return engine.advance(message)
