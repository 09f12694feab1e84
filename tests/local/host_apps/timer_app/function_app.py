"""Timer functions, for tests of the local host."""

import os

import azure.functions as func

from tests.local.host_apps import witness

app = func.FunctionApp()


@app.timer_trigger("timer", "%EVERY%", run_on_startup=os.environ.get("AT_START") == "1")
def ticking(timer: func.TimerRequest) -> None:
    witness.tell(at="ticking", past_due=timer.past_due, status=getattr(timer, "schedule_status"))  # noqa: B009 (not in its stub)
