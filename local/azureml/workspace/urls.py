"""Addresses of the workspace and of what leads to it.

Assumptions: `redirect`, `roles`.
"""

from __future__ import annotations

from local.azureml.wire.routing import WORKSPACE, guarded, unguarded
from local.azureml.workspace import responses

routes = [
    unguarded("GET", "/healthz", responses.healthz),
    unguarded("GET", "/metadata/endpoints", responses.metadata),
    unguarded("GET", "/discovery", responses.discovery),
    guarded("GET", WORKSPACE, responses.get),
    guarded("GET", WORKSPACE + "/datastores", responses.list_datastores),
    guarded("GET", WORKSPACE + "/datastores/{name}", responses.get_datastore),
]
