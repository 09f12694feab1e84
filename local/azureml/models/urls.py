"""Addresses of registered models.

Assumptions: `model-once`.
"""

from __future__ import annotations

from local.azureml.models import responses
from local.azureml.wire.routing import WORKSPACE, guarded

_VERSION = WORKSPACE + "/models/{name}/versions/{version}"

routes = [
    guarded("GET", WORKSPACE + "/models", responses.list_containers),
    guarded("GET", WORKSPACE + "/models/{name}", responses.get_container),
    guarded("GET", WORKSPACE + "/models/{name}/versions", responses.list_versions),
    guarded("GET", _VERSION, responses.get),
    guarded("PUT", _VERSION, responses.put),
    guarded("DELETE", _VERSION, responses.delete),
]
