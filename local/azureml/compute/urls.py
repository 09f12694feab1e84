"""Addresses of clusters, sizes and usage.

Assumptions: `sizes-at-subscription`, `usage-rows`, `roles`.
"""

from __future__ import annotations

from local.azureml.compute import responses
from local.azureml.wire.routing import LOCATION, WORKSPACE, guarded, unguarded

routes = [
    guarded("GET", WORKSPACE + "/computes", responses.list_computes),
    guarded("GET", WORKSPACE + "/computes/{name}", responses.get),
    guarded("PUT", WORKSPACE + "/computes/{name}", responses.put),
    guarded("DELETE", WORKSPACE + "/computes/{name}", responses.delete),
    guarded("GET", LOCATION + "/vmSizes", responses.list_sizes),
    guarded("GET", LOCATION + "/usages", responses.list_usage),
    unguarded("POST", "/_control/computes/{name}", responses.set_outcome),
]
