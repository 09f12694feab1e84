"""Event Grid functions, for tests of the local host."""

import azure.functions as func

from tests.local.host_apps import witness

app = func.FunctionApp()


@app.event_grid_trigger("event")
def received(event: func.EventGridEvent) -> None:
    witness.tell(
        at="received",
        type=getattr(event, "event_type", None) or getattr(event, "type", None),
        subject=event.subject,
        id=event.id,
        data=event.get_json() if hasattr(event, "get_json") else getattr(event, "data", None),
    )
    if event.subject == "fail":
        raise ValueError("not this one")


@app.timer_trigger("timer", "0 0 0 1 1 *")
def never(timer: func.TimerRequest) -> None:
    """Only there because a webhook must not reach it."""
