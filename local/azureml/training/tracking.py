"""The job's way to its metrics: MLflow's own route, with the token that a job is given.

As the component does, what is logged to the step is logged to the pipeline's run as well. A tracking server that does
not answer costs the metrics and not the training.
"""

from __future__ import annotations

import http.client
import json
import logging
import ssl
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

log = logging.getLogger("tracking")

_SECONDS = 10.0


class RunLogger:
    """Logs to these runs; use it as a context manager. `access`: address, token and CA of the tracking server."""

    def __init__(self, access: dict[str, str], runs: list[str]) -> None:
        address = urlsplit(access["address"])
        trust = ssl.create_default_context(cafile=access["ca"])
        self._server = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=_SECONDS, context=trust
        )
        self._path = f"{address.path}/api/2.0/mlflow/runs/log-batch"
        self._headers = {"Authorization": f"Bearer {access['token']}", "Content-Type": "application/json"}
        self._runs = runs

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    def log(self, step: int, values: dict[str, float]) -> None:
        """Log these values of one step."""
        at = int(time.time() * 1000)
        metrics = [{"key": key, "value": value, "timestamp": at, "step": step} for key, value in values.items()]
        for run in self._runs:
            body = json.dumps({"run_id": run, "metrics": metrics, "params": [], "tags": []})
            try:
                self._server.request("POST", self._path, body, self._headers)
                answer = self._server.getresponse()
                said = answer.read()
                if answer.status != http.client.OK:
                    log.warning("metrics of step %d were refused: HTTP %d %s", step, answer.status, said[:200])
            except (OSError, http.client.HTTPException) as error:
                log.warning("metrics of step %d are lost: %r", step, error)
                self._server.close()
