"""Time has come (timers): look for what is overdue, and at night for endpoints nobody asks."""

from __future__ import annotations

import logging

import azure.functions as func

from shared import runtime

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.timer_trigger(arg_name="timer", schedule=runtime.settings().sweep_schedule)
def sweep_due(timer: func.TimerRequest) -> None:
    """Enqueues overdue rows and records uploads that no event told us about."""
    from shared.operations import sweep

    found = sweep.sweep(runtime.services())
    log.info("sweep: %s", ", ".join(found) or "nothing overdue")


@blueprint.timer_trigger(arg_name="timer", schedule=runtime.settings().sleep_schedule)
def sleep_due(timer: func.TimerRequest) -> None:
    """Asks idle datasets to sleep, which their own step does, writes a report, and reads the whole ledger once."""
    from shared.operations import nightly

    log.info("%s", nightly.every_night(runtime.services()))
