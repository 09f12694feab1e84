"""A blob was written into `snapshots` (Event Grid): record the arrival, if it completes a snapshot."""

from __future__ import annotations

import azure.functions as func

from shared import runtime
from shared.azure import events

blueprint = func.Blueprint()


@blueprint.event_grid_trigger(arg_name="event")
def snapshot_uploaded(event: func.EventGridEvent) -> None:
    """Fails only for what a second delivery may cure; anything that is not an upload of ours is acknowledged."""
    path = events.uploaded_path(event)
    if path is None:
        return
    from shared.snapshots import intake, paths

    if path.startswith(paths.PROBES):  # of the doctor: it waits to see that the event arrives
        from shared.operations.doctor.events import acknowledge

        if acknowledge(runtime.services(), path):
            return
    intake.receive(runtime.services(), path)
