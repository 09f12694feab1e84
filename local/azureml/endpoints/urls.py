"""Addresses of endpoints and deployments.

Assumptions: `endpoint-write`, `accepted-then-failed`, `deployment-reserve`, `deployment-most`.
"""

from __future__ import annotations

from local.azureml.endpoints import responses
from local.azureml.wire.routing import WORKSPACE, guarded, unguarded

_ALL = WORKSPACE + "/onlineEndpoints"
_ENDPOINT = _ALL + "/{endpoint}"
_DEPLOYMENT = _ENDPOINT + "/deployments/{name}"

routes = [
    guarded("GET", _ALL, responses.list_endpoints),
    guarded("GET", _ENDPOINT, responses.get),
    guarded("PUT", _ENDPOINT, responses.put),
    guarded("DELETE", _ENDPOINT, responses.delete),
    guarded("POST", _ENDPOINT + "/listKeys", responses.list_keys),
    guarded("POST", _ENDPOINT + "/regenerateKeys", responses.regenerate_keys),
    guarded("GET", _ENDPOINT + "/deployments", responses.list_deployments),
    guarded("GET", _DEPLOYMENT, responses.get_deployment),
    guarded("PUT", _DEPLOYMENT, responses.put_deployment),
    guarded("DELETE", _DEPLOYMENT, responses.delete_deployment),
    guarded("POST", _DEPLOYMENT + "/getLogs", responses.get_logs),
    unguarded("POST", "/_control/endpoints/{name}", responses.fail_next_write),
    unguarded("POST", "/_control/deployments/{endpoint}/{name}", responses.set_outcome),
]
