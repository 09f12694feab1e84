"""Addresses on the identity port (plain HTTP, as App Service has it).

Assumptions: `identity`.
"""

from __future__ import annotations

from local.azureml.identity import responses
from local.azureml.wire.routing import unguarded
from local.azureml.workspace.responses import healthz

routes = [
    unguarded("GET", "/msi/token", responses.token),
    unguarded("GET", "/healthz", healthz),
]
