"""One job's process: `python -m local.azureml.training`, started and told what to do by the job's runner.

The first message says which job; each further one names a step to run. Every step reads what the one before
it left in the job's folder, so a process started anew can go on at any step.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from local.azureml.processes.lifeline import Lifeline, connect
from local.azureml.training.job import StepError, TrainingJob
from local.azureml.training.steps import STEPS


def main() -> None:
    """Serve the runner until it hangs up."""
    lifeline = connect()
    job = TrainingJob.from_message(lifeline.receive())
    while True:
        message = lifeline.receive()
        run_step(replace(job, seconds=message["seconds"]), lifeline, message["run"])


def run_step(job: TrainingJob, lifeline: Lifeline, name: str) -> None:
    """Run a step with everything it prints going to its own log, and report how it ended."""
    path = Path(job.log_files[name])
    path.parent.mkdir(parents=True, exist_ok=True)
    answer: dict[str, Any]
    with path.open("a", buffering=1) as log_file, logging_to(log_file):
        try:
            answer = STEPS[name](job) or {}
        except StepError as error:
            logging.error("%s", error)
            answer = {"error": {"code": error.code, "message": str(error)}}
        except Exception as error:  # noqa: BLE001 (whatever a step raises is its outcome)
            traceback.print_exc()
            answer = {"error": {"code": "SystemError", "message": f"{type(error).__name__}: {error}"}}
    lifeline.send(answer)


@contextlib.contextmanager
def logging_to(stream: Any) -> Any:
    """Log lines and prints go to this stream while a step runs."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("azure").setLevel(logging.WARNING)
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            yield
    finally:
        root.removeHandler(handler)


if __name__ == "__main__":
    main()
    sys.exit()
