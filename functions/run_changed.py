"""A run of the workspace changed its status (Event Grid): have a look at the snapshot it trains, if it is ours."""

from __future__ import annotations

import azure.functions as func

from shared import naming, runtime
from shared.azure import events

blueprint = func.Blueprint()


@blueprint.event_grid_trigger(arg_name="event")
def run_changed(event: func.EventGridEvent) -> None:
    """Only a hint: the step asks the workspace. Child steps and other people's runs mean nothing."""
    run = events.changed_run(event)
    if run is None:
        return
    services = runtime.services()
    snapshot = naming.snapshot_of_job(services.installation, run)
    if snapshot is not None:
        services.ledger.hint(f"snapshot/{snapshot}")
