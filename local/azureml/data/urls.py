"""Addresses of data assets.

Assumptions: `data-assets`.
"""

from __future__ import annotations

from local.azureml.data import responses
from local.azureml.wire.routing import WORKSPACE, guarded

routes = [
    guarded("GET", WORKSPACE + "/data/{name}", responses.get_container),
    guarded("GET", WORKSPACE + "/data/{name}/versions", responses.list_versions),
    guarded("GET", WORKSPACE + "/data/{name}/versions/{version}", responses.get),
    guarded("PUT", WORKSPACE + "/data/{name}/versions/{version}", responses.put),
]
