"""Addresses of jobs and of the run history service.

Assumptions: `job-once`, `job-history`, `job-identity`, `component-inputs`, `mlflow-only`,
`preparation-disk`.
"""

from __future__ import annotations

from local.azureml.jobs import history, responses
from local.azureml.wire.routing import WORKSPACE, guarded, unguarded

_HISTORY = "/history/v1.0" + WORKSPACE
_RUNS = "Microsoft.MachineLearningServices/workspaces/experiments/runs/"

routes = [
    guarded("GET", WORKSPACE + "/jobs", responses.list_jobs),
    guarded("GET", WORKSPACE + "/jobs/{name}", responses.get),
    guarded("PUT", WORKSPACE + "/jobs/{name}", responses.put),
    guarded("POST", WORKSPACE + "/jobs/{name}/cancel", responses.cancel),
    guarded("GET", _HISTORY + "/runs/{run}", history.get, action=_RUNS + "read"),
    guarded("GET", _HISTORY + "/runs/{run}/details", history.details, action=_RUNS + "read"),
    guarded("GET", _HISTORY + "/runs/{run}/children", history.children, action=_RUNS + "read"),
    guarded("PATCH", _HISTORY + "/experiments/{experiment}/runs/{run}", history.patch, action=_RUNS + "write"),
    unguarded("GET", "/logs/{run}", history.log_file),
    unguarded("POST", "/_control/jobs/{name:path}", responses.set_outcome),
    unguarded("GET", "/_control/jobs/{name:path}/reached", responses.outcome_reached),
]
