"""Addresses that `Azure-AsyncOperation` headers point to.

Assumptions: `operations`.
"""

from __future__ import annotations

from local.azureml.operations import responses
from local.azureml.wire.routing import guarded

_ACTION = "Microsoft.MachineLearningServices/locations/mfeOperationsStatus/read"

routes = [guarded("GET", responses.PATH, responses.get, action=_ACTION)]
