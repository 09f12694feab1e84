"""Addresses of the MLflow tracking routes of the workspace.

Assumptions: `mlflow-tracking`, `metrics-at-root`.
"""

from __future__ import annotations

from local.azureml.tracking import responses
from local.azureml.wire.routing import WORKSPACE, guarded

PATH = "/mlflow/v1.0" + WORKSPACE
_API = PATH + "/api/2.0/mlflow"
_RUNS = "Microsoft.MachineLearningServices/workspaces/experiments/runs/"

routes = [
    guarded("GET", _API + "/runs/get", responses.get_run, action=_RUNS + "read"),
    guarded("GET", _API + "/metrics/get-history", responses.get_history, action=_RUNS + "read"),
    # A job has a token of its own for its own run, whatever roles the app's identity has.
    guarded("POST", _API + "/runs/log-batch", responses.log_batch, action=""),
]
