"""Addresses of the shared registry.

Assumptions: `registry-facts`, `registry-kinds`, `registry-defaults`, `registry-latest`, `registry-public`,
`component-inputs`.
"""

from __future__ import annotations

from local.azureml.registry import responses
from local.azureml.wire.routing import PROVIDER, guarded, unguarded

_REGISTRY = (
    "/mferp/managementfrontend/subscriptions/{subscription}/resourceGroups/{registry_group}/"
    + PROVIDER
    + "/registries/{registry}"
)

# The public registry asks for no role.
routes = [
    guarded("GET", "/registrymanagement/v1.0/registries/{registry}/discovery", responses.discover, action=""),
    guarded("GET", _REGISTRY + "/models/{name}/versions", responses.list_model_versions, action=""),
    guarded("GET", _REGISTRY + "/models/{name}/versions/{version}", responses.get_model, action=""),
    guarded("GET", _REGISTRY + "/components/{name}/versions", responses.list_component_versions, action=""),
    guarded("GET", _REGISTRY + "/components/{name}/versions/{version}", responses.get_component, action=""),
    unguarded("PUT", "/_control/registry/models/{name}", responses.publish_model),
]
